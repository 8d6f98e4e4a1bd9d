# SPDX-License-Identifier: Apache-2.0
"""The collision model of a base: discs, and their distances to obstacles, walls and points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots import base_cost, base_distance, base_nearest, base_reach
from diffusion_control.robots.distance_field import DistanceField
from diffusion_control.robots.nearest import ALL_ROWS, OWN, Nearest, nearest_rows
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.scan import Scan
from diffusion_control.robots.surround import Surround

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]


class BaseCollision:
    """Distances of a base's discs; see `protocol.Collision` for what each method returns.

    The union of the discs contains the footprint, so every distance is at most the true one. The
    second distance, to self and floor of an arm, is the one to walls: to the map and to points of
    the scan that it explains. What is packed without a map (`ObstacleArrays`) has none.

    Attributes:
        discs: Centre in the body's frame and radius, shape [D, 3] [m].
        height_m: Height of the robot: what is wholly above does not count [m].
    """

    def __init__(self, discs: Array, height_m: float) -> None:
        """Take over the shape."""
        self.discs = np.ascontiguousarray(discs, dtype=float)
        self.height_m = height_m
        self._lever_m = float(np.hypot(self.discs[:, 0], self.discs[:, 1]).max())

    @property
    def radius(self) -> Array:
        """Radii of the discs, shape [D] [m]."""
        return self.discs[:, 2]

    def surround(self, obstacles: ObstacleArrays) -> Surround:
        """Return the surroundings; plain obstacles are without map and scan."""
        if isinstance(obstacles, Surround):
            return obstacles
        o = obstacles
        return Surround(
            o.code, o.centre_m, o.rotation, o.half_m, o.velocity_m_s, o.may_move,
            DistanceField.empty(), np.zeros((0, 2)), np.zeros(0, dtype=np.bool_))

    def centres(self, position: Array) -> Array:
        """Return the centres of all discs at a pose [3], shape [D, 3] [m]."""
        out = np.empty((len(self.discs), 3))
        base_distance.disc_centres(_vector(position), self.discs, out)
        return out

    def clearance(self, position: Array, obstacles: ObstacleArrays) -> tuple[float, float]:
        """Return the distance to obstacles and to walls at one pose [3] [m]."""
        obstacle, own = self.path_clearance(_vector(position)[None], np.zeros(1), obstacles)
        return float(obstacle[0]), float(own[0])

    def path_clearance(
        self, positions: Array, times_s: Array, obstacles: ObstacleArrays
    ) -> tuple[Array, Array]:
        """Return both distances at L poses [L, 3], obstacles moved on by velocity * time."""
        obstacle, own = np.empty(len(positions)), np.empty(len(positions))
        s = self.surround(obstacles)
        base_distance.path_clearance(
            _vector(positions), _vector(times_s), self.discs, s.code, s.centre_m, s.rotation,
            s.half_m, s.velocity_m_s, s.field.distance_m, s.field.place, s.points,
            s.points_may_move, obstacle, own)
        return obstacle, own

    def reach_clearance(
        self, positions: Array, times_s: Array, obstacles: ObstacleArrays, *,
        speed_m_s: float = 0.5, acceleration_m_s2: float = 2.0, velocity_error_m_s: float,
        turning_s: float = math.inf, spread_s: float = 0.0,
        give_up_m: tuple[float, float, float] = (-math.inf, -math.inf, 0.0),
    ) -> tuple[Array, Array]:
        """Return lower bounds of both distances to all that movers can reach, see `base_reach`."""
        obstacle, own = np.empty(len(positions)), np.empty(len(positions))
        s = self.surround(obstacles)
        base_reach.reach_clearance(
            _vector(positions), _vector(times_s), self.discs, self._lever_m, s.code, s.centre_m,
            s.rotation, s.half_m, s.velocity_m_s, s.may_move, s.field.distance_m, s.field.place,
            s.points, s.points_may_move,
            np.array([speed_m_s, acceleration_m_s2, velocity_error_m_s, turning_s, spread_s,
                      *give_up_m]), obstacle, own)
        return obstacle, own

    def nearest(
        self, position: Array, obstacles: ObstacleArrays, times_s: Array, *,
        limit: int = ALL_ROWS,
    ) -> Nearest:
        """Return the nearest pairs: discs and obstacles, discs and walls, discs and points."""
        s = self.surround(obstacles)
        moved = s.centre_m + s.velocity_m_s * times_s[:, None]
        outer = len(s.code)
        count = outer + len(self.discs) + base_nearest.SECTORS
        distance, slope, normal = np.empty(count), np.empty((count, 3)), np.empty((count, 3))
        base_nearest.nearest(
            _vector(position), self.discs, s.code, moved, s.rotation, s.half_m,
            s.field.distance_m, s.field.place, s.points, distance, slope, normal)
        if count > limit:
            return Nearest(*nearest_rows(distance, slope, normal, limit, outer, max(outer, 1)))
        obstacle = np.full(count, OWN, dtype=np.int64)
        obstacle[:outer] = np.arange(outer)
        return Nearest(distance, slope, normal, obstacle)

    def cost(
        self, positions: Array | Array32, times_s: Array | Array32, obstacles: ObstacleArrays,
        margin_m: float, own_margin_m: float, gradient: bool,
    ) -> tuple[Array32, Array32, Array32 | None]:
        """Return cost [L], least distance [L] and gradient [L, 3] of poses, see `base_cost`."""
        s, count = self.surround(obstacles), len(positions)
        cost, least, slope = np.empty(count), np.empty(count), np.empty((count, 3))
        base_cost.evaluate(
            _vector(positions), _vector(times_s), self.discs, s.code, s.centre_m, s.rotation,
            s.half_m, s.velocity_m_s, s.field.distance_m, s.field.place, s.points, margin_m,
            own_margin_m, cost, least, slope)
        return (cost.astype(np.float32), least.astype(np.float32),
                slope.astype(np.float32) if gradient else None)

    def warm_up(self) -> None:
        """Compile every kernel by calling it once, and import what maps need."""
        far = np.array([3.0, 0.0, 0.0])
        obstacles = (Obstacle('box', (0.1, 0.1, 0.1), far),
                     Obstacle('sphere', (0.1,), far, may_move=True))
        scan = Scan(0.0, 0.0, 0.1, np.array([2.0, 4.0]), 0.1, 5.0)
        known = OccupancyMap(1.0, np.array([5.0, 5.0, 0.0]), np.full((1, 2), 100, dtype=np.int8))
        around = Surround.of(obstacles, self.height_m, DistanceField.of(known), scan)
        positions, times = np.zeros((2, 3)), np.array([0.0, 0.1])
        self.centres(positions[0])
        self.clearance(positions[0], around)
        self.reach_clearance(positions, times, around, velocity_error_m_s=0.1)
        self.nearest(positions[0], around, np.zeros(2), limit=2)
        self.cost(positions, times, around, 0.02, 0.01, True)


def _vector(value: Any) -> Array:
    """Return contiguous float64, without a copy where it already is."""
    return np.ascontiguousarray(value, dtype=np.float64)
