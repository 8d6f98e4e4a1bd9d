# SPDX-License-Identifier: Apache-2.0
"""Whether a goal can be reached at all, asked before anything moves."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffusion_control.errors import moved
from diffusion_control.planners.goal_configurations import GoalConfigurations
from diffusion_control.planners.problem import PlanningError
from diffusion_control.planners.world import World
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle


def check_goal(
    robot: Any, goal: Goal, standing: tuple[Obstacle, ...], *, where: str
) -> None:
    """Refuse a goal that no configuration fulfils, or only ones in collision.

    Args:
        robot: The arm.
        goal: The goal.
        standing: Obstacles that do not move.
        where: Names the goal in the error.

    Raises:
        ConfigurationError: The goal is unreachable or inside an obstacle.
    """
    try:
        GoalConfigurations(robot).find(
            goal, np.asarray(robot.home_rad, dtype=float),
            World(robot, standing, margin_m=0.0))
    except PlanningError as error:
        raise moved(error, where) from error
