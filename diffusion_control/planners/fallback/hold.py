# SPDX-License-Identifier: Apache-2.0
"""The fallback that goes nowhere: stop and stand."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diffusion_control.planners.parameters import parameter, read_parameters
from diffusion_control.planners.problem import PlanningProblem, PlanSet
from diffusion_control.planners.publishable import publishable
from diffusion_control.planners.selection import Candidate, plan_set
from diffusion_control.planners.stop_first import rest, stop_first, then
from diffusion_control.planners.world import World


@dataclass(frozen=True)
class HoldParameters:
    """How hard to stop."""

    speed_scale: float = parameter(0.65, 0.05, 0.95, 'share of the limits to stop with')


class HoldFallback:
    """Stops the robot where it is; it never reaches a goal.

    Args:
        robot: The arm.
        seed: Kept for reports.
        clock: Monotonic clock [s].
        **params: Fields of `HoldParameters`.
    """

    name = 'hold'

    def __init__(
        self, robot: Any, *, seed: int = 0, clock: Callable[[], float] = time.perf_counter,
        **params: Any,
    ) -> None:
        self.robot, self.seed, self.clock = robot, seed, clock
        self.values = read_parameters(HoldParameters, self.name, params)

    def reset(self, seed: int) -> None:
        """Take another seed; there is nothing to forget."""
        self.seed = seed

    def info(self) -> dict[str, Any]:
        """Return name and parameters."""
        return {'name': self.name, 'seed': self.seed, **dataclasses.asdict(self.values)}

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return the stop and a short rest after it; see `Planner.plan`."""
        del deadline_s
        begin = self.clock()
        stop = stop_first(self.robot, problem.start, self.values.speed_scale)
        standing = rest(
            stop.position[-1], stop.end_s, self.robot.joint_names, self.robot.base_frame)
        motion = publishable(then(stop, standing))
        world = World(self.robot, problem.obstacles, margin_m=0.0)
        return plan_set(
            [Candidate(motion, world.judge(motion))], evaluations=1,
            latency_s=self.clock() - begin, source='hold', seed=self.seed)
