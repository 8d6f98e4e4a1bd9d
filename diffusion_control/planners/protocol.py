# SPDX-License-Identifier: Apache-2.0
"""What every planner, learned or not, looks like from outside."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from diffusion_control.planners.problem import PlanningProblem, PlanSet


@runtime_checkable
class Planner(Protocol):
    """Proposes motions to a goal; it promises nothing, the tracker and safety check."""

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return candidate motions, the best first.

        Args:
            problem: Start, goal, obstacles.
            deadline_s: Time to answer in, from the call [s]; None = the planner's own.

        Raises:
            PlanningError: The goal is unreachable or in collision.
        """
        ...

    def reset(self, seed: int) -> None:
        """Forget everything and restart the random numbers from `seed`."""
        ...

    def info(self) -> dict[str, Any]:
        """Return name, source and parameters for reports."""
        ...
