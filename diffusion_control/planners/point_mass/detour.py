# SPDX-License-Identifier: Apache-2.0
"""Clean motions led round a specified region: predict, then correct.

Knots with h < m move out of the region. Those of one passage through it all move along the same
direction, the mean slope of h on the passage weighted by depth, so that a motion does not part at
the middle of the region, and no knot is held back behind it; the distance solves h(p + s d) = m by
bisection. Then the shift is smoothed over time, what is still inside is led out along its own
slope, and speeds follow the shift. With the margin m = 0 the condition is that of the plan itself;
where the motion between knots is inside, m grows.

The idea of correcting a prediction once instead of constraining each step: X. Dai et al.,
"SafeFlowMatcher: Safe and Fast Planning using Flow Matching with Control Barrier Functions", 2025.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.point_mass.specification import (
    Specification,
    level_at,
    slope_at,
)
from diffusion_control.planners.point_mass.wall_push import shifted, smoothed
from diffusion_control.robots.jit import kernel

Array = NDArray[np.float64]
FARTHEST_M, HALVINGS = 3.0, 24
NEWTON_STEPS, LONGEST_M = 12, 0.5
FLAT, SHORT_M = 1e-2, 1e-6


def led_round(knots: Array, region: Specification, margin: float, knot_s: float) -> Array:
    """Return knots [B, H, 4] whose places have h >= margin; the first ones stay as they are."""
    by = _shifts(np.ascontiguousarray(knots[..., :2]), region.constants, margin)
    out = outside(knots[..., :2] + smoothed(by, knot_s), region, margin)
    return shifted(knots, out - knots[..., :2], knot_s)


def outside(places: Array, region: Specification, margin: float) -> Array:
    """Return places [..., 2] moved along the slope of h until h >= margin, by Newton steps."""
    found = np.array(places, order='C')
    _lead_out(found.reshape(-1, 2), region.constants, margin)
    return found


@kernel()
def _lead_out(places: Any, region: Any, margin: float) -> None:
    """Move places [K, 2] as `outside` says, in place."""
    for place in places:
        for _ in range(NEWTON_STEPS):
            lack = margin - level_at(place[0], place[1], region)
            if lack <= 0.0:
                break
            x, y = slope_at(place[0], place[1], region)
            share = lack / max(x * x + y * y, FLAT)
            length = share * np.sqrt(x * x + y * y)
            share *= min(1.0, LONGEST_M / max(length, 1e-9))
            place[0] += share * x
            place[1] += share * y


@kernel()
def _shifts(places: Any, region: Any, margin: float) -> Any:
    """Return by what each place of motions [B, H, 2] moves, one direction for each passage."""
    by = np.zeros_like(places)
    for b in range(len(places)):
        first = 1
        while first < places.shape[1]:
            if level_at(places[b, first, 0], places[b, first, 1], region) >= margin:
                first += 1
                continue
            last = first + 1
            while last < places.shape[1] and level_at(
                    places[b, last, 0], places[b, last, 1], region) < margin:
                last += 1
            x, y = _direction(places[b, first:last], region, margin)
            for k in range(first, last):
                far = _reach(places[b, k], x, y, region, margin)
                by[b, k, 0], by[b, k, 1] = far * x, far * y
            first = last
    return by


@kernel()
def _direction(passage: Any, region: Any, margin: float) -> Any:
    """Return the unit direction x, y in which a passage [K, 2] is led out."""
    mean_x = mean_y = 0.0
    for x, y in passage:
        slope_x, slope_y = slope_at(x, y, region)
        weight = (margin - level_at(x, y, region)) / max(
            np.sqrt(slope_x**2 + slope_y**2), 1e-9)
        mean_x += weight * slope_x
        mean_y += weight * slope_y
    along_x, along_y = passage[-1, 0] - passage[0, 0], passage[-1, 1] - passage[0, 1]
    length = np.sqrt(along_x**2 + along_y**2)
    if length > SHORT_M:
        along_x, along_y = along_x / length, along_y / length
        forward = mean_x * along_x + mean_y * along_y
        mean_x, mean_y = mean_x - forward * along_x, mean_y - forward * along_y
    size = np.sqrt(mean_x**2 + mean_y**2)
    if size > SHORT_M:
        return mean_x / size, mean_y / size
    if length > SHORT_M:
        return -along_y, along_x
    slope_x, slope_y = slope_at(passage[0, 0], passage[0, 1], region)
    size = max(np.sqrt(slope_x**2 + slope_y**2), 1e-9)
    return slope_x / size, slope_y / size


@kernel()
def _reach(place: Any, x: float, y: float, region: Any, margin: float) -> float:
    """Return how far a place goes along a direction until h = margin, at most 3 m."""
    low, high = 0.0, FARTHEST_M
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if level_at(place[0] + middle * x, place[1] + middle * y, region) >= margin:
            high = middle
        else:
            low = middle
    return float(high)
