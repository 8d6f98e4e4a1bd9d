# SPDX-License-Identifier: Apache-2.0
"""Which shapes penetrate each other, and how far robot and obstacles are apart."""

from __future__ import annotations

from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from diffusion_control.simulation.model import OBSTACLE_BIT, PlantModel

Array = NDArray[np.float64]


class Onset(NamedTuple):
    """A pair of bodies that begins to penetrate.

    Attributes:
        time_s: When [s].
        body_a: A link of the robot.
        body_b: Another link, `floor`, `wall K`, or `obstacle K`.
        kind: `obstacle` or `self_or_wall`.
        depth_m: Penetration at that instant [m].
    """

    time_s: float
    body_a: str
    body_b: str
    kind: str
    depth_m: float


class ContactSense:
    """Read MuJoCo's contacts after each step; what stands on the floor to be carried is left out.

    Args:
        plant: The model.
    """

    def __init__(self, plant: PlantModel) -> None:
        self._names = plant.geom_link
        self._robot, self._rolling = set(plant.robot_geoms.tolist()), plant.rolling_geoms
        self._is_obstacle = np.array(plant.model.geom_contype) == OBSTACLE_BIT
        self._touching: set[tuple[str, str]] = set()
        self.onsets: list[Onset] = []

    def reset(self) -> None:
        """Forget all contacts."""
        self._touching.clear()
        self.onsets.clear()

    def read(self, data: Any, time_s: float) -> tuple[int, int]:
        """Return the number of penetrating pairs of bodies: obstacles, self or wall.

        New pairs are appended to `onsets`.
        """
        if data.ncon == 0:
            if self._touching:
                self._touching.clear()
            return 0, 0
        depths = self._pairs(data)
        obstacles = 0
        for pair, (depth, obstacle) in depths.items():
            obstacles += obstacle
            if pair not in self._touching:
                kind = 'obstacle' if obstacle else 'self_or_wall'
                self.onsets.append(Onset(time_s, *pair, kind, depth))
        self._touching = set(depths)
        return obstacles, len(depths) - obstacles

    def _pairs(self, data: Any) -> dict[tuple[str, str], tuple[float, bool]]:
        """Return depth and kind of each penetrating pair of bodies."""
        depths: dict[tuple[str, str], tuple[float, bool]] = {}
        for (first, second), distance in zip(
                data.contact.geom.tolist(), data.contact.dist.tolist(), strict=True):
            if distance >= 0.0 or first in self._rolling or second in self._rolling:
                continue
            obstacle = bool(self._is_obstacle[first] or self._is_obstacle[second])
            if first not in self._robot:
                first, second = second, first
            pair = (self._names[first], self._names[second])
            depths[pair] = (max(-distance, depths.get(pair, (0.0, obstacle))[0]), obstacle)
        return depths


class ObstacleDistance:
    """Least distance between the robot's shapes and the obstacles.

    Pairs are taken in the order of the distance between their bounding balls, which is a lower
    bound; the search ends where that bound exceeds the least distance found (mj_geomDistance).

    Args:
        plant: The model.
    """

    def __init__(self, plant: PlantModel) -> None:
        self._model = plant.model
        self._robot, self._obstacles = plant.robot_geoms, plant.obstacle_geoms
        radius = np.array(plant.model.geom_rbound)
        self._reach = radius[self._robot][:, None] + radius[self._obstacles][None, :]
        self._witness = np.zeros(6)

    def __call__(self, data: Any) -> float:
        """Return the least distance [m], negative in penetration; inf without obstacles."""
        best = np.inf
        if len(self._obstacles) == 0:
            return best
        centres = data.geom_xpos
        gap = centres[self._robot][:, None, :] - centres[self._obstacles][None, :, :]
        bound = np.sqrt(np.einsum('gki,gki->gk', gap, gap)) - self._reach
        for flat in np.argsort(bound, axis=None).tolist():
            row, column = divmod(flat, len(self._obstacles))
            if bound[row, column] >= best:
                break
            limit = min(best, float(bound[row, column] + 2 * self._reach[row, column]) + 0.01)
            best = min(best, mujoco.mj_geomDistance(
                self._model, data, int(self._robot[row]), int(self._obstacles[column]),
                limit, self._witness))
        return best
