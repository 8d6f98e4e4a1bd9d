# SPDX-License-Identifier: Apache-2.0
"""What a base's planners believe of movers that go to and fro, against the simulated ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.planners.base.base_planner import BaseParameters, BaseRequest
from diffusion_control.planners.base.mover_memory import MoverMemory
from diffusion_control.planners.base.mover_room import MoverRoom, free_share, went
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.state import RobotState
from diffusion_control.simulation.movers import Mover
from diffusion_control.tracking.admission import PlanAdmission

ROBOT = robots.load('base')
PERIOD_S = 0.2


def post(speed_m_s: float, angle_rad: float = 0.7) -> Obstacle:
    course = np.array([np.cos(angle_rad), np.sin(angle_rad), 0.0])
    return Obstacle('cylinder', (0.2, 1.0), np.array([1.0, 2.0, 0.5]), key='m', may_move=True,
                    velocity_m_s=speed_m_s * course)


def seen(mover: Obstacle, time_s: float) -> Obstacle:
    place, velocity = Mover.of(mover).at(time_s)
    return replace(mover, position_m=place, velocity_m_s=velocity)


def remembered(mover: Obstacle, until_s: float) -> np.ndarray:
    """Return what is believed of a mover after some time."""
    memory, turns = MoverMemory(), np.zeros((0, 2))
    for time_s in np.arange(0.0, until_s + 1e-9, PERIOD_S):
        turns = memory.views((seen(mover, float(time_s)),)).turns
    return turns


@pytest.mark.parametrize('speed_m_s', [0.1, 0.2, 0.3])
def test_a_mover_that_turned_is_foretold_for_a_period(speed_m_s: float) -> None:
    mover = post(speed_m_s)
    known_s = PERIOD_S * np.ceil((1.0 / speed_m_s + 0.6) / PERIOD_S)
    turns, now = remembered(mover, known_s), seen(mover, known_s)
    room = MoverRoom.of(ROBOT, ROBOT.pack((now,)), 0.5, turns).arrays(forgets=True)
    course = now.velocity_m_s / speed_m_s
    for ahead_s in np.arange(0.0, 2.0 / speed_m_s, 0.3):
        at, side = went(0, float(ahead_s), room)
        true = seen(mover, known_s + float(ahead_s))
        apart = np.linalg.norm(now.position_m + at * now.velocity_m_s - true.position_m)
        assert apart < 0.1 + 0.6 * speed_m_s, 'turning takes a third of a second'
        if abs(np.linalg.norm(true.position_m - mover.position_m) - 0.5) < 0.3:
            assert side == np.sign(true.velocity_m_s @ course)


def test_nothing_is_believed_of_a_mover_that_did_not_turn_or_left_its_line() -> None:
    mover = post(0.2)
    assert np.isinf(remembered(mover, 4.8)).all()
    memory = MoverMemory()
    for time_s in np.arange(0.0, 8.0, PERIOD_S):
        memory.views((seen(mover, float(time_s)),))
    aside = replace(seen(mover, 8.0), velocity_m_s=np.array([-0.1, 0.2, 0.0]))
    assert np.isinf(memory.views((aside,)).turns).all()
    assert memory.views(()).lanes.shape == (0, 2, 2)


def test_an_end_that_is_passed_is_none() -> None:
    mover, memory = post(0.2), MoverMemory()
    for time_s in np.arange(0.0, 10.0, PERIOD_S):
        turns = memory.views((seen(mover, float(time_s)),)).turns
    assert np.isfinite(turns).all()
    back = seen(mover, 10.0)
    for step in range(1, 12):
        on = replace(back, position_m=back.position_m + step * PERIOD_S * back.velocity_m_s)
        turns = memory.views((on,)).turns
    assert np.isinf(turns).all()


def test_the_room_is_free_when_the_mover_will_have_come_back_and_gone() -> None:
    mover = post(0.2, 0.0)
    now = seen(mover, 6.0)
    turns = remembered(mover, 6.0)
    room = MoverRoom.of(ROBOT, ROBOT.pack((now,)), 0.5, turns).arrays(forgets=True)
    state = np.array([1.9, 1.4, 0.0, 0.0, 0.0])
    shares = [free_share(state, 0.5, 0.0, float(t), room) for t in (0.0, 4.5, 10.5)]
    assert shares[0] < 1.0 and shares[1] == 1.0 and shares[2] < 1.0


def test_a_way_pays_for_the_lane_of_a_mover_until_both_its_ends_are_known() -> None:
    mover, memory = post(0.2, 0.0), MoverMemory()
    times = np.arange(0.0, 6.0, PERIOD_S)
    lanes = [memory.views((seen(mover, float(t)),)).lanes[0] for t in times]
    np.testing.assert_allclose(lanes[10], [[1.0, 2.0], [1.4 + 0.3, 2.0]], atol=1e-6)
    assert np.linalg.norm(np.diff(lanes[-1], axis=0)) == 0.0, 'it goes back and forth'


def test_a_plan_ends_before_a_mover_that_only_the_planner_knows_to_turn() -> None:
    mover = replace(post(0.3, np.pi / 2), position_m=np.array([1.8, -0.6, 0.5]))
    problem = PlanningProblem(
        RobotState(np.zeros(3), np.array([0.5, 0.0, 0.0]), 1.0),
        Goal(position_m=np.array([4.0, 0.0, 0.0])), obstacles=(mover,))
    request = BaseRequest(ROBOT, problem, BaseParameters())
    around = ROBOT.pack((mover,))
    alone = request.motion(request.line)
    request.room = replace(request.room, turns=np.array([[0.1, np.inf]]))
    states, _ = request.roll(request.line, np.full(30, 0.2), request.limits, forgets=True)
    assert states[-1, 0] > 2.5, 'it will have gone back'
    motion = request.motion(request.line)
    assert PlanAdmission(ROBOT).judge(motion, 1.0, None, around).accepted
    assert alone.position[-1, 0] < motion.position[-1, 0] < 2.0
    assert np.hypot(*motion.sample(2.0).velocity[:2]) > 0.5, 'as fast as if it went on'
