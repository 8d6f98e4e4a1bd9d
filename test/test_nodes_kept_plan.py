# SPDX-License-Identifier: Apache-2.0
"""When the fallback makes its plan anew: a base that is far from its goal, a stop, a new goal."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from diffusion_control import planners, robots
from diffusion_control.nodes.kept_plan import EVERY_S, KeptPlan
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.state import RobotState

FAR, NEAR = (Goal(position_m=np.array([x, 2.0, 0.0])) for x in (9.0, 2.0))
HALL = OccupancyMap(
    0.1, np.zeros(3), np.pad(np.zeros((38, 108), dtype=np.int8), 1, constant_values=100))
"""Ten metres by four, with a wall around."""


@cache
def base() -> Any:
    """Return the robot, loaded once."""
    robot = robots.load_base('base')
    robot.collision.warm_up()
    return robot


def drive(name: str, goal: Goal, seconds: float) -> tuple[np.ndarray, list[float]]:
    """Follow a fallback's plans exactly; return where that ends [3] and when plans were made."""
    planner = planners.make_fallback(name, robot=base(), seed=0)
    kept, made = KeptPlan(base(), planner), []
    around = base().pack((), map=HALL)
    position, velocity, acceleration = np.array([1.6, 2.0, 0.0]), np.zeros(3), np.zeros(3)
    for now_s in 0.1 * np.arange(round(seconds * 10)):
        if kept.plan is not None:
            here = kept.plan.sample(float(now_s))
            position, velocity, acceleration = here.position, here.velocity, here.acceleration
        if not kept.good(goal, position, float(now_s), around):
            answer = planner.plan(PlanningProblem(
                RobotState(position, velocity, float(now_s)), goal, (), map=HALL,
                start_s=float(now_s), acceleration=acceleration))
            assert answer.trajectory is not None
            kept.take(answer.trajectory, goal, float(now_s))
            made.append(float(now_s))
    return position, made


def test_a_base_goes_on_to_a_goal_that_one_plan_does_not_reach() -> None:
    position, made = drive('classical', FAR, 40.0)
    assert np.hypot(*(position[:2] - FAR.position_m[:2])) < 0.1
    assert 3 < len(made) < 30
    assert np.diff(made).min() > EVERY_S - 1e-6
    assert made[-1] < 30.0, 'a plan to the goal is kept'


@pytest.mark.parametrize(('name', 'goal'), [('classical', NEAR), ('hold', FAR)])
def test_one_plan_does_where_it_ends_at_the_goal_or_is_a_stop(name: str, goal: Goal) -> None:
    assert len(drive(name, goal, 10.0)[1]) == 1


def test_a_plan_of_another_goal_is_not_kept_and_nothing_is_after_a_refusal() -> None:
    planner = planners.make_fallback('classical', robot=base(), seed=0)
    kept, around = KeptPlan(base(), planner), base().pack((), map=HALL)
    here = np.array([1.6, 2.0, 0.0])
    answer = planner.plan(PlanningProblem(
        RobotState(here, np.zeros(3), 0.0), NEAR, (), map=HALL))
    assert answer.trajectory is not None
    kept.take(answer.trajectory, NEAR, 0.0)
    assert kept.good(NEAR, here, 0.0, around)
    assert not kept.good(FAR, here, 0.0, around)
    kept.drop()
    assert not kept.good(NEAR, here, 0.0, around)
