# SPDX-License-Identifier: Apache-2.0
"""The signed distance of a point to an obstacle with its gradient (numba kernels).

The distances are those of `distance.signed_distance`. The gradient n is a unit vector: outside of
an obstacle it points from the nearest point of the surface to the point, inside through the
nearest face. Where there is none (a centre, an axis, an edge) one of the one-sided ones is taken.
"""

from __future__ import annotations

import math
from typing import Any

from diffusion_control.robots.distance import NOTHING_M
from diffusion_control.robots.jit import kernel

TINY = 1e-12


@kernel(inline=True)
def sphere_slope(radius: float, dx: float, dy: float, dz: float, out: Any) -> float:
    """Return the distance to a sphere around 0, and write its gradient."""
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    scale = 1.0 / max(length, TINY)
    out[0], out[1], out[2] = dx * scale, dy * scale, dz * scale
    return length - radius


@kernel()
def local_slope(code: int, half: Any, k: int, x: float, y: float, z: float, out: Any) -> float:
    """Return the distance to a box or a cylinder in its own frame, and write its gradient."""
    w = abs(z) - half[k, 2]
    side_z = 1.0 if z >= 0.0 else -1.0
    if code == 2:
        u, v = abs(x) - half[k, 0], abs(y) - half[k, 1]
        ux, uy = 1.0 if x >= 0.0 else -1.0, 0.0
        side_y = 1.0 if y >= 0.0 else -1.0
    else:
        length = math.sqrt(x * x + y * y)
        scale = 1.0 / max(length, TINY)
        u, v, side_y = length - half[k, 0], -NOTHING_M, 0.0
        ux, uy = x * scale, y * scale
    inside = max(u, max(v, w))
    a, b, c = max(u, 0.0), max(v, 0.0), max(w, 0.0)
    if inside <= 0.0:
        a = 1.0 if u == inside else 0.0
        b = 1.0 if a == 0.0 and v == inside else 0.0
        c = 1.0 - a - b
    length = math.sqrt(a * a + b * b + c * c)
    out[0], out[1], out[2] = a * ux / length, (a * uy + b * side_y) / length, c * side_z / length
    return inside if inside <= 0.0 else length


@kernel()
def distance_slope(
    code: int, rotation: Any, half: Any, k: int, dx: float, dy: float, dz: float, out: Any
) -> float:
    """Return the distance of a point to obstacle k and write its gradient [3].

    (dx, dy, dz) is the point less the obstacle's centre, in the base frame like the gradient.
    """
    if code == 1:
        return sphere_slope(half[k, 0], dx, dy, dz, out)
    x = rotation[k, 0, 0] * dx + rotation[k, 1, 0] * dy + rotation[k, 2, 0] * dz
    y = rotation[k, 0, 1] * dx + rotation[k, 1, 1] * dy + rotation[k, 2, 1] * dz
    z = rotation[k, 0, 2] * dx + rotation[k, 1, 2] * dy + rotation[k, 2, 2] * dz
    distance = local_slope(code, half, k, x, y, z, out)
    a, b, c = out[0], out[1], out[2]
    for i in range(3):
        out[i] = rotation[k, i, 0] * a + rotation[k, i, 1] * b + rotation[k, i, 2] * c
    return distance
