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

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base_distance import point_distances
from diffusion_control.robots.distance_field import DistanceField
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.obstacles import SHAPE_CODE, Obstacle, ObstacleArrays
from diffusion_control.robots.scan import Scan

Array = NDArray[np.float64]
EXPLAINED_M = 0.15
TALL_M = 1e3
SPHERE, BOX, CYLINDER = (SHAPE_CODE[shape] for shape in ('sphere', 'box', 'cylinder'))
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
        flat = shadows(ObstacleArrays.pack(obstacles), height_m)
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


def shadows(solid: ObstacleArrays, height_m: float) -> ObstacleArrays:
    """Return what obstacles are to a base of a height [m], without those that cannot matter."""
    kept, code, centre, rotation, half, velocity = _shadows(
        solid.code, solid.centre_m, solid.rotation, solid.half_m, solid.velocity_m_s,
        solid.may_move, height_m)
    return ObstacleArrays(
        code[kept], centre[kept], rotation[kept], half[kept], velocity[kept],
        solid.may_move[kept])


def has_shadow(obstacle: Obstacle, height_m: float) -> bool:
    """Tell whether an obstacle matters to a base of a height [m]."""
    return len(shadows(ObstacleArrays.pack((obstacle,)), height_m).code) > 0


@kernel()
def _shadows(
    code: Any, centre: Any, rotation: Any, half: Any, velocity: Any, may_move: Any,
    height_m: float,
) -> Any:
    """Return which of k obstacles matter [k], and all their shadows as `ObstacleArrays` does."""
    count = len(code)
    kept = np.ones(count, dtype=np.bool_)
    kinds = np.full(count, CYLINDER)
    places, speeds, sizes = centre.copy(), velocity.copy(), np.zeros((count, 3))
    turns = np.zeros((count, 3, 3))
    for k in range(count):
        upright = code[k] != SPHERE and abs(rotation[k, 2, 2]) > UPRIGHT
        radius = math.sqrt(half[k, 0]**2 + half[k, 1]**2 + half[k, 2]**2)
        reach = half[k, 2] if upright else radius
        z = centre[k, 2]
        kept[k] = may_move[k] or not (z - reach > height_m or z + reach < 0.0)
        places[k, 2] = speeds[k, 2] = 0.0
        sizes[k, 2] = TALL_M / 2
        c, s = 1.0, 0.0
        if upright and code[k] == BOX:
            yaw = math.atan2(rotation[k, 1, 0], rotation[k, 0, 0])
            kinds[k], c, s = BOX, math.cos(yaw), math.sin(yaw)
            sizes[k, 0], sizes[k, 1] = half[k, 0], half[k, 1]
        elif upright:
            sizes[k, 0] = half[k, 0]
        elif code[k] == SPHERE and not may_move[k]:
            gap = max(z - height_m, -z, 0.0)
            sizes[k, 0] = math.sqrt(max(radius**2 - gap**2, 1e-12))
        else:
            sizes[k, 0] = radius
        turns[k, 0, 0] = turns[k, 1, 1] = c
        turns[k, 0, 1], turns[k, 1, 0], turns[k, 2, 2] = -s, s, 1.0
    return kept, kinds, places, turns, sizes, speeds
