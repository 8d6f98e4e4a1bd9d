# SPDX-License-Identifier: Apache-2.0
"""The fallback that goes back along the way that was come."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.fallback.trail import Trail
from diffusion_control.planners.parameters import parameter, read_parameters
from diffusion_control.planners.path_timing import time_path
from diffusion_control.planners.problem import PlanningProblem, PlanSet
from diffusion_control.planners.publishable import publishable
from diffusion_control.planners.selection import Candidate, plan_set
from diffusion_control.planners.stop_first import stop_first, then
from diffusion_control.planners.world import World

Array = NDArray[np.float64]
SHARES = (1.0, 0.6, 0.3, 0.1)


@dataclass(frozen=True)
class RetreatParameters:
    """How far and how fast to go back."""

    spacing_rad: float = parameter(0.05, 0.005, 1.0, 'distance of recorded configurations [rad]')
    length_rad: float = parameter(3.0, 0.05, 100.0, 'longest way back [rad]')
    margin_m: float = parameter(0.01, 0.0, 0.2, 'clearance to obstacles [m]')
    speed_scale: float = parameter(0.35, 0.05, 0.95, 'share of the limits to plan with')


class RetreatFallback:
    """Records where the robot was, and plans back along it.

    `record` is called with joint states, but not while the robot goes back: after a plan the next
    record cuts off what lay beyond. What the robot passed through was free of standing obstacles.

    Args:
        robot: The arm.
        seed: Kept for reports.
        clock: Monotonic clock [s].
        **params: Fields of `RetreatParameters`.
    """

    name = 'retreat'

    def __init__(
        self, robot: Any, *, seed: int = 0, clock: Callable[[], float] = time.perf_counter,
        **params: Any,
    ) -> None:
        self.robot, self.clock = robot, clock
        self.values = read_parameters(RetreatParameters, self.name, params)
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Forget the way that was come."""
        self.seed = seed
        self._trail = Trail(self.values.spacing_rad, self.values.length_rad)

    def info(self) -> dict[str, Any]:
        """Return name and parameters."""
        return {'name': self.name, 'seed': self.seed, **dataclasses.asdict(self.values)}

    def record(self, position: Array) -> None:
        """Note that the robot passes a configuration [n]."""
        self._trail.record(position)

    def way_back(self, position: Array) -> Array:
        """Return configurations [W, n] back along the way, at most `length_rad`; see `Trail`."""
        way = self._trail.way_back(position)
        length = np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))
        return way[:1 + int(np.searchsorted(length, self.values.length_rad))]

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return motions back along the way: all of it, and shorter shares; see `Planner.plan`."""
        del deadline_s
        begin, start = self.clock(), problem.start
        self._trail.back()
        stop = stop_first(self.robot, start, self.values.speed_scale)
        way = self.way_back(stop.position[-1])
        world = World(self.robot, problem.obstacles, margin_m=self.values.margin_m)
        found: list[Candidate] = []
        for share in SHARES:
            timed = time_path(
                way[:max(int(np.ceil(share * len(way))), 1)],
                self.robot.limits.scaled(self.values.speed_scale), stamp_s=stop.end_s,
                names=self.robot.joint_names, frame_id=self.robot.base_frame)
            if timed is None:
                continue
            motion = publishable(then(stop, timed))
            found.append(Candidate(motion, world.judge(motion)))
            if found[-1].judgement.free:
                break
        return plan_set(
            found, evaluations=len(found), latency_s=self.clock() - begin, source='retreat',
            seed=self.seed)
