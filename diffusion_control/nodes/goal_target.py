# SPDX-License-Identifier: Apache-2.0
"""The goal as a configuration, for a tracker that goes there without a plan."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import DiffusionControlError
from diffusion_control.nodes.inputs import same_goal
from diffusion_control.nodes.robot_io import Goals
from diffusion_control.planners.base.base_planner import target_of
from diffusion_control.planners.goal_configurations import GoalConfigurations
from diffusion_control.planners.world import World
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle

Array = NDArray[np.float64]
WHERE = 'tracker.follow_goals'


class GoalTarget:
    """The newest goal as joints [n], or as x, y, yaw of a base (a free yaw is not a number).

    A pose of the tool becomes the nearest configuration that touches nothing that stands, by
    inverse kinematics in a thread of its own: that takes longer than a tick. Until it is found,
    or where there is none, there is no target and the robot holds; the same goal sent again is
    then tried again.

    Args:
        goals: The goals.
        robot: The robot.
        warn: Told why a goal has no configuration.
    """

    def __init__(self, goals: Goals, robot: Any, warn: Callable[[str], None]) -> None:
        """Begin without a goal."""
        self._goals, self._robot, self._warn = goals, robot, warn
        self._asked: Goal | None = None
        self._found: tuple[Goal | None, Array | None] = (None, None)
        self._thread = threading.Thread()
        self._solver = GoalConfigurations(robot) if robot.kind == 'arm' else None

    def look(self, position: Array, obstacles: tuple[Obstacle, ...]) -> Array | None:
        """Return the target, or None.

        Args:
            position: Where the robot is, shape [n].
            obstacles: What was last seen of them.
        """
        goal = self._goals.look()
        if goal is None:
            return None
        if goal is not self._asked:
            before, target = self._found
            self._asked = goal
            if target is not None and same_goal(goal, before):
                self._found = (goal, target)
        if self._found[0] is not goal and not self._thread.is_alive():
            self._find(goal, position, obstacles)
        return self._found[1] if self._found[0] is goal else None

    def _find(self, goal: Goal, position: Array, obstacles: tuple[Obstacle, ...]) -> None:
        if self._solver is None or goal.joints_rad is not None:
            self._found = (goal, pose_of(goal) if self._solver is None else goal.joints_rad)
            return
        self._thread = threading.Thread(
            target=self._solve, args=(self._solver, goal, position, obstacles), daemon=True)
        self._thread.start()

    def _solve(
        self, solver: GoalConfigurations, goal: Goal, position: Array,
        obstacles: tuple[Obstacle, ...],
    ) -> None:
        try:
            world = World(self._robot, obstacles, margin_m=0.0)
            self._found = (goal, solver.find(goal, position, world)[0])
        except DiffusionControlError as error:
            self._found = (goal, None)
            self._warn(f'{WHERE}: {error}')


def pose_of(goal: Goal) -> Array:
    """Return the x, y, yaw of a base's goal."""
    place, yaw = target_of(goal)
    return np.array([*place, np.nan if yaw is None else yaw])
