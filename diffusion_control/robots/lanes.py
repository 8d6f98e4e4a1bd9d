# SPDX-License-Identifier: Apache-2.0
"""Inner loops of the batch cost: LANES configurations side by side in float32 (numba).

The workspace has ROWS rows of LANES numbers for each sphere, one after the other: its centre, half
the gradient of its cost, its cost, its least distance. Offsets between rows are constants, so
LLVM can see that they do not overlap and turns each loop over the lanes into vector code.
With h = max(0, margin - d) the loops add h^2 to the cost, take the minimum of d, and add
-h * (gradient of d), which is half the gradient of h^2. `slope` None leaves the gradient out, at
compile time. Fast-math here may contract and reassociate, but keeps NaN and infinity.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

LANES, ROWS = 32, 8
X, Y, Z, GX, GY, GZ, COST, NEAR = (row * LANES for row in range(ROWS))
FAST = {'contract', 'reassoc', 'nsz', 'arcp'}
OPTIONS: dict[str, Any] = {
    'cache': True, 'fastmath': FAST, 'error_model': 'numpy', 'forceinline': True}
ZERO = np.float32(0.0)
TINY = np.float32(1e-9)
"""Added under a square root, so that the gradient is finite at distance 0 [m^2]."""


@nb.njit(**OPTIONS)
def sphere(
    work: Any, s: int, time: Any, row: Any, radius: Any, margin: Any, slope: Any
) -> None:
    """Add the cost of sphere s against a spherical obstacle (a row of `batch_cost.pack`)."""
    ox, oy, oz, vx, vy, vz = row[1], row[2], row[3], row[4], row[5], row[6]
    both, at = row[7] + radius, work[s]
    for k in range(LANES):
        dx = at[X + k] - ox - vx * time[k]
        dy = at[Y + k] - oy - vy * time[k]
        dz = at[Z + k] - oz - vz * time[k]
        norm = math.sqrt(dx * dx + dy * dy + dz * dz + TINY)
        d = norm - both
        h = margin - d
        h = h if h > ZERO else ZERO
        at[COST + k] += h * h
        at[NEAR + k] = d if d < at[NEAR + k] else at[NEAR + k]
        if slope is not None:
            u = h / norm
            at[GX + k] -= u * dx
            at[GY + k] -= u * dy
            at[GZ + k] -= u * dz


@nb.njit(**OPTIONS)
def box(work: Any, s: int, time: Any, row: Any, radius: Any, margin: Any, slope: Any) -> None:
    """Add the cost of sphere s against a box."""
    ox, oy, oz, vx, vy, vz = row[1], row[2], row[3], row[4], row[5], row[6]
    hx, hy, hz = row[7], row[8], row[9]
    r0, r1, r2, r3, r4, r5 = row[10], row[11], row[12], row[13], row[14], row[15]
    r6, r7, r8 = row[16], row[17], row[18]
    at = work[s]
    for k in range(LANES):
        dx = at[X + k] - ox - vx * time[k]
        dy = at[Y + k] - oy - vy * time[k]
        dz = at[Z + k] - oz - vz * time[k]
        a = r0 * dx + r3 * dy + r6 * dz
        b = r1 * dx + r4 * dy + r7 * dz
        c = r2 * dx + r5 * dy + r8 * dz
        u, v, w = abs(a) - hx, abs(b) - hy, abs(c) - hz
        top = u if u > v else v
        top = top if top > w else w
        pu, pv, pw = u if u > ZERO else ZERO, v if v > ZERO else ZERO, w if w > ZERO else ZERO
        norm = math.sqrt(pu * pu + pv * pv + pw * pw + TINY)
        d = norm + (top if top < ZERO else ZERO) - radius
        h = margin - d
        h = h if h > ZERO else ZERO
        at[COST + k] += h * h
        at[NEAR + k] = d if d < at[NEAR + k] else at[NEAR + k]
        if slope is not None:
            scale = h / norm
            pu = scale * pu if top > ZERO else (h if u >= top else ZERO)
            pv = scale * pv if top > ZERO else (h if v >= top else ZERO)
            pw = scale * pw if top > ZERO else (h if w >= top else ZERO)
            pu = pu if a > ZERO else -pu
            pv = pv if b > ZERO else -pv
            pw = pw if c > ZERO else -pw
            at[GX + k] -= r0 * pu + r1 * pv + r2 * pw
            at[GY + k] -= r3 * pu + r4 * pv + r5 * pw
            at[GZ + k] -= r6 * pu + r7 * pv + r8 * pw


@nb.njit(**OPTIONS)
def cylinder(
    work: Any, s: int, time: Any, row: Any, radius: Any, margin: Any, slope: Any
) -> None:
    """Add the cost of sphere s against a cylinder (axis: the third column of its rotation)."""
    ox, oy, oz, vx, vy, vz = row[1], row[2], row[3], row[4], row[5], row[6]
    wide, high, ax, ay, az = row[7], row[9], row[12], row[15], row[18]
    at = work[s]
    for k in range(LANES):
        dx = at[X + k] - ox - vx * time[k]
        dy = at[Y + k] - oy - vy * time[k]
        dz = at[Z + k] - oz - vz * time[k]
        c = ax * dx + ay * dy + az * dz
        dx -= c * ax
        dy -= c * ay
        dz -= c * az
        rho = math.sqrt(dx * dx + dy * dy + dz * dz + TINY)
        u, w = rho - wide, abs(c) - high
        top = u if u > w else w
        pu, pw = u if u > ZERO else ZERO, w if w > ZERO else ZERO
        norm = math.sqrt(pu * pu + pw * pw + TINY)
        d = norm + (top if top < ZERO else ZERO) - radius
        h = margin - d
        h = h if h > ZERO else ZERO
        at[COST + k] += h * h
        at[NEAR + k] = d if d < at[NEAR + k] else at[NEAR + k]
        if slope is not None:
            scale = h / norm
            pu = scale * pu if top > ZERO else (h if u >= top else ZERO)
            pw = scale * pw if top > ZERO else (h if w >= top else ZERO)
            pu = pu / rho
            pw = pw if c > ZERO else -pw
            at[GX + k] -= pu * dx + pw * ax
            at[GY + k] -= pu * dy + pw * ay
            at[GZ + k] -= pu * dz + pw * az


@nb.njit(**OPTIONS)
def floor(work: Any, s: int, height: Any, margin: Any, slope: Any) -> None:
    """Add the cost of sphere s above the floor; `height` is the floor's plus the radius."""
    at = work[s]
    for k in range(LANES):
        d = at[Z + k] - height
        h = margin - d
        h = h if h > ZERO else ZERO
        at[COST + k] += h * h
        at[NEAR + k] = d if d < at[NEAR + k] else at[NEAR + k]
        if slope is not None:
            at[GZ + k] -= h


@nb.njit(**OPTIONS)
def pair(work: Any, i: int, j: int, both: Any, margin: Any, slope: Any) -> None:
    """Add the cost of the spheres i and j against each other; `both` is the sum of the radii."""
    first, second = work[i], work[j]
    for k in range(LANES):
        dx = first[X + k] - second[X + k]
        dy = first[Y + k] - second[Y + k]
        dz = first[Z + k] - second[Z + k]
        norm = math.sqrt(dx * dx + dy * dy + dz * dz + TINY)
        d = norm - both
        h = margin - d
        h = h if h > ZERO else ZERO
        first[COST + k] += h * h
        first[NEAR + k] = d if d < first[NEAR + k] else first[NEAR + k]
        if slope is not None:
            u = h / norm
            first[GX + k] -= u * dx
            first[GY + k] -= u * dy
            first[GZ + k] -= u * dz
            second[GX + k] += u * dx
            second[GY + k] += u * dy
            second[GZ + k] += u * dz
