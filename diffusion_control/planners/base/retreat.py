# SPDX-License-Identifier: Apache-2.0
"""The fallback of a base that goes back along the way that was come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.base.base_planner import (
    BaseParameters,
    BasePlanner,
    BaseRequest,
    Way,
    stopped,
)
from diffusion_control.planners.fallback.trail import Trail
from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.problem import PlanningProblem, PlanSet
from diffusion_control.planners.selection import plan_set

Array = NDArray[np.float64]
SHARES = (1.0, 0.6, 0.3)


@dataclass(frozen=True)
class BaseRetreatParameters(BaseParameters):
    """How far and how fast to go back."""

    spacing_m: float = parameter(0.05, 0.005, 1.0, 'distance of recorded places [m]')
    length_m: float = parameter(2.0, 0.05, 100.0, 'longest way back [m]')
    margin_m: float = parameter(0.02, 0.0, 0.5, 'least clearance to obstacles and walls [m]')
    speed_scale: float = parameter(0.5, 0.05, 0.95, 'share of the limits to plan with')


class BaseRetreat(BasePlanner):
    """Records where the base was, turns round and goes back there.

    `record` is called with poses, but not while the base goes back: after a plan the next record
    cuts off what lay beyond.
    """

    name = 'retreat'
    goes_on = False
    parameters_type = BaseRetreatParameters

    def reset(self, seed: int) -> None:
        """Forget the way that was come."""
        super().reset(seed)
        self._trail = Trail(self.values.spacing_m, self.values.length_m)

    def record(self, position: Array) -> None:
        """Note that the base passes a pose x, y, yaw."""
        self._trail.record(position[:2])

    def way_back(self, position: Array) -> Array:
        """Return places [W, 2] from a pose back along the way; see `Trail`."""
        return self._trail.way_back(np.asarray(position[:2], dtype=float))

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return motions back: all of the way, shorter shares, the stop; see `Planner.plan`."""
        del deadline_s
        begin = self.clock()
        self._trail.back()
        request = BaseRequest(self.robot, stopped(problem), self.values)
        way = self.way_back(problem.start.position)
        found = []
        for share in SHARES:
            part = way[:max(int(np.ceil(share * len(way))), 1)]
            found.append(request.candidate(Way(part, 1.0 / share)))
            if found[-1].judgement.free:
                break
        found.append(request.waiting())
        return plan_set(
            found, evaluations=request.evaluations, latency_s=self.clock() - begin,
            source='retreat', seed=self.seed)
