# SPDX-License-Identifier: Apache-2.0
"""The straight line in joint space, whatever is in the way."""

from __future__ import annotations

from diffusion_control.planners.selection import Pool
from diffusion_control.planners.spline_planner import Request, SplinePlanner


class StraightLinePlanner(SplinePlanner):
    """Goes straight to the nearest goal configuration; the lower bar of every table."""

    name = 'straight_line'

    def propose(self, request: Request, until: float) -> Pool:
        """Return the one line."""
        del until
        return request.lines(1)
