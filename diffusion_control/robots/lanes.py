# SPDX-License-Identifier: Apache-2.0
"""Inner loops of the batch cost: LANES configurations side by side in float32 (numba).

The workspace has ROWS rows of LANES numbers for each sphere, one after the other. Offsets between
rows are constants, so LLVM can see that they do not overlap and turns each loop over the lanes
into vector code. Fast-math may contract and reassociate here, but keeps NaN and infinity.

With h = max(0, margin - d), `*_hinge` adds h^2 to the cost, takes the minimum of d, stores h and
returns the sum of h over the lanes. Only where that is positive, `lane_slopes` adds
-h * (gradient of d), half the gradient of h^2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diffusion_control.robots.jit import kernel

LANES, ROWS = 32, 12
X, Y, Z, GX, GY, GZ, DX, DY, DZ, HINGE, COST, NEAR = (row * LANES for row in range(ROWS))
ZERO = np.float32(0.0)
TINY = np.float32(1e-9)
"""Added under a square root, so that the gradient is finite at distance 0 [m^2]."""


@kernel(fast=True, inline=True)
def note(at: Any, k: int, d: Any, margin: Any) -> Any:
    """Take lane k's distance d into cost and minimum; store and return the hinge."""
    h = margin - d
    h = h if h > ZERO else ZERO
    at[HINGE + k] = h
    at[COST + k] += h * h
    at[NEAR + k] = d if d < at[NEAR + k] else at[NEAR + k]
    return h


@kernel(fast=True, inline=True)
def sphere_hinge(at: Any, time: Any, row: Any, radius: Any, margin: Any) -> Any:
    """Add the cost of a sphere against a spherical obstacle (a row of `batch_cost.pack`)."""
    ox, oy, oz, vx, vy, vz = row[1], row[2], row[3], row[4], row[5], row[6]
    both, active = row[7] + radius, ZERO
    for k in range(LANES):
        dx = at[X + k] - ox - vx * time[k]
        dy = at[Y + k] - oy - vy * time[k]
        dz = at[Z + k] - oz - vz * time[k]
        active += note(at, k, math.sqrt(dx * dx + dy * dy + dz * dz + TINY) - both, margin)
    return active


@kernel(fast=True, inline=True)
def box_hinge(at: Any, time: Any, row: Any, radius: Any, margin: Any) -> Any:
    """Add the cost of a sphere against a box."""
    ox, oy, oz, vx, vy, vz = row[1], row[2], row[3], row[4], row[5], row[6]
    hx, hy, hz = row[7], row[8], row[9]
    r0, r1, r2, r3, r4, r5 = row[10], row[11], row[12], row[13], row[14], row[15]
    r6, r7, r8, active = row[16], row[17], row[18], ZERO
    for k in range(LANES):
        dx = at[X + k] - ox - vx * time[k]
        dy = at[Y + k] - oy - vy * time[k]
        dz = at[Z + k] - oz - vz * time[k]
        u = abs(r0 * dx + r3 * dy + r6 * dz) - hx
        v = abs(r1 * dx + r4 * dy + r7 * dz) - hy
        w = abs(r2 * dx + r5 * dy + r8 * dz) - hz
        top = u if u > v else v
        top = top if top > w else w
        u, v, w = u if u > ZERO else ZERO, v if v > ZERO else ZERO, w if w > ZERO else ZERO
        inside = top if top < ZERO else ZERO
        active += note(at, k, math.sqrt(u * u + v * v + w * w) + inside - radius, margin)
    return active


@kernel(fast=True, inline=True)
def cylinder_hinge(at: Any, time: Any, row: Any, radius: Any, margin: Any) -> Any:
    """Add the cost of a sphere against a cylinder (axis: the third column of its rotation)."""
    ox, oy, oz, vx, vy, vz = row[1], row[2], row[3], row[4], row[5], row[6]
    wide, high, ax, ay, az, active = row[7], row[9], row[12], row[15], row[18], ZERO
    for k in range(LANES):
        dx = at[X + k] - ox - vx * time[k]
        dy = at[Y + k] - oy - vy * time[k]
        dz = at[Z + k] - oz - vz * time[k]
        c = ax * dx + ay * dy + az * dz
        dx -= c * ax
        dy -= c * ay
        dz -= c * az
        u, w = math.sqrt(dx * dx + dy * dy + dz * dz) - wide, abs(c) - high
        top = u if u > w else w
        u, w = u if u > ZERO else ZERO, w if w > ZERO else ZERO
        inside = top if top < ZERO else ZERO
        active += note(at, k, math.sqrt(u * u + w * w) + inside - radius, margin)
    return active


@kernel(fast=True, inline=True)
def floor_hinge(at: Any, height: Any, margin: Any) -> Any:
    """Add the cost of a sphere above the floor; `height` is the floor's plus the radius."""
    active = ZERO
    for k in range(LANES):
        active += note(at, k, at[Z + k] - height, margin)
    return active


@kernel(fast=True, inline=True)
def pair_hinge(at: Any, other: Any, both: Any, margin: Any) -> Any:
    """Add the cost of two spheres against each other; `both` is the sum of their radii."""
    active = ZERO
    for k in range(LANES):
        dx, dy, dz = at[X + k] - other[X + k], at[Y + k] - other[Y + k], at[Z + k] - other[Z + k]
        active += note(at, k, math.sqrt(dx * dx + dy * dy + dz * dz + TINY) - both, margin)
    return active
