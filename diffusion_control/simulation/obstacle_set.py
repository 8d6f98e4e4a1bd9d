# SPDX-License-Identifier: Apache-2.0
"""The obstacles of a running simulation: they move, jump, vanish and come back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.movers import Mover
from diffusion_control.simulation.wanderer import REGION_M, Wanderer

Array = NDArray[np.float64]
AWAY_M = np.array([0.0, 0.0, -50.0])
ZERO = np.zeros(3)


@dataclass(frozen=True)
class Placement:
    """A pose that a fault puts an obstacle at; position None has removed it."""

    position_m: Array | None
    quaternion: Array


class ObstacleSet:
    """Poses of k obstacles over time.

    An obstacle follows its own motion (`movers`, `wanderer`) unless it was placed or removed.

    Args:
        obstacles: Those of the scene, then the spare ones.
        spare: How many of the last ones are spare: removed until they are placed.
        wander_seed: Movers turn at random, by this seed; None lets them go to and fro.
        region_m: Where movers that turn at random stay, see `Wanderer.of`.
    """

    def __init__(
        self, obstacles: tuple[Obstacle, ...], spare: int, wander_seed: int | None = None,
        region_m: Array = REGION_M,
    ) -> None:
        self._first_spare = len(obstacles) - spare
        self.obstacles = tuple(
            replace(o, key=o.key or f'scene/{k}', may_move=bool(np.any(o.velocity_m_s)))
            for k, o in enumerate(obstacles))
        random = None if wander_seed is None else np.random.default_rng([wander_seed, 0x3A9D])
        self._movers: list[Mover | Wanderer] = [
            Mover.of(obstacle) if random is None or not obstacle.may_move
            else Wanderer.of(obstacle, random, region_m) for obstacle in self.obstacles]
        self._moving = [k for k, mover in enumerate(self._movers) if mover.speed_m_s > 0.0]
        self._placed: dict[int, Placement] = {}
        self.activation_s: float | None = None
        self.position_m = np.zeros((len(obstacles), 3))
        self.quaternion_wxyz = np.zeros((len(obstacles), 4))
        self.reset(0.0)

    def __len__(self) -> int:
        """Return the number of obstacles, spare and removed ones included."""
        return len(self.obstacles)

    def reset(self, activation_s: float | None) -> None:
        """Undo all faults; movers start at `activation_s`, or wait where it is None."""
        self._placed.clear()
        self.activation_s = activation_s
        for index in range(self._first_spare, len(self.obstacles)):
            self._placed[index] = Placement(None, self.obstacles[index].quaternion)
        for index in range(len(self.obstacles)):
            self._put(index, activation_s or 0.0)

    def advance(self, time_s: float) -> bool:
        """Move the movers to ROS time `time_s`; return whether anything moves at all."""
        since_s, centre = self._since(time_s), self.position_m
        for index in self._moving:
            if index not in self._placed:
                x, y, z = self._movers[index].place(since_s)
                centre[index, 0], centre[index, 1], centre[index, 2] = x, y, z
        return bool(self._moving)

    def place(self, index: int, position_m: Array, quaternion: Array | None) -> None:
        """Put an obstacle at a pose (quaternion x, y, z, w), where it stands."""
        turn = self.obstacles[self._known(index)].quaternion if quaternion is None else quaternion
        placed = replace(self.obstacles[index], position_m=np.array(position_m, dtype=float),
                         quaternion=np.array(turn, dtype=float))
        self._placed[index] = Placement(placed.position_m, placed.quaternion)
        self._put(index, 0.0)

    def remove(self, index: int) -> None:
        """Take an obstacle out of the scene."""
        self._placed[self._known(index)] = Placement(None, self.obstacles[index].quaternion)
        self._put(index, 0.0)

    def restore(self, index: int, time_s: float) -> None:
        """Give an obstacle back to its own motion; a spare one is removed."""
        if self._known(index) >= self._first_spare:
            self.remove(index)
            return
        self._placed.pop(index, None)
        self._put(index, time_s)

    def now(self, time_s: float) -> tuple[Obstacle, ...]:
        """Return the obstacles that are there, with true positions and velocities."""
        present = []
        for index, obstacle in enumerate(self.obstacles):
            placed = self._placed.get(index)
            if placed is None:
                position, velocity = self._motion(index, time_s)
                present.append(replace(obstacle, position_m=position, velocity_m_s=velocity))
            elif placed.position_m is not None:
                present.append(replace(
                    obstacle, position_m=placed.position_m, quaternion=placed.quaternion,
                    velocity_m_s=ZERO.copy()))
        return tuple(present)

    def places(self, time_s: float) -> dict[int, list[float]]:
        """Return the centres [m] of those that `now` returns, in its order, by their number."""
        since_s, found = self._since(time_s), {}
        for index, mover in enumerate(self._movers):
            placed = self._placed.get(index)
            if placed is None:
                found[index] = mover.place(since_s)
            elif placed.position_m is not None:
                found[index] = placed.position_m.tolist()
        return found

    def _motion(self, index: int, time_s: float) -> tuple[Array, Array]:
        return self._movers[index].at(self._since(time_s))

    def _since(self, time_s: float) -> float:
        return -1.0 if self.activation_s is None else time_s - self.activation_s

    def _put(self, index: int, time_s: float) -> None:
        placed = self._placed.get(index)
        x, y, z, w = (self.obstacles[index] if placed is None else placed).quaternion
        self.quaternion_wxyz[index] = (w, x, y, z)
        if placed is None:
            self.position_m[index] = self._motion(index, time_s)[0]
        else:
            self.position_m[index] = AWAY_M if placed.position_m is None else placed.position_m

    def _known(self, index: int) -> int:
        if not 0 <= index < len(self.obstacles):
            raise ConfigurationError(
                'no such obstacle', where='simulation obstacle', value=index,
                allowed=f'0 .. {len(self.obstacles) - 1}')
        return index
