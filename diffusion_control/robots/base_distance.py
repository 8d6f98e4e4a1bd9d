# SPDX-License-Identifier: Apache-2.0
"""Distances of a base's discs to obstacles, walls and points of the scan (numba kernels).

A disc has its centre at p = (x, y) + R(yaw) c and the radius r. Obstacles are shadows on the
floor (`surround`), so theirs is a distance in the plane; walls are read from the distance field, a
point q has the distance |p - q| - r. All are 1-Lipschitz in the centre but for the field, whose
interpolation is so to 1.42. No fast-math, fixed order: equal input, equal bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diffusion_control.robots.distance import NOTHING_M
from diffusion_control.robots.distance_field import read
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.obstacles import SHAPE_CODE

BOX = SHAPE_CODE['box']


@kernel()
def disc_centres(pose: Any, discs: Any, out: Any) -> bool:
    """Write the centres [D, 3] of the discs (height 0); return whether the pose is finite."""
    c, s = math.cos(pose[2]), math.sin(pose[2])
    for d in range(discs.shape[0]):
        out[d, 0] = pose[0] + c * discs[d, 0] - s * discs[d, 1]
        out[d, 1] = pose[1] + s * discs[d, 0] + c * discs[d, 1]
        out[d, 2] = 0.0
    return math.isfinite(pose[0]) and math.isfinite(pose[1]) and math.isfinite(pose[2])


@kernel(inline=True)
def planar_distance(
    box: bool, c: float, s: float, half_x: float, half_y: float, dx: float, dy: float
) -> float:
    """Return the distance of a point to a disc of radius `half_x`, or to a box.

    (c, s) is the direction of the box's first axis; (dx, dy) = point - centre.
    """
    if not box:
        return math.sqrt(dx * dx + dy * dy) - half_x
    u = abs(c * dx + s * dy) - half_x
    v = abs(c * dy - s * dx) - half_y
    inside = max(u, v)
    if inside <= 0.0:
        return inside
    u, v = max(u, 0.0), max(v, 0.0)
    return math.sqrt(u * u + v * v)


@kernel(inline=True)
def shadow_distance(code: int, rotation: Any, half: Any, k: int, dx: float, dy: float) -> float:
    """Return the distance of a point to the shadow of obstacle k; (dx, dy) = point - its centre.

    `distance.signed_distance` at height 0 for what is upright and tall, in a third of the time.
    """
    return planar_distance(
        code == BOX, rotation[k, 0, 0], rotation[k, 1, 0], half[k, 0], half[k, 1], dx, dy)


@kernel()
def point_distances(
    points: Any, code: Any, centre: Any, rotation: Any, half: Any, out: Any
) -> None:
    """Write the least distance of each point [P, 2] to the obstacles, shape [P] [m]."""
    for p in range(points.shape[0]):
        out[p] = NOTHING_M
        for k in range(code.shape[0]):
            out[p] = min(out[p], shadow_distance(
                code[k], rotation, half, k,
                points[p, 0] - centre[k, 0], points[p, 1] - centre[k, 1]))


@kernel()
def points_distance(
    centres: Any, discs: Any, points: Any, may_move: Any, moving: bool, least: float
) -> float:
    """Return `least`, or the least distance of the discs to the points of one kind if less."""
    for p in range(points.shape[0]):
        if may_move[p] != moving:
            continue
        for d in range(discs.shape[0]):
            x, y = centres[d, 0] - points[p, 0], centres[d, 1] - points[p, 1]
            enough = max(least + discs[d, 2], 0.0)
            square = x * x + y * y
            if square < enough * enough:
                least = min(least, math.sqrt(square) - discs[d, 2])
    return least


@kernel()
def walls_distance(centres: Any, discs: Any, field: Any, place: Any) -> float:
    """Return the least distance of the discs to the walls."""
    least = NOTHING_M
    for d in range(discs.shape[0]):
        least = min(least, read(field, place, centres[d, 0], centres[d, 1])[0] - discs[d, 2])
    return least


@kernel()
def path_clearance(
    positions: Any, times_s: Any, discs: Any,
    code: Any, centre: Any, rotation: Any, half: Any, velocity: Any,
    field: Any, place: Any, points: Any, may_move: Any, obstacle_out: Any, own_out: Any,
) -> None:
    """Write the distance to obstacles and to walls at each of L poses.

    Points that may move count with the obstacles, the others with the walls.

    Args:
        positions: Shape [L, 3].
        times_s: Time of each pose after the obstacles were seen, shape [L] [s].
        discs: Centre in the body's frame and radius, shape [D, 3] [m].
        code: The arrays of `surround.Surround`, like the next eight.
        centre: Shape [k, 3].
        rotation: Shape [k, 3, 3].
        half: Shape [k, 3].
        velocity: Shape [k, 3].
        field: Shape [H, W].
        place: Shape [5].
        points: Shape [P, 2].
        may_move: Shape [P].
        obstacle_out: Shape [L] [m].
        own_out: Shape [L] [m].
    """
    centres = np.empty((discs.shape[0], 3))
    for i in range(positions.shape[0]):
        finite = disc_centres(positions[i], discs, centres)
        if not finite or not math.isfinite(times_s[i]):
            obstacle_out[i] = own_out[i] = -NOTHING_M
            continue
        least = NOTHING_M
        for k in range(code.shape[0]):
            x = centre[k, 0] + velocity[k, 0] * times_s[i]
            y = centre[k, 1] + velocity[k, 1] * times_s[i]
            for d in range(discs.shape[0]):
                least = min(least, shadow_distance(
                    code[k], rotation, half, k, centres[d, 0] - x, centres[d, 1] - y)
                    - discs[d, 2])
        obstacle_out[i] = points_distance(centres, discs, points, may_move, True, least)
        own_out[i] = points_distance(
            centres, discs, points, may_move, False,
            walls_distance(centres, discs, field, place))
