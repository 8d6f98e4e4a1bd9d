# SPDX-License-Identifier: Apache-2.0
"""Barriers inside the denoising: each move of the noised knots is made safe in closed form.

A move takes the place p of a knot to p + u. With the barrier h of a specification, g its slope
and a the share of h that one move may use up, the nearest u with

    robust        g'u >= -a (h - d),                               d a margin,
    relaxed       g'u + w r >= -a h,  r^2 added to the cost,       w from 1 to 0 along the run,
    time_varying  g'u >= -a (h - c) + c+ - c,                      c from min h of the noise to 0

is u + max(0, lack) g / (|g|^2 + w^2), one constraint a knot. The barriers here are convex, so
h(p + u) >= h + g'u; in the last move a = 1, w = 0 and c+ = 0, so every knot ends with h >= 0.

Original: W. Xiao, T.-H. Wang, C. Gan, R. Hasani, M. Lechner, D. Rus, "SafeDiffuser: Safe Planning
with Diffusion Probabilistic Models", ICLR 2025 (section 3: RoS, ReS and TVS).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.point_mass.specification import Specification

Array = NDArray[np.float64]
ROBUST, RELAXED, TIME_VARYING = 'robust', 'relaxed', 'time_varying'
SHARE, MARGIN, RELAXED_UNTIL = 0.5, 0.01, 0.8
SMALLEST_SLOPE = 1e-9


@dataclass
class BarrierSchedule:
    """What a barrier asks of the moves of one run.

    Attributes:
        kind: `robust`, `relaxed` or `time_varying`.
        level: c of the move before; None before the first.
    """

    kind: str
    level: float | None = None

    def least(self, h: Array, done: float) -> tuple[Array, float]:
        """Return what g'u must at least be, of the shape of h, and the weight w of the slack.

        Args:
            h: Values of the barrier before the move.
            done: Share of the run that is done after it.
        """
        last = done >= 1.0 - 1e-9
        share = 1.0 if last else SHARE
        if self.kind == ROBUST:
            return -share * (h - MARGIN), 0.0
        if self.kind == RELAXED:
            return -share * (h - MARGIN), max(1.0 - done / RELAXED_UNTIL, 0.0)
        level = float(min(h.min(), 0.0)) if self.level is None else self.level
        self.level = 0.0 if last else level * (1.0 - share)
        return -share * (h - level) + self.level - level, 0.0


class BarrierMoves:
    """Makes the moves of one run safe.

    Args:
        specification: The barrier.
        kind: `robust`, `relaxed` or `time_varying`.
    """

    def __init__(self, specification: Specification, kind: str) -> None:
        self._specification, self._schedule = specification, BarrierSchedule(kind)

    def __call__(self, before: Array, after: Array, done: float) -> Array:
        """Return safe noised knots [B, H, 4] in place of `after`.

        Args:
            before: Knots before the move.
            after: Knots after it.
            done: Share of the run that is done after it.
        """
        places = before[..., :2].reshape(-1, 2)
        h, slope = self._specification.h(places), self._specification.gradient(places)
        least, slack = self._schedule.least(h, done)
        move = after[..., :2].reshape(-1, 2) - places
        lack = least - (slope * move).sum(axis=1)
        steep = (slope**2).sum(axis=1) + slack**2
        move += (np.maximum(lack, 0.0) / np.maximum(steep, SMALLEST_SLOPE))[:, None] * slope
        found = after.copy()
        found[..., :2] = (places + move).reshape(found[..., :2].shape)
        return found
