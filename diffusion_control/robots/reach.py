# SPDX-License-Identifier: Apache-2.0
"""Distances along a motion to everything that a bounded mover can reach (numba kernel).

A mover seen at c with velocity v (error at most e, speed at most s, acceleration at most a) is at
time t inside two balls: around c + v t with radius a t^2 / 2 + e t, and around c with radius s t.
So its distance to a point is at least the larger of the two distances to the moved obstacle less
those radii. (A robot that stops before anything within these balls touches it is passively safe:
Macek, Vasquez, Fraichard, Siegwart 2009; Mitsch, Ghorbal, Vogelbacher, Platzer 2017.)

Between knots a sphere's centre moves along an arc of length at most A (its chord C, times
ARC_PER_CHORD for the arc's bend), and a signed distance is 1-Lipschitz, so everywhere between
    d(t) >= (d_{k-1} + d_k - A) / 2.
For a moving obstacle the arc is that of the relative motion; the balls grow with t, so the later
knot's radius holds for the segment. For two own spheres the arc is that of their difference. The
arc stays within sqrt(A^2 - C^2) / 2 of its chord (an ellipse), which bounds the height.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diffusion_control.robots.distance import NOTHING_M, signed_distance
from diffusion_control.robots.forward_kinematics import sphere_centres
from diffusion_control.robots.jit import kernel

ARC_PER_CHORD = 1.01
"""Bound of arc over chord for turns up to 0.48 rad between knots: x / sin(x) at x = 0.24."""
SAG_PER_CHORD = 0.5 * math.sqrt(ARC_PER_CHORD**2 - 1.0)


@kernel(inline=True)
def chord(x: float, y: float, z: float) -> float:
    """Return the length of a vector."""
    return math.sqrt(x * x + y * y + z * z)


@kernel()
def own_bound(
    now: Any, before: Any, spheres: Any, pairs: Any, floor_m: float, floor_first: int
) -> float:
    """Return the bound of the distance to self and floor between two knots.

    A pair is skipped where even the sum of both spheres' own arcs leaves it far enough.
    """
    least = NOTHING_M
    arcs = np.empty(now.shape[0])
    for s in range(now.shape[0]):
        step = chord(now[s, 0] - before[s, 0], now[s, 1] - before[s, 1], now[s, 2] - before[s, 2])
        arcs[s] = ARC_PER_CHORD * step
        if s >= floor_first:
            lowest = min(now[s, 2], before[s, 2]) - SAG_PER_CHORD * step
            least = min(least, lowest - floor_m - spheres[s, 3])
    for p in range(pairs.shape[0]):
        i, j = pairs[p, 0], pairs[p, 1]
        a, b, c = now[i, 0] - now[j, 0], now[i, 1] - now[j, 1], now[i, 2] - now[j, 2]
        square, radii = a * a + b * b + c * c, spheres[i, 3] + spheres[j, 3]
        enough = least + radii + arcs[i] + arcs[j]
        if enough > 0.0 and square > enough * enough:
            continue
        u, v, w = (
            before[i, 0] - before[j, 0], before[i, 1] - before[j, 1], before[i, 2] - before[j, 2])
        arc = ARC_PER_CHORD * chord(a - u, b - v, c - w)
        least = min(least, 0.5 * (math.sqrt(square) + chord(u, v, w) - arc) - radii)
    return least


@kernel(inline=True)
def segment_bound(
    now: Any, before: Any, s: int, k: int, shift: Any, seen: Any,
    code: Any, centre: Any, rotation: Any, half: Any, time_s: float, step_s: float,
) -> float:
    """Return the bound between two knots of the distance of a centre to the moved obstacle k.

    `shift` [k, 3] is the velocity the obstacle is moved by; `seen` [S, k] holds the distance at
    the earlier knot and takes the one at this knot.
    """
    vx, vy, vz = shift[k, 0], shift[k, 1], shift[k, 2]
    d = signed_distance(
        code[k], rotation, half, k,
        now[s, 0] - centre[k, 0] - vx * time_s,
        now[s, 1] - centre[k, 1] - vy * time_s,
        now[s, 2] - centre[k, 2] - vz * time_s)
    arc = ARC_PER_CHORD * chord(
        now[s, 0] - before[s, 0] - vx * step_s,
        now[s, 1] - before[s, 1] - vy * step_s,
        now[s, 2] - before[s, 2] - vz * step_s)
    bound = 0.5 * (d + seen[s, k] - arc) if step_s > 0.0 else d
    seen[s, k] = d
    return bound


@kernel()
def obstacle_bound(
    now: Any, before: Any, spheres: Any, obstacle_first: int, seen: Any, seen_moved: Any,
    code: Any, centre: Any, rotation: Any, half: Any, velocity: Any, still: Any, may_move: Any,
    time_s: float, step_s: float, bounds: Any,
) -> float:
    """Return the bound of the distance between two knots to whatever the obstacles can reach."""
    least = NOTHING_M
    speed, acceleration, error = bounds[0], bounds[1], bounds[2]
    for k in range(code.shape[0]):
        for s in range(obstacle_first, now.shape[0]):
            d = segment_bound(
                now, before, s, k, still, seen, code, centre, rotation, half, time_s, step_s)
            if may_move[k]:
                moved = segment_bound(
                    now, before, s, k, velocity, seen_moved,
                    code, centre, rotation, half, time_s, step_s)
                d = max(d - speed * time_s,
                        moved - (0.5 * acceleration * time_s + error) * time_s)
            least = min(least, d - spheres[s, 3])
    return least


@kernel()
def reach_clearance(
    positions: Any, times_s: Any, placements: Any, first: Any, spheres: Any, pairs: Any,
    floor_m: float, floor_first: int, obstacle_first: int,
    code: Any, centre: Any, rotation: Any, half: Any, velocity: Any, may_move: Any, bounds: Any,
    obstacle_out: Any, own_out: Any,
) -> None:
    """Write lower bounds of both distances between knots i - 1 and i (at knot 0 for i = 0).

    Args: as in `distance.path_clearance`, and
        may_move: False where an obstacle stands still, shape [k].
        bounds: Speed [m/s], acceleration [m/s^2] and velocity error [m/s] of a mover, shape [3].
    """
    count = spheres.shape[0]
    now, before = np.empty((count, 3)), np.empty((count, 3))
    seen, moved = np.empty((count, code.shape[0])), np.empty((count, code.shape[0]))
    still = np.zeros((code.shape[0], 3))
    valid = True
    for i in range(positions.shape[0]):
        now, before = before, now
        valid = sphere_centres(positions[i], placements, first, spheres, now) and valid
        valid = valid and math.isfinite(times_s[i]) and (i == 0 or times_s[i] > times_s[i - 1])
        if not valid:
            obstacle_out[i] = own_out[i] = -NOTHING_M
            continue
        if i == 0:
            before[:] = now
        step_s = times_s[i] - times_s[i - 1] if i > 0 else 0.0
        own_out[i] = own_bound(now, before, spheres, pairs, floor_m, floor_first)
        obstacle_out[i] = obstacle_bound(
            now, before, spheres, obstacle_first, seen, moved,
            code, centre, rotation, half, velocity, still, may_move, times_s[i], step_s, bounds)
