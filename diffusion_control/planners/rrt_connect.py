# SPDX-License-Identifier: Apache-2.0
"""Classical planning: RRT-Connect, simplified, smoothed and timed by TOPP-RA."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.goal_configurations import GoalConfigurations
from diffusion_control.planners.parameters import parameter, read_parameters
from diffusion_control.planners.path_checks import PathChecks
from diffusion_control.planners.path_search import find_path
from diffusion_control.planners.path_timing import time_path
from diffusion_control.planners.problem import PlanningProblem, PlanSet
from diffusion_control.planners.publishable import publishable
from diffusion_control.planners.selection import Candidate, plan_set
from diffusion_control.planners.stop_first import stop_first, then
from diffusion_control.planners.world import World
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
ATTEMPTS = 3
ACCEPTED = 0.6


@dataclass(frozen=True)
class RrtConnectParameters:
    """Settings of the classical planner."""

    search_s: float = parameter(1.0, 0.01, 60.0, 'longest time of the search [s]')
    margin_m: float = parameter(
        0.02, 0.0, 0.2, 'clearance to search with [m]; 60 % of it is what a motion must keep')
    speed_scale: float = parameter(0.65, 0.05, 0.95, 'share of the limits to plan with')


class RrtConnectPlanner:
    """Finds a path by search and times it; a robot in motion is stopped first.

    Movers count where they are now, and where they will be in the next 1.5 s.

    Args:
        robot: The arm.
        model: Not used.
        seed: Seed of the search.
        clock: Monotonic clock [s].
        **params: Fields of `RrtConnectParameters`.
    """

    name = 'rrt_connect'
    parameters_type = RrtConnectParameters

    def __init__(
        self, robot: Any, *, model: Any = None, seed: int = 0,
        clock: Callable[[], float] = time.perf_counter, **params: Any,
    ) -> None:
        del model
        self.robot, self.clock = robot, clock
        self.values: Any = read_parameters(self.parameters_type, self.name, params)
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Forget the goal and restart the seeds."""
        self.seed, self.calls = seed, 0
        self.goals = GoalConfigurations(self.robot, seed=seed)

    def info(self) -> dict[str, Any]:
        """Return name and parameters."""
        return {'name': self.name, 'seed': self.seed, **dataclasses.asdict(self.values)}

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return one motion: the stop (if the robot moves), then the path; see `Planner.plan`."""
        begin = self.clock()
        stop = stop_first(self.robot, problem.start, self.values.speed_scale)
        world = World(self.robot, problem.obstacles, margin_m=self.values.margin_m)
        goals = self.goals.find(problem.goal, stop.position[-1], world)
        budget = self.values.search_s if deadline_s is None else min(
            self.values.search_s, 0.8 * deadline_s)
        checks = PathChecks(world, problem.obstacles, stop.position[-1])
        found: list[Candidate] = []
        for attempt in range(ATTEMPTS):
            left = budget - (self.clock() - begin)
            if attempt and left < 0.1 * budget:
                break
            path = self._search(stop.position[-1], goals, checks, max(left, 0.05), attempt)
            if path is None:
                break
            found += self._timed(stop, path, world)
            if found and found[-1].judgement.free:
                break
        return plan_set(
            found, evaluations=checks.count, latency_s=self.clock() - begin, source='classical',
            seed=self.seed)

    def _search(
        self, start: Array, goals: Array, checks: PathChecks, time_s: float, attempt: int
    ) -> Array | None:
        """Search for a path; its corners are rounded, except in the last attempt."""
        self.calls += 1
        return find_path(
            self.robot.limits, start, goals, checks.valid(goals[0]), until=time_s,
            seed=self.seed + self.calls, smooth=attempt < ATTEMPTS - 1)

    def _timed(self, stop: Trajectory, path: Array, world: World) -> list[Candidate]:
        """Time a path and reduce it to 40 knots; slower if these few exceed the limits."""
        scale, result = self.values.speed_scale, []
        for _ in range(ATTEMPTS):
            timed = time_path(
                path, self.robot.limits.scaled(scale), stamp_s=stop.end_s,
                names=self.robot.joint_names, frame_id=self.robot.base_frame)
            if timed is None:
                break
            motion = publishable(then(stop, timed))
            result.append(Candidate(motion, world.judge(motion, tolerance=ACCEPTED)))
            ratio = result[-1].judgement.limit_ratio
            if ratio <= 1.0 or not np.isfinite(ratio):
                break
            scale *= 0.9 / ratio
        return result[-1:]
