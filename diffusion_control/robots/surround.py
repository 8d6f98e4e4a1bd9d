# SPDX-License-Identifier: Apache-2.0
"""What surrounds a base, as the arrays that its kernels read: obstacles, map and scan.

A base sees the plane: every obstacle is its shadow on the floor. A sphere is the disc that it
fills between floor and the base's height, an upright box or cylinder is itself, a tilted one its
bounding cylinder. What stands and does not reach down to the base's height is left out; what may
move is kept, wherever it is.

A point of the scan is *explained* where the map is occupied within 0.15 m or where it lies within
0.15 m of a known obstacle. Known obstacles stand for their own points, which are left out; points
of the map are kept, standing; any other may move, as fast as obstacles may, in any direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base_distance import point_distances
from diffusion_control.robots.distance_field import DistanceField
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays, rotation_matrix
from diffusion_control.robots.scan import Scan

Array = NDArray[np.float64]
EXPLAINED_M = 0.15
TALL_M = 1e3
UPRIGHT = 0.999


@dataclass(frozen=True)
class Surround(ObstacleArrays):
    """Obstacles as shadows on the floor, the map's distance field, and points of the scan.

    Attributes:
        field: Of the map.
        points: What the scan saw that no obstacle explains, shape [P, 2] [m].
        points_may_move: False where the map explains it, shape [P].
    """

    field: DistanceField
    points: Array
    points_may_move: NDArray[np.bool_]

    @classmethod
    def of(
        cls, obstacles: tuple[Obstacle, ...], height_m: float, field: DistanceField,
        scan: Scan | None = None,
    ) -> Surround:
        """Return what surrounds a base of a height [m]."""
        shadows = [shadow(o, height_m) for o in obstacles]
        flat = ObstacleArrays.pack(tuple(o for o in shadows if o is not None))
        points = np.zeros((0, 2)) if scan is None else np.ascontiguousarray(scan.points())
        moves = np.zeros(len(points), dtype=np.bool_)
        if len(points):
            known = np.empty(len(points))
            point_distances(
                points, flat.code, flat.centre_m, flat.rotation, flat.half_m, known)
            moves = field.at(points) > EXPLAINED_M
            kept = known > EXPLAINED_M
            points, moves = np.ascontiguousarray(points[kept]), moves[kept]
        return cls(flat.code, flat.centre_m, flat.rotation, flat.half_m, flat.velocity_m_s,
                   flat.may_move, field, points, moves)


def shadow(obstacle: Obstacle, height_m: float) -> Obstacle | None:
    """Return an obstacle's shadow as an upright box or cylinder; None where it cannot matter."""
    x, y, z = obstacle.position_m
    velocity = np.array([*obstacle.velocity_m_s[:2], 0.0])
    rotation = rotation_matrix(obstacle.quaternion)
    upright = obstacle.shape != 'sphere' and abs(rotation[2, 2]) > UPRIGHT
    half_m = obstacle.bounding_radius_m
    if upright:
        half_m = obstacle.size_m[-1] / 2
    if not obstacle.may_move and (z - half_m > height_m or z + half_m < 0.0):
        return None
    place = np.array([x, y, 0.0])
    if upright and obstacle.shape == 'box':
        yaw = float(np.arctan2(rotation[1, 0], rotation[0, 0]))
        return Obstacle('box', (*obstacle.size_m[:2], TALL_M), place,
                        np.array([0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)]), velocity,
                        obstacle.key, obstacle.may_move)
    radius = obstacle.size_m[0] if upright else obstacle.bounding_radius_m
    if obstacle.shape == 'sphere' and not obstacle.may_move:
        gap = max(z - height_m, -z, 0.0)
        radius = float(np.sqrt(max(radius**2 - gap**2, 1e-12)))
    return Obstacle('cylinder', (radius, TALL_M), place, velocity_m_s=velocity,
                    key=obstacle.key, may_move=obstacle.may_move)
