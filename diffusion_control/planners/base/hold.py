# SPDX-License-Identifier: Apache-2.0
"""The fallback of a base that goes nowhere: stop along the arc, and stand."""

from __future__ import annotations

from diffusion_control.planners.base.base_planner import (
    BaseParameters,
    BasePlanner,
    BaseRequest,
    stopped,
)
from diffusion_control.planners.problem import PlanningProblem, PlanSet
from diffusion_control.planners.selection import Candidate, plan_set


class BaseHold(BasePlanner):
    """Brakes speed and yaw rate as fast as the share of the limits allows."""

    name = 'hold'
    goes_on = False
    parameters_type = BaseParameters

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return the stop; see `Planner.plan`."""
        del deadline_s
        begin = self.clock()
        request = BaseRequest(self.robot, stopped(problem), self.values)
        motion = request.motion(request.line)
        return plan_set(
            [Candidate(motion, request.world.judge(motion))], evaluations=1,
            latency_s=self.clock() - begin, source='hold', seed=self.seed)
