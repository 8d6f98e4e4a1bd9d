# SPDX-License-Identifier: Apache-2.0
"""The penetration cost of many poses of a base at once (numba kernel).

With the distance d_o of a disc to each obstacle and point, and d_w to the walls,

    cost = sum over discs  max(0, margin - d_o)^2
         + sum over discs  max(0, own_margin - d_w)^2
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diffusion_control.robots.base_distance import disc_centres
from diffusion_control.robots.distance import NOTHING_M
from diffusion_control.robots.distance_field import read
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.slope import distance_slope


@kernel()
def add_hinge(
    pose: Any, centre: Any, value: float, x: float, y: float, margin: float, slope: Any
) -> float:
    """Return max(0, margin - value)^2 and add its slope, for the gradient (x, y) of the value."""
    hinge = margin - value
    if hinge <= 0.0:
        return 0.0
    slope[0] -= 2.0 * hinge * x
    slope[1] -= 2.0 * hinge * y
    slope[2] -= 2.0 * hinge * (y * (centre[0] - pose[0]) - x * (centre[1] - pose[1]))
    return hinge * hinge


@kernel()
def evaluate(
    positions: Any, times_s: Any, discs: Any, code: Any, centre: Any, rotation: Any, half: Any,
    velocity: Any, field: Any, place: Any, points: Any, margin_m: float, own_margin_m: float,
    cost: Any, least: Any, slope: Any,
) -> None:
    """Write cost [L], least distance [L] and gradient [L, 3] of L poses."""
    centres, normal = np.empty((discs.shape[0], 3)), np.zeros(3)
    for i in range(positions.shape[0]):
        pose = positions[i]
        cost[i], least[i] = 0.0, NOTHING_M
        slope[i, :] = 0.0
        if not disc_centres(pose, discs, centres):
            cost[i], least[i] = math.inf, -NOTHING_M
            continue
        for d in range(discs.shape[0]):
            p, radius = centres[d], discs[d, 2]
            value, x, y = read(field, place, p[0], p[1])
            least[i] = min(least[i], value - radius)
            cost[i] += add_hinge(pose, p, value - radius, x, y, own_margin_m, slope[i])
            for k in range(code.shape[0]):
                value = distance_slope(
                    code[k], rotation, half, k, p[0] - centre[k, 0] - velocity[k, 0] * times_s[i],
                    p[1] - centre[k, 1] - velocity[k, 1] * times_s[i], 0.0, normal) - radius
                least[i] = min(least[i], value)
                cost[i] += add_hinge(pose, p, value, normal[0], normal[1], margin_m, slope[i])
            for k in range(points.shape[0]):
                a, b = p[0] - points[k, 0], p[1] - points[k, 1]
                enough = radius + max(margin_m, least[i])
                square = a * a + b * b
                if square >= enough * enough:
                    continue
                length = max(math.sqrt(square), 1e-9)
                least[i] = min(least[i], length - radius)
                cost[i] += add_hinge(
                    pose, p, length - radius, a / length, b / length, margin_m, slope[i])
