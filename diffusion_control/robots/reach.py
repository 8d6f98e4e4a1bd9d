# SPDX-License-Identifier: Apache-2.0
"""Distances along a motion to everything that a bounded mover can reach (numba kernel).

A mover seen at c with velocity v (error at most e, speed at most s, acceleration at most a) is at
time t inside two balls: around c + v t with radius a t^2 / 2 + e t, and around c with radius s t.
For a mover that turns until t_v only, and then goes on as it was seen, a t_v^2 / 2 stands there.
Where the time is known only to lie in [t - u, t], the first ball grows by s u; the second one
contains all earlier ones.
So its distance to a point is at least the larger of the two distances to the moved obstacle less
those radii. (A robot that stops before anything within these balls touches it is passively safe:
Macek, Vasquez, Fraichard, Siegwart 2009; Mitsch, Ghorbal, Vogelbacher, Platzer 2017.)

Between knots the joints move linearly by dq. A sphere's centre then leaves the straight line of
its two ends, run through at constant speed, by at most
    sag = l / 8 (sum_j |dq_j|)^2,
with l the longest lever: |d^2 x / dq_i dq_j| is at most the distance from a joint to the sphere.
A signed distance is 1-Lipschitz, so on a straight line of length C it is everywhere at least
(d_{k-1} + d_k - C) / 2, and on the true path sag less. For a moving obstacle the line is that of
the relative motion; the balls grow with t, so the later knot's radius holds. For two own spheres
it is the line of their difference, with the sag of both.

Only the least distance so far is asked for. d changes by at most the way of a sphere against the
obstacle, and (d_{k-1} + d_k - C) / 2 >= d_{k-1} - C: an obstacle whose nearest sphere was further
than the least distance so far and the longest such way since is left out, with the same result.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diffusion_control.robots.distance import NOTHING_M, signed_distance
from diffusion_control.robots.forward_kinematics import sphere_centres
from diffusion_control.robots.jit import kernel


@kernel(inline=True)
def norm(x: float, y: float, z: float) -> float:
    """Return the length of a vector."""
    return math.sqrt(x * x + y * y + z * z)


@kernel()
def own_bound(
    now: Any, before: Any, spheres: Any, pairs: Any, floor_m: float, floor_first: int,
    sag_m: float, ways: Any, least: float,
) -> float:
    """Return `least`, or the bound of the distance to self and floor between knots if less.

    A pair is skipped where even the sum of both spheres' own ways leaves it far enough.
    """
    for s in range(floor_first, now.shape[0]):
        lowest = min(now[s, 2], before[s, 2]) - sag_m
        least = min(least, lowest - floor_m - spheres[s, 3])
    for p in range(pairs.shape[0]):
        i, j = pairs[p, 0], pairs[p, 1]
        a, b, c = now[i, 0] - now[j, 0], now[i, 1] - now[j, 1], now[i, 2] - now[j, 2]
        square, radii = a * a + b * b + c * c, spheres[i, 3] + spheres[j, 3]
        enough = least + radii + ways[i] + ways[j] + 2.0 * sag_m
        if enough > 0.0 and square > enough * enough:
            continue
        u, v, w = (
            before[i, 0] - before[j, 0], before[i, 1] - before[j, 1], before[i, 2] - before[j, 2])
        both = math.sqrt(square) + norm(u, v, w) - norm(a - u, b - v, c - w)
        least = min(least, 0.5 * both - 2.0 * sag_m - radii)
    return least


@kernel(inline=True)
def segment_bound(
    now: Any, before: Any, s: int, k: int, shift: Any, seen: Any,
    code: Any, centre: Any, rotation: Any, half: Any, time_s: float, step_s: float,
) -> float:
    """Return the bound on a straight line of the distance of a centre to the moved obstacle k.

    `shift` [k, 3] is the velocity the obstacle is moved by; `seen` [S, k] holds the distance at
    the earlier knot and takes the one at this knot.
    """
    vx, vy, vz = shift[k, 0], shift[k, 1], shift[k, 2]
    d = signed_distance(
        code[k], rotation, half, k,
        now[s, 0] - centre[k, 0] - vx * time_s,
        now[s, 1] - centre[k, 1] - vy * time_s,
        now[s, 2] - centre[k, 2] - vz * time_s)
    line = norm(
        now[s, 0] - before[s, 0] - vx * step_s,
        now[s, 1] - before[s, 1] - vy * step_s,
        now[s, 2] - before[s, 2] - vz * step_s)
    bound = 0.5 * (d + seen[s, k] - line) if step_s > 0.0 else d
    seen[s, k] = d
    return bound


@kernel(inline=True)
def look_back(
    before: Any, first: int, k: int, moves: bool, velocity: Any, seen: Any, seen_moved: Any,
    code: Any, centre: Any, rotation: Any, half: Any, time_s: float,
) -> None:
    """Write the distances of all spheres at the earlier knot to an obstacle that was left out."""
    for s in range(first, before.shape[0]):
        x, y, z = (before[s, 0] - centre[k, 0], before[s, 1] - centre[k, 1],
                   before[s, 2] - centre[k, 2])
        seen[s, k] = signed_distance(code[k], rotation, half, k, x, y, z)
        if moves:
            seen_moved[s, k] = signed_distance(
                code[k], rotation, half, k, x - velocity[k, 0] * time_s,
                y - velocity[k, 1] * time_s, z - velocity[k, 2] * time_s)


@kernel()
def obstacle_bound(
    now: Any, before: Any, spheres: Any, obstacle_first: int, seen: Any, seen_moved: Any,
    code: Any, centre: Any, rotation: Any, half: Any, velocity: Any, still: Any, may_move: Any,
    time_s: float, step_s: float, bounds: Any, way_m: float, far: Any, current: Any, least: float,
) -> float:
    """Return `least`, or the bound on straight lines to what the obstacles can reach if less.

    `far` [k, 2] bounds the distance of the nearest sphere to the obstacle and to the moved one
    from below at the earlier knot and takes that at this knot; `current` [k] tells whether `seen`
    was written at the earlier knot; no sphere's way is longer than `way_m`.
    """
    speed, acceleration, error = bounds[0], bounds[1], bounds[2]
    turning_s = min(time_s, bounds[3])
    radius_m = 0.5 * acceleration * turning_s * turning_s + error * time_s + speed * bounds[4]
    for k in range(code.shape[0]):
        if step_s > 0.0:
            far[k, 0] -= way_m
            far[k, 1] -= way_m + step_s * norm(velocity[k, 0], velocity[k, 1], velocity[k, 2])
            nearest = far[k, 0]
            if may_move[k]:
                nearest = max(far[k, 0] - speed * time_s, far[k, 1] - radius_m)
            if nearest >= least:
                current[k] = False
                continue
            if not current[k]:
                look_back(before, obstacle_first, k, may_move[k], velocity, seen, seen_moved,
                          code, centre, rotation, half, time_s - step_s)
        current[k] = True
        far[k, 0], far[k, 1] = NOTHING_M, NOTHING_M
        for s in range(obstacle_first, now.shape[0]):
            d = segment_bound(
                now, before, s, k, still, seen, code, centre, rotation, half, time_s, step_s)
            far[k, 0] = min(far[k, 0], seen[s, k] - spheres[s, 3])
            if may_move[k]:
                moved = segment_bound(
                    now, before, s, k, velocity, seen_moved,
                    code, centre, rotation, half, time_s, step_s)
                far[k, 1] = min(far[k, 1], seen_moved[s, k] - spheres[s, 3])
                d = max(d - speed * time_s, moved - radius_m)
            least = min(least, d - spheres[s, 3])
    return least


@kernel()
def write_ways(now: Any, before: Any, first: int, out: Any) -> float:
    """Write how far each centre moved, and return the longest way from sphere `first` on."""
    longest = 0.0
    for s in range(now.shape[0]):
        out[s] = norm(
            now[s, 0] - before[s, 0], now[s, 1] - before[s, 1], now[s, 2] - before[s, 2])
        if s >= first:
            longest = max(longest, out[s])
    return longest


@kernel()
def reach_clearance(
    positions: Any, times_s: Any, placements: Any, first: Any, spheres: Any, pairs: Any,
    floor_m: float, floor_first: int, obstacle_first: int, lever_m: float,
    code: Any, centre: Any, rotation: Any, half: Any, velocity: Any, may_move: Any, bounds: Any,
    obstacle_out: Any, own_out: Any,
) -> None:
    """Write lower bounds of both distances from knot 0 to knot i (at knot 0 for i = 0).

    Args: as in `distance.path_clearance`, and
        lever_m: Longest possible distance from a joint to a sphere beyond it [m].
        may_move: False where an obstacle stands still, shape [k].
        bounds: Speed [m/s], acceleration [m/s^2], velocity error [m/s] of a mover, and the time
            until which it may change its velocity [s], by how much the times may be too late [s],
            and below which distances to obstacles and to self and floor the rest is given up
            unless the first knot was as near but for the last entry [m], shape [8].
    """
    count = spheres.shape[0]
    now, before = np.empty((count, 3)), np.empty((count, 3))
    seen, moved = np.empty((count, code.shape[0])), np.empty((count, code.shape[0]))
    still, ways = np.zeros((code.shape[0], 3)), np.empty(count)
    far, current = np.full((code.shape[0], 2), NOTHING_M), np.zeros(code.shape[0], dtype=np.bool_)
    valid = True
    for i in range(positions.shape[0]):
        now, before = before, now
        valid = sphere_centres(positions[i], placements, first, spheres, now) and valid
        valid = valid and math.isfinite(times_s[i]) and (i == 0 or times_s[i] > times_s[i - 1])
        if not valid:
            obstacle_out[i] = own_out[i] = -NOTHING_M
            continue
        turn = 0.0
        if i == 0:
            before[:] = now
        else:
            for j in range(positions.shape[1]):
                turn += abs(positions[i, j] - positions[i - 1, j])
        sag_m = 0.125 * lever_m * turn * turn
        step_s = times_s[i] - times_s[i - 1] if i > 0 else 0.0
        way_m = write_ways(now, before, obstacle_first, ways)
        near, own = (obstacle_out[i - 1], own_out[i - 1]) if i > 0 else (NOTHING_M, NOTHING_M)
        own_out[i] = own_bound(
            now, before, spheres, pairs, floor_m, floor_first, sag_m, ways, own)
        bound = obstacle_bound(
            now, before, spheres, obstacle_first, seen, moved,
            code, centre, rotation, half, velocity, still, may_move, times_s[i], step_s, bounds,
            way_m, far, current, near + sag_m) - sag_m
        obstacle_out[i] = min(bound, near)
        if i > 0 and (obstacle_out[i] < min(bounds[5], obstacle_out[0] - bounds[7])
                      or own_out[i] < min(bounds[6], own_out[0] - bounds[7])):
            obstacle_out[i + 1:] = obstacle_out[i]
            own_out[i + 1:] = own_out[i]
            return
