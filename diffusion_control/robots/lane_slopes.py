# SPDX-License-Identifier: Apache-2.0
"""Gradients of the hinges of `lanes` with respect to the centres of the spheres (numba).

Each function adds -h * (gradient of the distance) to the gradient rows, with the h that the
hinge function stored. On an edge or an axis, where a distance has no gradient, one of the
one-sided ones is taken.
"""

from __future__ import annotations

import math
from typing import Any

from diffusion_control.robots.jit import kernel
from diffusion_control.robots.lanes import (
    DX,
    DY,
    DZ,
    GX,
    GY,
    GZ,
    HINGE,
    LANES,
    TINY,
    ZERO,
    X,
    Y,
    Z,
)


@kernel(fast=True)
def sphere_slope(at: Any, time: Any, row: Any) -> None:
    """Add the gradient against a spherical obstacle."""
    ox, oy, oz, vx, vy, vz = row[1], row[2], row[3], row[4], row[5], row[6]
    for k in range(LANES):
        dx = at[X + k] - ox - vx * time[k]
        dy = at[Y + k] - oy - vy * time[k]
        dz = at[Z + k] - oz - vz * time[k]
        scale = at[HINGE + k] / math.sqrt(dx * dx + dy * dy + dz * dz + TINY)
        at[GX + k] -= scale * dx
        at[GY + k] -= scale * dy
        at[GZ + k] -= scale * dz


@kernel(fast=True)
def box_slope(at: Any, time: Any, row: Any) -> None:
    """Add the gradient against a box."""
    ox, oy, oz, vx, vy, vz = row[1], row[2], row[3], row[4], row[5], row[6]
    hx, hy, hz = row[7], row[8], row[9]
    r0, r1, r2, r3, r4, r5 = row[10], row[11], row[12], row[13], row[14], row[15]
    r6, r7, r8 = row[16], row[17], row[18]
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
        h = at[HINGE + k]
        pu, pv, pw = u if u > ZERO else ZERO, v if v > ZERO else ZERO, w if w > ZERO else ZERO
        scale = h / math.sqrt(pu * pu + pv * pv + pw * pw + TINY)
        pu = scale * pu if top > ZERO else (h if u >= top else ZERO)
        pv = scale * pv if top > ZERO else (h if v >= top else ZERO)
        pw = scale * pw if top > ZERO else (h if w >= top else ZERO)
        pu = pu if a > ZERO else -pu
        pv = pv if b > ZERO else -pv
        pw = pw if c > ZERO else -pw
        at[GX + k] -= r0 * pu + r1 * pv + r2 * pw
        at[GY + k] -= r3 * pu + r4 * pv + r5 * pw
        at[GZ + k] -= r6 * pu + r7 * pv + r8 * pw


@kernel(fast=True)
def cylinder_slope(at: Any, time: Any, row: Any) -> None:
    """Add the gradient against a cylinder."""
    ox, oy, oz, vx, vy, vz = row[1], row[2], row[3], row[4], row[5], row[6]
    wide, high, ax, ay, az = row[7], row[9], row[12], row[15], row[18]
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
        h = at[HINGE + k]
        pu, pw = u if u > ZERO else ZERO, w if w > ZERO else ZERO
        scale = h / math.sqrt(pu * pu + pw * pw + TINY)
        pu = (scale * pu if top > ZERO else (h if u >= top else ZERO)) / rho
        pw = scale * pw if top > ZERO else (h if w >= top else ZERO)
        pw = pw if c > ZERO else -pw
        at[GX + k] -= pu * dx + pw * ax
        at[GY + k] -= pu * dy + pw * ay
        at[GZ + k] -= pu * dz + pw * az


@kernel(fast=True)
def floor_slope(at: Any) -> None:
    """Add the gradient against the floor."""
    for k in range(LANES):
        at[GZ + k] -= at[HINGE + k]


@kernel(fast=True)
def pair_slope(at: Any, other: Any) -> None:
    """Add the gradient of two spheres against each other, to both."""
    for k in range(LANES):
        dx, dy, dz = at[X + k] - other[X + k], at[Y + k] - other[Y + k], at[Z + k] - other[Z + k]
        scale = at[HINGE + k] / math.sqrt(dx * dx + dy * dy + dz * dz + TINY)
        at[DX + k] = scale * dx
        at[DY + k] = scale * dy
        at[DZ + k] = scale * dz
    for k in range(3 * LANES):
        at[GX + k] -= at[DX + k]
    for k in range(3 * LANES):
        other[GX + k] += at[DX + k]
