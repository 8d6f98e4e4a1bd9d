# SPDX-License-Identifier: Apache-2.0
"""The value iteration network of a model, run: from walls and a goal to (minus) cells to go.

All weights are learned (`diffusion.value_iteration`) and come with the model's card; the network
is told walls and goal alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
STEEP = 4.0
ROUNDS_PER_CELL, SETTLED = 4, 1e-3


@dataclass(frozen=True)
class ValueNetwork:
    """The network of A actions and F features.

    Attributes:
        look: Shape [F, 9], and its offset [F].
        cost: Shape [A, F], and its offset [A].
        move: Rows sum up to 1, shape [A, 9].
    """

    look: tuple[Array, Array]
    cost: tuple[Array, Array]
    move: Array

    @classmethod
    def of(cls, weights: Mapping[str, Any]) -> ValueNetwork:
        """Return the network of the lists that `ValueIteration.weights` wrote."""
        found = {name: np.asarray(numbers, dtype=float) for name, numbers in weights.items()}
        move = found['move'].reshape(-1, 9)
        look = found['look_weight'].reshape(-1, 9)
        return cls((look, found['look_bias']),
                   (found['cost_weight'].reshape(len(move), len(look)), found['cost_bias']), move)

    def value(self, walls: Array, goal: Array) -> Array:
        """Return v [X, Y] of walls and goals [X, Y], repeated until it is settled.

        It is at most 4 (X + Y) times repeated.
        """
        return self.repeated(self.rewards(walls), goal, ROUNDS_PER_CELL * sum(walls.shape))

    def rewards(self, walls: Array) -> Array:
        """Return what each action costs at each cell of walls [X, Y], negative, [X, Y, A]."""
        features = np.maximum(_around(walls, 1.0) @ self.look[0].T + self.look[1], 0.0)
        found: Array = -STEEP * np.logaddexp(0.0, features @ self.cost[0].T + self.cost[1])
        return found

    def repeated(self, rewards: Array, goal: Array, rounds: int) -> Array:
        """Return v [X, Y] after some rounds, or when it is settled; see `rewards`."""
        value, move = np.zeros_like(goal), np.ascontiguousarray(self.move.T)
        for _ in range(rounds):
            after: Array = (1.0 - goal) * (rewards + _around(value, None) @ move).max(axis=-1)
            if np.abs(after - value).max() < SETTLED:
                return after
            value = after
        return value


def _around(image: Array, outside: float | None) -> Array:
    """Return the 3 x 3 neighbourhood of each cell, shape [X, Y, 9]; None repeats the edge."""
    framed = np.pad(image, 1, mode='edge') if outside is None else np.pad(
        image, 1, constant_values=outside)
    windows = np.lib.stride_tricks.sliding_window_view(framed, (3, 3))
    return np.ascontiguousarray(windows.reshape(*image.shape, 9))
