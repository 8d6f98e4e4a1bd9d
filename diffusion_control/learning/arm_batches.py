# SPDX-License-Identifier: Apache-2.0
"""Batches of demonstrations: turned, reversed, coded, with the inputs of the network.

The first joint of an arm turns about the vertical, so a question may be turned about it; and a
motion from rest to rest may be run backwards. Both make other questions with known answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.learning.data_set import MOST_OBSTACLES, Demonstrations
from diffusion_control.planners.arm_features import ArmFeatures
from diffusion_control.planners.motion_code import MotionCode
from diffusion_control.planners.spline_problem import LIMIT_INSET_RAD
from diffusion_control.robots.planar import turned, turned_frames
from diffusion_control.trajectory.spline import straight

Array = NDArray[np.float64]
TURNED_SHARE = 0.9


@dataclass(frozen=True)
class Batch:
    """B questions with their answers.

    Attributes:
        inputs: Of the condition encoder, by name, float32, leading axis B.
        code: Answers, shape [B, F, n], float32.
        chosen: The demonstrations as they were turned and reversed.
    """

    inputs: dict[str, NDArray[np.float32]]
    code: NDArray[np.float32]
    chosen: Demonstrations


def shortest(data: Demonstrations, ratio: float) -> Demonstrations:
    """Return the demonstrations that last at most `ratio` times the shortest of their scene."""
    _, index = np.unique(data.scene, return_inverse=True)
    least = np.full(index.max() + 1, np.inf)
    np.minimum.at(least, index, data.duration)
    return data.take(data.duration <= ratio * least[index])


class ArmBatches:
    """Draws batches; equal step and rank give equal batches.

    Args:
        robot: The arm.
        data: Demonstrations.
        seed: Of all draws.
        reverse: Run half of the motions backwards.
    """

    def __init__(
        self, robot: Any, data: Demonstrations, *, seed: int, reverse: bool = True
    ) -> None:
        self._data, self._seed, self._reverse = data, seed, reverse
        self._lower = float(robot.limits.lower_rad[0]) + LIMIT_INSET_RAD
        self._upper = float(robot.limits.upper_rad[0]) - LIMIT_INSET_RAD
        self.features = ArmFeatures(robot)
        residual = data.free - straight(data.start, data.goal)
        both = [residual, residual[:, ::-1]] if reverse else [residual]
        self.code = MotionCode.fit(np.concatenate(both))

    def draw(self, step: int, rank: int, count: int) -> tuple[Batch, np.random.Generator]:
        """Return the batch of a step in one process, and the generator for its noise."""
        generator = np.random.default_rng([self._seed, step, rank])
        chosen = self._data.take(generator.integers(0, len(self._data), count))
        if self._reverse:
            chosen = _reversed(chosen, generator)
        chosen = self._turned(chosen, generator)
        code = self.code.encode(chosen.free, straight(chosen.start, chosen.goal))
        return Batch(self._inputs(chosen), code, chosen), generator

    def _turned(self, data: Demonstrations, generator: np.random.Generator) -> Demonstrations:
        """Return most of them turned about the vertical by angles that the first joint allows."""
        along = np.concatenate(
            [data.free[:, :, 0], data.start[:, :1], data.goal[:, :1]], axis=1)
        low, high = self._lower - along.min(1), self._upper - along.max(1)
        angle = generator.uniform(low, np.maximum(high, low + 1e-9))
        angle = np.where(
            (generator.random(len(data)) < TURNED_SHARE) & (low < 0) & (high > 0), angle, 0.0)
        first = np.eye(data.start.shape[1])[0]
        about = np.stack([np.zeros_like(angle), np.zeros_like(angle), angle], 1)[:, None]
        return replace(
            data, start=data.start + angle[:, None] * first,
            goal=data.goal + angle[:, None] * first,
            free=data.free + angle[:, None, None] * first,
            centre=turned(about, data.centre), rotation=turned_frames(about, data.rotation))

    def _inputs(self, data: Demonstrations) -> dict[str, NDArray[np.float32]]:
        """Return the inputs of the encoder, obstacles padded."""
        lengths, count = self.features.lengths, len(data)
        inputs = {
            'state': np.zeros((count, lengths['state']), np.float32),
            'goal': np.zeros((count, lengths['goal']), np.float32),
            'obstacles': np.zeros((count, MOST_OBSTACLES, lengths['obstacles']), np.float32),
            'obstacle_mask': np.zeros((count, MOST_OBSTACLES), np.float32)}
        for row in range(count):
            found = self.features(data.start[row], data.goal[row], data.obstacles(row))
            for name, value in found.items():
                inputs[name][row, :value.shape[1]] = value[0]
        return inputs


def _reversed(data: Demonstrations, generator: np.random.Generator) -> Demonstrations:
    """Return half of them run backwards."""
    back = generator.random(len(data)) < 0.5
    return replace(
        data, start=np.where(back[:, None], data.goal, data.start),
        goal=np.where(back[:, None], data.start, data.goal),
        free=np.where(back[:, None, None], data.free[:, ::-1], data.free))
