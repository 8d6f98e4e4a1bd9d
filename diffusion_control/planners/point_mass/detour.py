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

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.point_mass.specification import Specification
from diffusion_control.planners.point_mass.wall_push import shifted, smoothed

Array = NDArray[np.float64]
FARTHEST_M, HALVINGS = 3.0, 24
NEWTON_STEPS = 12


def led_round(knots: Array, region: Specification, margin: float, knot_s: float) -> Array:
    """Return knots [B, H, 4] whose places have h >= margin; the first ones stay as they are."""
    by = np.stack([_shift(motion[:, :2], region, margin) for motion in knots])
    places = knots[..., :2] + smoothed(by, knot_s)
    out = outside(places.reshape(-1, 2), region, margin).reshape(places.shape)
    return shifted(knots, out - knots[..., :2], knot_s)


def outside(places: Array, region: Specification, margin: float) -> Array:
    """Return places [K, 2] moved along the slope of h until h >= margin, by Newton steps."""
    found = places.copy()
    for _ in range(NEWTON_STEPS):
        h, slope = region.h(found), region.gradient(found)
        lack = np.maximum(margin - h, 0.0)
        if not lack.any():
            break
        steep = np.maximum((slope**2).sum(axis=1), 1e-2)
        step = (lack / steep)[:, None] * slope
        length = np.linalg.norm(step, axis=1, keepdims=True)
        found += step * np.minimum(1.0, 0.5 / np.maximum(length, 1e-9))
    return found


def _shift(places: Array, region: Specification, margin: float) -> Array:
    """Return by what each place [H, 2] moves, one direction for each passage."""
    inside = region.h(places) < margin
    inside[0] = False
    by = np.zeros_like(places)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
    for first, last in edges.reshape(-1, 2):
        passage = places[first:last]
        direction = _direction(passage, region, margin)
        by[first:last] = _reach(passage, direction, region, margin)[:, None] * direction
    return by


def _direction(passage: Array, region: Specification, margin: float) -> Array:
    """Return the unit direction in which a passage [K, 2] is led out."""
    slope = region.gradient(passage)
    unit = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
    mean = ((margin - region.h(passage))[:, None] * unit).sum(axis=0)
    along = passage[-1] - passage[0]
    length = float(np.linalg.norm(along))
    if length > 1e-6:
        along = along / length
        mean = mean - (mean @ along) * along
    size = float(np.linalg.norm(mean))
    if size > 1e-6:
        return np.asarray(mean / size)
    return np.array([-along[1], along[0]]) if length > 1e-6 else unit[0]


def _reach(passage: Array, direction: Array, region: Specification, margin: float) -> Array:
    """Return how far places [K, 2] go along a direction until h = margin, at most 3 m."""
    low, high = np.zeros(len(passage)), np.full(len(passage), FARTHEST_M)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        out = region.h(passage + middle[:, None] * direction) >= margin
        low, high = np.where(out, low, middle), np.where(out, middle, high)
    return high
