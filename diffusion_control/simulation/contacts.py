# SPDX-License-Identifier: Apache-2.0
"""Which shapes penetrate each other, and how far robot and obstacles are apart."""

from __future__ import annotations

from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.simulation.model import OBSTACLE_BIT, PlantModel
from diffusion_control.simulation.obstacle_set import AWAY_M

Array = NDArray[np.float64]
AWAY_BELOW_M = float(AWAY_M[2]) + 10.0


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
        self._carried = b''
        self.onsets: list[Onset] = []

    def reset(self) -> None:
        """Forget all contacts."""
        self._touching.clear()
        self.onsets.clear()

    def read(self, data: Any, time_s: float) -> tuple[int, int]:
        """Return the number of penetrating pairs of bodies: obstacles, self or wall.

        New pairs are appended to `onsets`.
        """
        contacts = data.contact if data.ncon else None
        if contacts is None or (
                self._rolling and contacts.geom.tobytes() == self._carried):
            if self._touching:
                self._touching.clear()
            return 0, 0
        depths = self._pairs(contacts)
        obstacles = 0
        for pair, (depth, obstacle) in depths.items():
            obstacles += obstacle
            if pair not in self._touching:
                kind = 'obstacle' if obstacle else 'self_or_wall'
                self.onsets.append(Onset(time_s, *pair, kind, depth))
        self._touching = set(depths)
        return obstacles, len(depths) - obstacles

    def _pairs(self, contacts: Any) -> dict[tuple[str, str], tuple[float, bool]]:
        """Return depth and kind of each penetrating pair of bodies.

        Pairs of shapes that do no more than carry the robot are kept: most steps have the same.
        """
        depths: dict[tuple[str, str], tuple[float, bool]] = {}
        shapes = contacts.geom
        pairs = [(pair, distance) for pair, distance in zip(
            shapes.tolist(), contacts.dist.tolist(), strict=True)
            if self._rolling.isdisjoint(pair)]
        if not pairs:
            self._carried = shapes.tobytes()
        for (first, second), distance in pairs:
            if distance >= 0.0:
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
        self._bound, self._witness = np.zeros_like(self._reach), np.zeros(6)

    def __call__(self, data: Any) -> float:
        """Return the least distance [m], negative in penetration; inf without obstacles.

        Those that are put away, far below the floor, are none.
        """
        best = np.inf
        if len(self._obstacles) == 0:
            return best
        bound, reach = self._bound, self._reach
        _bounds(data.geom_xpos, self._robot, self._obstacles, reach, bound)
        while True:
            row, column = divmod(int(bound.argmin()), len(self._obstacles))
            least = bound.item(row, column)
            if least >= best:
                return best
            limit = min(best, least + 2 * reach.item(row, column) + 0.01)
            best = min(best, mujoco.mj_geomDistance(
                self._model, data, self._robot.item(row), self._obstacles.item(column),
                limit, self._witness))
            bound[row, column] = np.inf


@kernel()
def _bounds(
    centres: Array, robot: NDArray[np.int64], obstacles: NDArray[np.int64], reach: Array,
    bound: Array,
) -> None:
    """Write the distances between bounding balls [m], shape [g, k]; inf of what is put away.

    Args:
        centres: Of all shapes [m], shape [shapes, 3].
        robot: Shapes of the robot, shape [g].
        obstacles: Shapes of the obstacles, shape [k].
        reach: Sums of the radii [m], shape [g, k].
        bound: Is overwritten, shape [g, k].
    """
    for i in range(robot.shape[0]):
        a = centres[robot[i]]
        for j in range(obstacles.shape[0]):
            b = centres[obstacles[j]]
            if b[2] < AWAY_BELOW_M:
                bound[i, j] = np.inf
                continue
            x, y, z = a[0] - b[0], a[1] - b[1], a[2] - b[2]
            bound[i, j] = np.sqrt(x * x + y * y + z * z) - reach[i, j]
