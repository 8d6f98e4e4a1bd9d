# SPDX-License-Identifier: Apache-2.0
"""The base's trackers in closed loop: following, limits, start on C, drift, answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from base_tracking_world import (
    BASE,
    DRIVE,
    FORWARD,
    NAMES,
    OMNI,
    START_S,
    BaseWorld,
    keeps_limits,
    slalom,
    standing,
    twists,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_control import tracking
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.state import RobotState
from diffusion_control.tracking.formulation import HorizonSolution
from diffusion_control.tracking.protocol import Reference
from diffusion_control.trajectory.trajectory import Trajectory

PLAN = slalom(np.zeros(3), START_S + 0.1)
LAG_S = BASE.plant.motor_lag_s


def made(name='mpc', robot=BASE, **parameters):
    return tracking.make(name, robot=robot, **parameters)


def away(error):
    return np.hypot(error[:, 0], error[:, 1])


@pytest.mark.parametrize(('name', 'robot', 'bound_m'), [
    ('mpc', BASE, 2e-3), ('pd', BASE, 0.03), ('mpc', OMNI, 2e-3), ('pd', OMNI, 0.03)])
def test_a_smooth_plan_is_followed(name, robot, bound_m):
    world = BaseWorld(made(name, robot, observer=False), robot)
    world.run(PLAN, 560)
    error = world.error(PLAN)
    assert away(error).max() < bound_m
    assert np.abs(error[:, 2]).max() < 10 * bound_m
    assert all(report.solve_ok for report in world.reports)
    np.testing.assert_allclose(world.poses[-1], PLAN.position[-1], atol=0.01)


@pytest.mark.parametrize('robot', [BASE, OMNI])
def test_every_motion_starts_on_the_committed_one_and_keeps_the_limits(robot):
    world = BaseWorld(made(robot=robot), robot)
    for _ in range(150):
        before, now = world.committed, world.now_s
        motion = world.tick(PLAN)
        start = before.sample(now + 0.02)
        assert motion.start_s == now + 0.02
        np.testing.assert_array_equal(motion.position[0], start.position)
        np.testing.assert_array_equal(motion.velocity[0], start.velocity)
        np.testing.assert_array_equal(motion.acceleration[0], start.acceleration)
        keeps_limits(motion, robot)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6))
def test_impossible_plans_never_break_limits(seed):
    """Steps, spikes, sideways and backward plans, whole turns: the command keeps every limit."""
    rng = np.random.default_rng(seed)
    robot = (BASE, FORWARD, OMNI)[seed % 3]
    points = 12
    position = np.cumsum(rng.uniform(-0.3, 0.3, (points, 3)), axis=0)
    position[:, 2] += rng.integers(-2, 3) * 2 * np.pi
    velocity = rng.uniform(-3, 3, (points, 3))
    velocity[-1] = 0
    plan = Trajectory(START_S + 0.05, np.linspace(0.0, 1.2, points), position, velocity,
                      velocity * 0, NAMES)
    world = BaseWorld(made(robot=robot), robot)
    for _ in range(90):
        keeps_limits(world.tick(plan), robot)
    assert {report.source for report in world.reports} <= {'solution', 'shifted', 'stop'}


def test_a_turn_on_the_spot_works_both_ways():
    for rate in (1.2, -1.2):
        plan = twists(np.zeros(3), np.array([[0, 0], [0, rate], [0, rate], [0, 0]]), 3.0,
                      START_S + 0.1)
        world = BaseWorld(made(observer=False))
        world.run(plan, 330)
        assert away(np.array(world.poses)).max() < 1e-3, 'it stays where it is'
        np.testing.assert_allclose(world.poses[-1], plan.position[-1], atol=5e-3)


def test_driving_backward_only_where_it_is_allowed():
    plan = twists(np.zeros(3), np.array([[0, 0], [-0.2, 0], [-0.2, 0], [0, 0]]), 3.0,
                  START_S + 0.1)
    world = BaseWorld(made(observer=False))
    world.run(plan, 330)
    np.testing.assert_allclose(world.poses[-1], plan.position[-1], atol=5e-3)
    never = BaseWorld(made(robot=FORWARD), FORWARD)
    for _ in range(330):
        keeps_limits(never.tick(plan), FORWARD)
    assert min(pose[0] for pose in never.poses) > -2e-3


@pytest.mark.parametrize(('slip', 'lag_s'), [((0.93, 1.0), LAG_S), ((1.0, 0.9), LAG_S),
                                             ((1.05, 1.08), LAG_S)])
def test_slip_is_made_up_for(slip, lag_s):
    world = BaseWorld(made(command_delay_s=0.0), slip=slip, lag_s=lag_s)
    world.run(PLAN, 600)
    error = world.error(PLAN)
    assert away(error).max() < 0.015
    assert np.linalg.norm((world.poses[-1] - PLAN.position[-1])[:2]) < 0.01
    blind = BaseWorld(made(observer=False, command_delay_s=0.0), slip=slip, lag_s=lag_s)
    blind.run(PLAN, 600)
    assert away(blind.error(PLAN)).max() > 2 * away(error).max()


@pytest.mark.parametrize('draw', [0.03, 0.3])
def test_a_safety_that_draws_what_is_committed_to_the_robot_is_no_trouble(draw):
    world = BaseWorld(made(command_delay_s=0.0), slip=(0.93, 0.92), lag_s=LAG_S, draw=draw)
    for _ in range(600):
        keeps_limits(world.tick(PLAN), BASE)
    assert away(world.error(PLAN)).max() < 0.02
    assert np.linalg.norm((world.poses[-1] - PLAN.position[-1])[:2]) < 0.01


def test_a_plan_counted_in_other_turns_is_the_same_plan():
    turned = replace(PLAN, position=PLAN.position + np.array([0.0, 0.0, 4 * np.pi]))
    both = []
    for plan in (PLAN, turned):
        world = BaseWorld(made())
        world.run(plan, 200)
        both.append(np.array(world.commands))
    np.testing.assert_allclose(both[0], both[1], atol=1e-6)


def test_a_plan_behind_the_robot_is_turned_to_not_wound_up():
    """The heading is wrong by 2 rad: the base turns at once, within limits, then follows."""
    plan = slalom(np.array([0.0, 0.0, 1.9]), START_S + 0.1, rate=0.0, duration_s=6.0)
    world = BaseWorld(made())
    for _ in range(900):
        keeps_limits(world.tick(plan), BASE)
    np.testing.assert_allclose(world.poses[-1], plan.position[-1], atol=0.05)
    assert not world.reports[-1].plan_lost


def test_a_plan_far_away_is_not_followed():
    world = BaseWorld(made())
    world.run(slalom(np.array([2.0, 0.0, 0.0]), START_S + 0.05), 60)
    assert world.reports[-1].plan_lost
    np.testing.assert_allclose(world.commands[-1][0], 0.0, atol=1e-6)


def test_a_new_plan_is_taken_at_its_start_without_a_jump():
    world = BaseWorld(made(observer=False))
    world.run(PLAN, 200)
    start = world.now_s + 0.2
    there = PLAN.sample(start)
    u = float(np.hypot(*there.velocity[:2]))
    other = twists(there.position, np.array([[u, there.velocity[2]], [0.3, -0.5], [0.3, 0.5],
                                             [0.0, 0.0]]), 4.0, start)
    world.run(other, 15)
    assert world.reports[-1].plan_waiting
    world.run(other, 450)
    velocity = np.array(world.commands)[:, 1]
    yaw = np.array(world.commands)[:, 0, 2]
    speed = velocity[:, 0] * np.cos(yaw) + velocity[:, 1] * np.sin(yaw)
    assert np.abs(np.diff(speed)).max() <= 0.9 * DRIVE.braking_max_m_s2 * 0.01 + 1e-4
    turn = np.abs(np.diff(velocity[:, 2])).max()
    assert turn <= 0.9 * DRIVE.yaw_acceleration_max_rad_s2 * 0.01 + 1e-4
    np.testing.assert_allclose(world.poses[-1], other.position[-1], atol=0.01)


def test_when_safety_brakes_the_clock_waits():
    world = BaseWorld(made(observer=False))
    world.run(PLAN, 150)
    world.brake = True
    world.run(PLAN, 150)
    assert np.abs(world.commands[-1][1]).max() == 0.0
    world.brake = False
    world.run(PLAN, 600)
    np.testing.assert_allclose(world.poses[-1], PLAN.position[-1], atol=0.01)


def test_time_scale_stops_on_the_path():
    world = BaseWorld(made(observer=False))
    world.run(PLAN, 150)
    world.run(PLAN, 120, time_scale=0.0)
    assert np.abs(world.commands[-1][1]).max() < 5e-3
    apart = PLAN.sample_many(np.linspace(PLAN.start_s, PLAN.end_s, 2000))[0] - world.poses[-1]
    assert away(apart).min() < 2e-3


class Broken:
    """A policy that fails in a chosen way."""

    solver_name = 'broken'

    def __init__(self, how):
        self.how = how

    def choose(self, problem, window, shifted):
        if self.how == 'raises':
            raise ValueError('broken')
        value = {'nan': np.nan, 'huge': 1e3}.get(self.how, 0.0)
        status = 'infeasible' if self.how == 'status' else 'solved'
        return HorizonSolution(np.full((19, 2), value), status, 3, np.zeros(2, dtype=bool)), 'plan'


@pytest.mark.parametrize('how', ['raises', 'nan', 'huge', 'status'])
def test_a_failing_solver_gives_the_last_motion_then_a_stop(how):
    world = BaseWorld(made())
    world.run(PLAN, 150)
    world.tracker.policy = Broken(how)
    for _ in range(220):
        keeps_limits(world.tick(PLAN), BASE, 0.95)
    sources = [report.source for report in world.reports[150:]]
    assert sources[0] == 'shifted' and 'solution' not in sources
    assert np.abs(world.commands[-1][1]).max() < 1e-6, 'at rest in the end'


@pytest.mark.parametrize('position', [np.full(3, np.nan), np.zeros(2)])
def test_a_broken_measurement_neither_raises_nor_moves(position):
    state = RobotState(position, np.zeros(3), START_S)
    output = made().step(state, Reference(None, standing(np.zeros(3), START_S)), START_S)
    np.testing.assert_allclose(output.motion.position, 0.0, atol=1e-9)
    blind = made().step(state, Reference(), START_S)
    assert blind.report.status == 'no_state' and not blind.report.solve_ok


def test_names_and_parameters_are_refused():
    with pytest.raises(ConfigurationError, match='not for a base'):
        made('mpc_osqp')
    for name, value in (('weight_yaw', -1.0), ('sqp_steps', 0), ('weight_input', -1.0)):
        with pytest.raises(ConfigurationError, match='allowed'):
            made(**{name: value})
    with pytest.raises(ConfigurationError, match='weight'):
        made(weight_input=0.0, weight_smooth=0.0)


@pytest.mark.parametrize(('robot', 'goal'), [
    (BASE, (1.2, 0.5, 1.57)), (BASE, (-0.4, 0.2, np.nan)), (FORWARD, (-0.5, 0.3, 0.5)),
    (OMNI, (-0.3, 0.4, -2.0))])
def test_with_a_goal_only_the_mpc_goes_there_alone(robot, goal):
    """No plan: inside limits, ever nearer once it faces the goal, at rest there."""
    world = BaseWorld(made(robot=robot), robot)
    step, goal = world.tracker.step, np.array(goal)
    world.tracker.step = lambda state, reference, now_s: step(
        state, replace(reference, goal_rad=goal), now_s)
    for _ in range(1100):
        keeps_limits(world.tick(None), robot)
    poses = np.array(world.poses)
    left = np.hypot(*(poses - goal)[:, :2].T)
    assert left[-1] < 0.02
    assert np.diff(left).max() < 1e-3, 'never away from it by more than a millimetre in a tick'
    if np.isfinite(goal[2]):
        assert abs((poses[-1, 2] - goal[2] + np.pi) % (2 * np.pi) - np.pi) < 0.01
    assert np.abs(poses[-1] - poses[-50]).max() < 1e-3, 'it stands'
    assert all(report.solve_ok for report in world.reports)
