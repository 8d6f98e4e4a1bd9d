# SPDX-License-Identifier: Apache-2.0
"""The plan that the fallback keeps, and whether it still holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.nodes.inputs import same_goal
from diffusion_control.planners.protocol import Planner
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.robots.protocol import Robot
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
CHECK_SPACING_S, LOOK_AHEAD_S = 0.04, 2.0
OFF_PATH_RAD = 0.15
RENEWED_S, EVERY_S, ARRIVES_M = 2.5, 0.5, 0.1
"""A plan that ends before its goal is made anew when so much of it is left, and how often."""


class KeptPlan:
    """Keep a plan as long as it leads to the goal.

    Args:
        robot: What is driven.
        planner: Who made the plan.
    """

    def __init__(self, robot: Robot, planner: Planner) -> None:
        """Begin without a plan."""
        self._robot, self._planner = robot, planner
        self.plan: Trajectory | None = None
        self._goal: Goal | None = None
        self._taken_s = -np.inf

    def take(self, plan: Trajectory, goal: Goal, now_s: float) -> None:
        """Keep a plan that was made at a ROS time [s]."""
        self.plan, self._goal, self._taken_s = plan, goal, now_s

    def drop(self) -> None:
        """Keep nothing."""
        self.plan = None

    def good(
        self, goal: Goal, position: Array, now_s: float, obstacles: ObstacleArrays
    ) -> bool:
        """Tell whether the plan leads to this goal, is near the robot [n], and is free.

        A plan of a base may end before its goal; then the next one goes on before it ends.
        """
        plan = self.plan
        if plan is None or not same_goal(goal, self._goal):
            return False
        if self._ends_early(plan, goal) and self._due(plan, now_s):
            return False
        ahead = np.arange(0.0, LOOK_AHEAD_S, CHECK_SPACING_S)
        path, _, _ = plan.sample_many(now_s + ahead)
        knots, _, _ = plan.sample_many(plan.stamp_s + np.linspace(
            plan.times_s[0], plan.times_s[-1], 120))
        if float(np.abs(knots - position).max(axis=1).min()) > OFF_PATH_RAD:
            return False
        finished = now_s > plan.end_s + 0.5
        if finished and float(np.abs(plan.position[-1] - position).max()) > OFF_PATH_RAD / 3:
            return False
        clearance, own = self._robot.collision.path_clearance(path, ahead, obstacles)
        return bool(min(clearance.min(), own.min()) > 0.0)

    def _ends_early(self, plan: Trajectory, goal: Goal) -> bool:
        """Tell whether the plan of a planner whose next plan goes on ends before the goal."""
        if not getattr(self._planner, 'goes_on', False) or goal.position_m is None:
            return False
        return bool(np.hypot(*(plan.position[-1, :2] - goal.position_m[:2])) > ARRIVES_M)

    def _due(self, plan: Trajectory, now_s: float) -> bool:
        lately = 0.0 <= now_s - self._taken_s < EVERY_S
        return plan.end_s - now_s < RENEWED_S and not lately
