# SPDX-License-Identifier: Apache-2.0
"""How fast a base's planners go beside movers, held against the safety monitor's own check."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from base_motions import motion_of

from diffusion_control import planners, robots
from diffusion_control.planners.base.mover_room import FORGOTTEN_S, MoverRoom, free_share
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.state import RobotState
from diffusion_control.safety.base.arc import slow_down
from diffusion_control.safety.base.verify import BaseVerifier
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.verify import Surroundings
from diffusion_control.trajectory.trajectory import Trajectory

ROBOT = robots.load('base')
TWISTS = [(0.54, 0.0), (0.3, 0.8), (0.0, 1.6), (0.1, 0.0)]


def post(gap_m: float, angle_rad: float, velocity: tuple[float, float] = (0.0, 0.0)) -> Obstacle:
    """Return a mover whose surface is a gap away from the base at the origin."""
    away = gap_m + 0.2 + ROBOT.collision.discs[0, 2]
    place = away * np.array([np.cos(angle_rad), np.sin(angle_rad)])
    return Obstacle('cylinder', (0.2, 1.0), np.array([*place, 0.5]), may_move=True,
                    velocity_m_s=np.array([*velocity, 0.0]))


def share(mover: Obstacle, v: float, w: float, time_s: float = 0.0, **other: Any) -> float:
    room = MoverRoom.of(ROBOT, ROBOT.pack((mover,)), 0.5)
    return float(free_share(np.zeros(5), v, w, time_s, room.arrays(**{'forgets': False, **other})))


def admitted(mover: Obstacle, v: float, w: float) -> bool:
    """Return what the monitor says to a twist that is reached at once and then given up."""
    parameters = SafetyParameters(
        command_out_type='twist_stamped', receiver_timeout_s=ROBOT.receiver_timeout_s)
    twist = np.array([v, 0.0, w])
    later, falling = slow_down(twist, 1.1, 3.0, 0.05)
    like = Trajectory(0.0, np.zeros(1), np.zeros((1, 3)), np.zeros((1, 3)), np.zeros((1, 3)),
                      ROBOT.joint_names, ROBOT.base_frame)
    motion = motion_of(np.append(0.0, 0.04 + later), np.concatenate([twist[None], falling]),
                       np.zeros(3), like, 0.0)
    around = Surroundings(ROBOT.pack((mover,)), 0.01, 0.0)
    return bool(BaseVerifier(ROBOT, parameters).verify(motion, around).ok)


@pytest.mark.parametrize('twist', TWISTS)
@pytest.mark.parametrize('velocity', [(0.0, 0.0), (0.3, 0.0), (-0.3, 0.1), (0.0, 0.5)])
@pytest.mark.parametrize('angle_rad', [0.0, 0.8, 1.6, 2.4, 3.1])
def test_what_the_planner_drives_the_monitor_admits(
    twist: Any, velocity: tuple[float, float], angle_rad: float
) -> None:
    drives = 0
    for gap_m in np.arange(0.05, 1.3, 0.05):
        mover = post(float(gap_m), angle_rad, velocity)
        k = share(mover, *twist)
        drives += k > 0.0
        assert k == 0.0 or admitted(mover, k * twist[0], k * twist[1])
    assert drives > 5


def test_it_slows_down_and_stands_but_not_for_what_will_have_gone() -> None:
    shares = [share(post(gap, 0.0), 0.54, 0.0) for gap in (1.2, 0.8, 0.5, 0.2)]
    assert shares[0] == 1.0 and shares == sorted(shares, reverse=True)
    assert 0.0 < shares[1] < 1.0 and shares[-1] == 0.0
    assert share(post(0.2, 0.0), 0.54, 0.0, FORGOTTEN_S + 0.1, forgets=True) == 1.0
    assert share(post(0.2, 0.0), 0.54, 0.0, FORGOTTEN_S + 0.1) == 0.0


def test_the_room_follows_the_receivers_time_out() -> None:
    quick = robots.load('base')
    quick.receiver_timeout_s = 0.1
    room = MoverRoom.of(quick, quick.pack((post(0.2, 0.0),)), 0.5)
    assert free_share(np.zeros(5), 0.2, 0.0, 0.0, room.arrays(forgets=False)) > 0.0
    assert share(post(0.2, 0.0), 0.2, 0.0) == 0.0


def test_what_stands_at_the_limit_may_leave_but_not_approach() -> None:
    limit = next(gap for gap in np.arange(0.1, 0.5, 0.002)
                 if admitted(post(gap, 0.0), 0.02, 0.0))
    mover = post(limit + 0.07, 0.0)
    assert share(mover, 0.54, 0.0) == 0.0
    assert share(replace(mover, position_m=mover.position_m * [-1, 1, 1]), 0.54, 0.0) > 0.0


@pytest.mark.parametrize('name', ['astar', 'training_free', 'ilqr'])
def test_plans_wait_before_a_mover_that_stands_in_the_only_way(name: str) -> None:
    mover = Obstacle('box', (0.4, 8.0, 1.0), np.array([2.2, 0.0, 0.5]), may_move=True)
    problem = PlanningProblem(
        RobotState(np.zeros(3), np.zeros(3), 1.0), Goal(position_m=np.array([4.0, 0.0, 0.0])),
        obstacles=(mover,))
    answer = planners.make(name, robot=ROBOT, seed=0).plan(problem)
    assert answer.best is not None
    end = answer.trajectory.position[-1]
    near, _ = ROBOT.collision.clearance(end, ROBOT.pack((mover,)))
    assert near > 0.2
