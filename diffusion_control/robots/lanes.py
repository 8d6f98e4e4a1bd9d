# SPDX-License-Identifier: Apache-2.0
"""Inner loops of the batch cost: LANES configurations side by side in float32 (numba).

Arrays are laid out as [.., LANES], so that LLVM turns each loop over lanes into vector code.
A gradient argument of None removes its branch at
compile time. Fast-math here may contract and reassociate, but keeps NaN and infinity.
With h = max(0, margin - d) the loops add h^2 to `cost`, take the minimum of d into `near`, and add
-h * (gradient of d) to (gx, gy, gz), which is half the gradient of h^2.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

LANES = 32
FAST = {'contract', 'reassoc', 'nsz', 'arcp'}
OPTIONS = {'cache': True, 'fastmath': FAST, 'error_model': 'numpy'}
ZERO, ONE = np.float32(0.0), np.float32(1.0)
TINY = np.float32(1e-9)
"""Added under a square root, so that the gradient is finite at distance 0 [m^2]."""


@nb.njit(**OPTIONS)
def sphere(
    s: int, x: Any, y: Any, z: Any, time: Any, row: Any, radius: Any, margin: Any,
    gx: Any, gy: Any, gz: Any, cost: Any, near: Any,
) -> None:
    """Add the cost of sphere s against a spherical obstacle."""
    ox, oy, oz, vx, vy, vz = row[1], row[2], row[3], row[4], row[5], row[6]
    both = row[7] + radius
    for k in range(LANES):
        dx = x[s, k] - ox - vx * time[k]
        dy = y[s, k] - oy - vy * time[k]
        dz = z[s, k] - oz - vz * time[k]
        norm = math.sqrt(dx * dx + dy * dy + dz * dz + TINY)
        d = norm - both
        h = margin - d
        h = h if h > ZERO else ZERO
        cost[k] += h * h
        near[k] = d if d < near[k] else near[k]
        if gx is not None:
            u = h / norm
            gx[s, k] -= u * dx
            gy[s, k] -= u * dy
            gz[s, k] -= u * dz


@nb.njit(**OPTIONS)
def box(
    s: int, x: Any, y: Any, z: Any, time: Any, row: Any, radius: Any, margin: Any,
    gx: Any, gy: Any, gz: Any, cost: Any, near: Any,
) -> None:
    """Add the cost of sphere s against a box."""
    ox, oy, oz, vx, vy, vz = row[1], row[2], row[3], row[4], row[5], row[6]
    hx, hy, hz = row[7], row[8], row[9]
    r0, r1, r2, r3, r4, r5 = row[10], row[11], row[12], row[13], row[14], row[15]
    r6, r7, r8 = row[16], row[17], row[18]
    for k in range(LANES):
        dx = x[s, k] - ox - vx * time[k]
        dy = y[s, k] - oy - vy * time[k]
        dz = z[s, k] - oz - vz * time[k]
        a = r0 * dx + r3 * dy + r6 * dz
        b = r1 * dx + r4 * dy + r7 * dz
        c = r2 * dx + r5 * dy + r8 * dz
        u, v, w = abs(a) - hx, abs(b) - hy, abs(c) - hz
        top = u if u > v else v
        top = top if top > w else w
        pu, pv, pw = u if u > ZERO else ZERO, v if v > ZERO else ZERO, w if w > ZERO else ZERO
        norm = math.sqrt(pu * pu + pv * pv + pw * pw + TINY)
        d = (norm if top > ZERO else top) - radius
        h = margin - d
        h = h if h > ZERO else ZERO
        cost[k] += h * h
        near[k] = d if d < near[k] else near[k]
        if gx is not None:
            scale = h / norm
            pu = scale * pu if top > ZERO else (h if u >= top else ZERO)
            pv = scale * pv if top > ZERO else (h if v >= top else ZERO)
            pw = scale * pw if top > ZERO else (h if w >= top else ZERO)
            pu, pv, pw = (
                pu if a > ZERO else -pu, pv if b > ZERO else -pv, pw if c > ZERO else -pw)
            gx[s, k] -= r0 * pu + r1 * pv + r2 * pw
            gy[s, k] -= r3 * pu + r4 * pv + r5 * pw
            gz[s, k] -= r6 * pu + r7 * pv + r8 * pw


@nb.njit(**OPTIONS)
def cylinder(
    s: int, x: Any, y: Any, z: Any, time: Any, row: Any, radius: Any, margin: Any,
    gx: Any, gy: Any, gz: Any, cost: Any, near: Any,
) -> None:
    """Add the cost of sphere s against a cylinder (axis: the third column of its rotation)."""
    ox, oy, oz, vx, vy, vz = row[1], row[2], row[3], row[4], row[5], row[6]
    wide, high = row[7], row[9]
    ax, ay, az = row[12], row[15], row[18]
    for k in range(LANES):
        dx = x[s, k] - ox - vx * time[k]
        dy = y[s, k] - oy - vy * time[k]
        dz = z[s, k] - oz - vz * time[k]
        c = ax * dx + ay * dy + az * dz
        dx, dy, dz = dx - c * ax, dy - c * ay, dz - c * az
        rho = math.sqrt(dx * dx + dy * dy + dz * dz + TINY)
        u, w = rho - wide, abs(c) - high
        top = u if u > w else w
        pu, pw = u if u > ZERO else ZERO, w if w > ZERO else ZERO
        norm = math.sqrt(pu * pu + pw * pw + TINY)
        d = (norm if top > ZERO else top) - radius
        h = margin - d
        h = h if h > ZERO else ZERO
        cost[k] += h * h
        near[k] = d if d < near[k] else near[k]
        if gx is not None:
            scale = h / norm
            pu = scale * pu if top > ZERO else (h if u >= top else ZERO)
            pw = scale * pw if top > ZERO else (h if w >= top else ZERO)
            pu = pu / rho
            pw = pw if c > ZERO else -pw
            gx[s, k] -= pu * dx + pw * ax
            gy[s, k] -= pu * dy + pw * ay
            gz[s, k] -= pu * dz + pw * az


@nb.njit(**OPTIONS)
def floor(
    s: int, z: Any, height: Any, margin: Any, gz: Any, cost: Any, near: Any
) -> None:
    """Add the cost of sphere s above the floor; `height` is the floor's plus the radius."""
    for k in range(LANES):
        d = z[s, k] - height
        h = margin - d
        h = h if h > ZERO else ZERO
        cost[k] += h * h
        near[k] = d if d < near[k] else near[k]
        if gz is not None:
            gz[s, k] -= h


@nb.njit(**OPTIONS)
def pair(
    i: int, j: int, x: Any, y: Any, z: Any, both: Any, margin: Any,
    gx: Any, gy: Any, gz: Any, cost: Any, near: Any,
) -> None:
    """Add the cost of the spheres i and j against each other; `both` is the sum of the radii."""
    for k in range(LANES):
        dx, dy, dz = x[i, k] - x[j, k], y[i, k] - y[j, k], z[i, k] - z[j, k]
        norm = math.sqrt(dx * dx + dy * dy + dz * dz + TINY)
        d = norm - both
        h = margin - d
        h = h if h > ZERO else ZERO
        cost[k] += h * h
        near[k] = d if d < near[k] else near[k]
        if gx is not None:
            u = h / norm
            dx, dy, dz = u * dx, u * dy, u * dz
            gx[i, k] -= dx
            gy[i, k] -= dy
            gz[i, k] -= dz
            gx[j, k] += dx
            gy[j, k] += dy
            gz[j, k] += dz
