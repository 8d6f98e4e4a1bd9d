# SPDX-License-Identifier: Apache-2.0
"""Straight to the goal, whatever is in the way."""

from __future__ import annotations

from diffusion_control.planners.base.base_planner import Array, BasePlanner, BaseRequest


class BaseStraightLine(BasePlanner):
    """Turns to the goal and drives there; the lower bar of every table."""

    name = 'straight_line'

    def propose(self, request: BaseRequest, kept: Array | None, until: float) -> list[Array]:
        """Return the one line."""
        del kept, until
        return [request.line]
