# SPDX-License-Identifier: Apache-2.0
"""The nearest disc of a base to every obstacle, to the walls and to points, with slopes.

With n the gradient of a distance at the disc's centre p = (x, y) + R(yaw) c,

    d d / dt = n_x x' + n_y y' + n' R'(yaw) c yaw' - n' v_o,   R'(yaw) c = (-(p - o)_y, (p - o)_x),

for the axis o = (x, y) of turning. Rows: one an obstacle, then one a disc for the walls, then one
for the nearest points of each sector. The order is fixed: equal input, equal bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diffusion_control.robots.base_distance import disc_centres, shadow_distance
from diffusion_control.robots.distance import NOTHING_M
from diffusion_control.robots.distance_field import read
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.slope import distance_slope

SECTORS = 12
"""Around the base: the nearest point of each is a row of its own."""


@kernel()
def write_row(pose: Any, centre: Any, normal: Any, slope: Any) -> None:
    """Write the slope of a distance with this gradient at this centre."""
    slope[0], slope[1] = normal[0], normal[1]
    slope[2] = normal[1] * (centre[0] - pose[0]) - normal[0] * (centre[1] - pose[1])


@kernel()
def obstacle_rows(
    pose: Any, centres: Any, discs: Any, code: Any, centre: Any, rotation: Any, half: Any,
    distance: Any, slope: Any, normal: Any,
) -> None:
    """Write one row for each obstacle."""
    for k in range(code.shape[0]):
        least, best = math.inf, 0
        for d in range(discs.shape[0]):
            value = shadow_distance(
                code[k], rotation, half, k, centres[d, 0] - centre[k, 0],
                centres[d, 1] - centre[k, 1]) - discs[d, 2]
            if value < least:
                least, best = value, d
        distance[k] = distance_slope(
            code[k], rotation, half, k, centres[best, 0] - centre[k, 0],
            centres[best, 1] - centre[k, 1], 0.0, normal[k]) - discs[best, 2]
        write_row(pose, centres[best], normal[k], slope[k])


@kernel()
def wall_rows(
    pose: Any, centres: Any, discs: Any, field: Any, place: Any,
    distance: Any, slope: Any, normal: Any,
) -> None:
    """Write one row for each disc."""
    for d in range(discs.shape[0]):
        value, x, y = read(field, place, centres[d, 0], centres[d, 1])
        distance[d] = value - discs[d, 2]
        normal[d, 0], normal[d, 1], normal[d, 2] = x, y, 0.0
        write_row(pose, centres[d], normal[d], slope[d])


@kernel()
def point_rows(
    pose: Any, centres: Any, discs: Any, points: Any, distance: Any, slope: Any, normal: Any
) -> None:
    """Write one row for each of `SECTORS` sectors: its nearest point, 9 m where there is none."""
    distance[:] = NOTHING_M
    slope[:, :] = 0.0
    normal[:, :] = 0.0
    for p in range(points.shape[0]):
        angle = math.atan2(points[p, 1] - pose[1], points[p, 0] - pose[0])
        row = min(int((angle + math.pi) / (2.0 * math.pi) * len(distance)), len(distance) - 1)
        for d in range(discs.shape[0]):
            x, y = centres[d, 0] - points[p, 0], centres[d, 1] - points[p, 1]
            length = max(math.sqrt(x * x + y * y), 1e-9)
            if length - discs[d, 2] < distance[row]:
                distance[row] = length - discs[d, 2]
                normal[row, 0], normal[row, 1] = x / length, y / length
                write_row(pose, centres[d], normal[row], slope[row])


@kernel()
def nearest(
    pose: Any, discs: Any, code: Any, centre: Any, rotation: Any, half: Any,
    field: Any, place: Any, points: Any, distance: Any, slope: Any, normal: Any,
) -> None:
    """Write all rows: k obstacles, D walls, `SECTORS` points."""
    centres = np.empty((discs.shape[0], 3))
    disc_centres(pose, discs, centres)
    walls, sectors = code.shape[0], code.shape[0] + discs.shape[0]
    obstacle_rows(pose, centres, discs, code, centre, rotation, half, distance, slope, normal)
    wall_rows(pose, centres, discs, field, place, distance[walls:sectors], slope[walls:sectors],
              normal[walls:sectors])
    point_rows(pose, centres, discs, points, distance[sectors:], slope[sectors:],
               normal[sectors:])
