# SPDX-License-Identifier: Apache-2.0
"""References that try to hit something, within the joint limits: random ones and searched ones.

- `random`: every joint at full speed in a random direction, drawn anew every 0.4 s;
- `push`: down the gradient of the least distance to anything that this joint motion changes;
- `search`: a configuration in collision with an obstacle, found from many starts by gradient
  steps on the kinematic model, is approached in a straight line at full speed;
- `own`: the same for a collision of two own links or with the floor;
- `limits`: every joint to its nearer or farther limit, at full speed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.side import Sight
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.limits import DROOP_RAD
from diffusion_control.robots.nearest import OWN, Nearest
from diffusion_control.robots.obstacles import ObstacleArrays

Array = NDArray[np.float64]
KINDS = ('random', 'push', 'search', 'own', 'limits')
ANEW_S = 0.4
SEARCH_ANEW_S = 0.8
STARTS, STEPS, STEP_RAD = 8, 40, 0.08
DEEP_M = -0.02
LEAST_SLOPE = 0.05
GAIN_HZ = 8.0
CLEAR_RAD = 2e-3


class Adversary:
    """One source of references.

    Args:
        robot: Nominal robot.
        kind: One of `KINDS`.
        random: Source of chance.
        share: Share of the speed limits that is asked for.
    """

    def __init__(
        self, robot: Arm, kind: str, random: np.random.Generator, share: float = 0.9
    ) -> None:
        """Begin without a target."""
        self._robot, self.kind, self._random = robot, kind, random
        self._top = share * robot.limits.velocity_rad_s
        self._deceleration = 0.8 * share * robot.limits.acceleration_rad_s2
        inner = robot.limits.inset(DROOP_RAD + CLEAR_RAD)
        self._lower, self._upper = inner.lower_rad, inner.upper_rad
        self._target: Array | None = None
        self._velocity = np.zeros(robot.dof)
        self._until_s = -np.inf

    def velocity(self, position: Array, sight: Sight, now_s: float) -> Array:
        """Return the velocity [n] to go for from a commanded position [n]."""
        packed = ObstacleArrays.pack(sight.obstacles)
        if self.kind == 'push':
            asked = self._push(position, packed)
        else:
            if now_s >= self._until_s:
                self._choose(position, packed, now_s)
            asked = self._velocity if self._target is None else self._top * _longest_one(
                (self._target - position) * GAIN_HZ / self._top)
        return self._inside(position, asked)

    def _choose(self, position: Array, obstacles: ObstacleArrays, now_s: float) -> None:
        self._until_s = now_s + (ANEW_S if self.kind == 'random' else SEARCH_ANEW_S)
        self._target = None
        if self.kind == 'limits':
            ends = np.stack([self._lower, self._upper])
            pick = self._random.integers(0, 2, self._robot.dof)
            self._target = ends[pick, np.arange(self._robot.dof)]
        elif self.kind in ('search', 'own'):
            self._target = self._search(position, obstacles)
        if self._target is None:
            self._velocity = self._top * self._random.choice([-1.0, 1.0], self._robot.dof)

    def _near(self, position: Array, obstacles: ObstacleArrays, own: bool | None) -> Nearest:
        near = self._robot.collision.nearest(position, obstacles, np.zeros(len(obstacles.code)))
        moves = np.abs(near.slope).sum(axis=1) > LEAST_SLOPE
        if own is not None:
            moves &= (near.obstacle == OWN) == own
        return near.take(moves)

    def _push(self, position: Array, obstacles: ObstacleArrays) -> Array:
        near = self._near(position, obstacles, None)
        if not len(near.distance_m):
            return np.zeros(self._robot.dof)
        return np.asarray(-self._top * np.sign(near.slope[int(np.argmin(near.distance_m))]))

    def _search(self, position: Array, obstacles: ObstacleArrays) -> Array | None:
        """Return the nearest configuration found that is in collision, or None."""
        best, best_way = None, np.inf
        for start in range(STARTS):
            q = position.copy()
            if start:
                q = np.clip(q + self._random.normal(size=q.shape) * 0.5, self._lower, self._upper)
            found = self._descend(q, obstacles)
            way = np.inf if found is None else float((np.abs(found - position) / self._top).max())
            if way < best_way:
                best, best_way = found, way
        return best

    def _descend(self, position: Array, obstacles: ObstacleArrays) -> Array | None:
        q = position
        for _ in range(STEPS):
            near = self._near(q, obstacles, self.kind == 'own')
            if not len(near.distance_m):
                return None
            least = int(np.argmin(near.distance_m))
            if near.distance_m[least] < DEEP_M:
                return q
            slope = near.slope[least]
            q = np.clip(q - STEP_RAD * slope / np.linalg.norm(slope), self._lower, self._upper)
        return None

    def _inside(self, position: Array, asked: Array) -> Array:
        """Return the velocity from which a reference can still stop inside the joint limits."""
        up = np.sqrt(2 * self._deceleration * np.maximum(self._upper - position, 0.0))
        down = np.sqrt(2 * self._deceleration * np.maximum(position - self._lower, 0.0))
        lag = self._deceleration * 0.08
        return np.asarray(np.clip(
            asked, -np.maximum(down - lag, 0.0), np.maximum(up - lag, 0.0)))


def _longest_one(values: Array) -> Array:
    """Return values scaled so that none exceeds 1."""
    return np.asarray(values / max(1.0, float(np.abs(values).max())))
