# SPDX-License-Identifier: Apache-2.0
"""Hand-over between the plans of a real planner that could pass an obstacle on several sides.

The arm goes to and fro between two postures; a ball stands where the tool would pass. The planner
(`training_free`) is asked anew every 0.15 s and its plan starts 0.2 s later, from where the
tracker's motion will be. `kept` hands it the plan that is followed, as the node does: a plan that
takes another way has to be shorter than `keep_ratio` of what is left of that one
(`planners/spline_planner.py`; of a base `planners/base/base_planner.py`). `forgotten` hands it
nothing, so that each plan is the best that was found this time.

`flips` counts plans to the same goal whose path is further than 0.5 rad from the path before, as
`check-run` does; jumps and steps are those of `switching`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control import planners
from diffusion_control.evaluation.bench_tracking_switch import jumps, steps
from diffusion_control.evaluation.bench_tracking_world import Follower
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.plan_checks import mode_flips
from diffusion_control.evaluation.workers import warm_arm
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.state import RobotState
from diffusion_control.tracking.parameters import TrackerParameters
from diffusion_control.tracking.prediction import Prediction
from diffusion_control.tracking.registry import tracker_with
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
KEPT, FORGOTTEN = 'kept', 'forgotten'
CASES = (KEPT, FORGOTTEN)
PLANNER = 'training_free'
REPLAN_TICKS, LATENCY_TICKS, TICK_S = 15, 20, 0.01
ASIDE_RAD, RADIUS_M = 0.8, 0.08


def modes_row(
    robot_config: str, tracker: str, kind: str, *, ticks: int, seed: int, **planner: Any
) -> dict[str, Any]:
    """Return the row of one case.

    Args:
        robot_config: The robot's name or file.
        tracker: The tracker's name.
        kind: One of `CASES`.
        ticks: Length.
        seed: Of the planner.
        **planner: Its parameters that differ from what is shipped.
    """
    robot = warm_arm(robot_config)
    shuttle = _Shuttle(robot, kind == KEPT, planners.make(
        PLANNER, robot=robot, seed=seed, **planner))
    parameters = TrackerParameters()
    follower = Follower(tracker_with(tracker, robot, Prediction(
        parameters.horizon_steps, parameters.dt_s), parameters), robot)
    plan, changed = None, [0]
    for k in range(ticks):
        if k % REPLAN_TICKS == 0:
            shuttle.ask(follower, k)
        arrived = shuttle.arrived(k)
        if arrived is not None:
            plan = arrived
            changed.append(k)
        follower.tick(plan)
    return {'tracker': tracker, 'kind': f'modes {kind}', 'latency_ms': 10 * LATENCY_TICKS,
            'switches': len(changed) - 1, 'ticks': ticks, 'flips': shuttle.flips(),
            'goals': len(shuttle.goals_s), 'naive_jump_rad': None,
            'naive_velocity_jump_rad_s': None, **jumps(follower, changed),
            **steps(robot, follower)}


class _Shuttle:
    """Asks the planner for the way to the other side of the ball."""

    def __init__(self, robot: Any, keeps: bool, planner: Any) -> None:
        self._robot, self._keeps, self._planner = robot, keeps, planner
        home = np.asarray(robot.home_rad, dtype=float)
        aside = ASIDE_RAD * np.eye(robot.dof)[0]
        self._ends = (home + aside, home - aside)
        self._ball = Obstacle('sphere', (RADIUS_M,), robot.tool_pose(home)[0], key='ball')
        self._side = 0
        self._last: Trajectory | None = None
        self._under_way: list[tuple[int, Trajectory]] = []
        self._plans: list[Command] = []
        self.goals_s: list[float] = []

    def ask(self, follower: Follower, tick: int) -> None:
        """Plan from where the robot will be; a new goal once it is at the last one."""
        start_s = follower.now_s + LATENCY_TICKS * TICK_S
        at = follower.ahead(LATENCY_TICKS * TICK_S)
        if self._last is not None and self._last.start_s <= start_s:
            at = self._last.sample(start_s)
        if not self.goals_s or np.abs(at.position - self._ends[self._side]).max() < 0.01:
            self._side = 1 - self._side
            self.goals_s.append(follower.now_s - TICK_S)
        problem = PlanningProblem(
            RobotState(at.position, at.velocity, start_s),
            Goal(joints_rad=self._ends[self._side]), (self._ball,),
            previous=self._last if self._keeps else None, start_s=start_s,
            acceleration=at.acceleration)
        try:
            plan = self._planner.plan(problem).trajectory
        except PlanningError:
            return
        if plan is not None:
            self._last = plan
            self._under_way.append((tick + LATENCY_TICKS, plan))
            self._plans.append(Command(
                follower.now_s, plan.stamp_s, plan.times_s, plan.position, plan.velocity))

    def arrived(self, tick: int) -> Trajectory | None:
        """Return the plan that arrives in this tick."""
        for at, plan in self._under_way:
            if at == tick:
                return plan
        return None

    def flips(self) -> int:
        """Return how many plans take another way than the one before."""
        return mode_flips(self._plans, np.array(self.goals_s))
