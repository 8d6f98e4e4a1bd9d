# SPDX-License-Identifier: Apache-2.0
"""Distances along a base's motion to everything that a bounded mover can reach (numba kernel).

As in `reach`, with the same balls for movers and the same bound between knots; a disc leaves the
straight line of its two ends by at most  l / 8 dyaw^2  for its distance l from the axis of
turning. A point of the scan whose velocity nobody knows is inside a ball of radius s t around
where it was seen. Walls are bounded by the field's own Lipschitz constant 1.42 (bilinear):
between knots the distance is at least (d_{k-1} + d_k - 1.42 C) / 2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diffusion_control.robots.base_distance import disc_centres
from diffusion_control.robots.distance import NOTHING_M
from diffusion_control.robots.distance_field import read
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.reach import norm, obstacle_bound, write_ways

FIELD_LIPSCHITZ = 1.4143


@kernel()
def wall_bound(
    now: Any, discs: Any, field: Any, place: Any, seen: Any, ways: Any, first: bool, least: float
) -> float:
    """Return `least`, or the bound of the distance to the walls between knots if less.

    `seen` [D] holds the distances at the earlier knot and takes those at this one.
    """
    for d in range(discs.shape[0]):
        value = read(field, place, now[d, 0], now[d, 1])[0]
        bound = value if first else 0.5 * (value + seen[d] - FIELD_LIPSCHITZ * ways[d])
        seen[d] = value
        least = min(least, bound - discs[d, 2])
    return least


@kernel()
def point_bound(
    now: Any, before: Any, discs: Any, points: Any, may_move: Any, moving: bool, ways: Any,
    grown_m: float, least: float,
) -> float:
    """Return `least`, or the bound of the distance to points of one kind between knots if less."""
    for d in range(discs.shape[0]):
        for p in range(points.shape[0]):
            if may_move[p] != moving:
                continue
            x, y = now[d, 0] - points[p, 0], now[d, 1] - points[p, 1]
            enough = max(least + discs[d, 2] + grown_m + ways[d], 0.0)
            square = x * x + y * y
            if square >= enough * enough:
                continue
            earlier = norm(before[d, 0] - points[p, 0], before[d, 1] - points[p, 1], 0.0)
            both = 0.5 * (math.sqrt(square) + earlier - ways[d])
            least = min(least, both - discs[d, 2] - grown_m)
    return least


@kernel()
def reach_clearance(
    positions: Any, times_s: Any, discs: Any, lever_m: float,
    code: Any, centre: Any, rotation: Any, half: Any, velocity: Any, may_move: Any,
    field: Any, place: Any, points: Any, points_move: Any, bounds: Any,
    obstacle_out: Any, own_out: Any,
) -> None:
    """Write lower bounds of both distances from knot 0 to knot i (at knot 0 for i = 0).

    Args: as in `base_distance.path_clearance`, and
        lever_m: Longest distance of a disc's centre from the axis of turning [m].
        bounds: As in `reach.reach_clearance`, shape [8].
    """
    count = discs.shape[0]
    now, before = np.empty((count, 3)), np.empty((count, 3))
    seen, moved = np.empty((count, code.shape[0])), np.empty((count, code.shape[0]))
    still, ways, wall = np.zeros((code.shape[0], 3)), np.empty(count), np.empty(count)
    radii = np.zeros((count, 4))
    radii[:, 3] = discs[:, 2]
    far, current = np.full((code.shape[0], 2), NOTHING_M), np.zeros(code.shape[0], dtype=np.bool_)
    valid = True
    for i in range(positions.shape[0]):
        now, before = before, now
        valid = disc_centres(positions[i], discs, now) and valid
        valid = valid and math.isfinite(times_s[i]) and (i == 0 or times_s[i] > times_s[i - 1])
        if not valid:
            obstacle_out[i] = own_out[i] = -NOTHING_M
            continue
        turn = 0.0
        if i == 0:
            before[:] = now
        else:
            turn = positions[i, 2] - positions[i - 1, 2]
        sag_m = 0.125 * lever_m * turn * turn
        step_s = times_s[i] - times_s[i - 1] if i > 0 else 0.0
        way_m = write_ways(now, before, 0, ways)
        near, own = (obstacle_out[i - 1], own_out[i - 1]) if i > 0 else (NOTHING_M, NOTHING_M)
        bound = wall_bound(now, discs, field, place, wall, ways, i == 0, own + sag_m)
        bound = point_bound(now, before, discs, points, points_move, False, ways, 0.0, bound)
        own_out[i] = min(own, bound - sag_m)
        bound = obstacle_bound(
            now, before, radii, 0, seen, moved, code, centre, rotation, half, velocity, still,
            may_move, times_s[i], step_s, bounds, way_m, far, current, near + sag_m)
        bound = point_bound(
            now, before, discs, points, points_move, True, ways, bounds[0] * times_s[i], bound)
        obstacle_out[i] = min(near, bound - sag_m)
        if i > 0 and (obstacle_out[i] < min(bounds[5], obstacle_out[0] - bounds[7])
                      or own_out[i] < min(bounds[6], own_out[0] - bounds[7])):
            obstacle_out[i + 1:] = obstacle_out[i]
            own_out[i + 1:] = own_out[i]
            return
