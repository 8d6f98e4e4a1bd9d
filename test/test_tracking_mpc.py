# SPDX-License-Identifier: Apache-2.0
"""The trackers in closed loop: exact following, limits, start on C, and always an answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tracking_world import (
    DT_S,
    HOME,
    LIMITS,
    NAMES,
    START_S,
    World,
    fake_robot,
    inside,
    plan_between,
    standing,
)

from diffusion_control import robots, tracking
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.state import RobotState
from diffusion_control.tracking.formulation import HorizonSolution
from diffusion_control.tracking.protocol import STAGES, Reference
from diffusion_control.trajectory.trajectory import Trajectory

GOAL = HOME + np.array([0.5, -0.3, 0.4, 0.4, -0.5, 0.3, 0.6])
ROBOT = fake_robot()


def error_of(world, plan):
    wanted = plan.sample_many(np.array(world.times))[0]
    return np.array(world.commands)[:, 0] - wanted


@pytest.mark.parametrize(('name', 'bound_rad'), [
    ('mpc', 5e-5), ('mpc_osqp', 5e-5), ('pd', 1e-3)])
def test_a_smooth_plan_is_followed_without_lag(name, bound_rad):
    plan = plan_between(HOME, GOAL, 1.2, START_S + 0.1)
    world = World(tracking.make(name, robot=ROBOT))
    world.run(plan, 160)
    error = error_of(world, plan)
    assert np.sqrt((error**2).mean()) < bound_rad
    assert all(report.solve_ok for report in world.reports)
    moving = np.array(world.commands)[:, 1]
    assert np.abs(moving).max() > 0.4, 'it did move'
    np.testing.assert_allclose(world.commands[-1][0], GOAL, atol=1e-5)


def test_every_motion_starts_on_the_committed_one_and_is_complete():
    world = World(tracking.make('mpc', robot=ROBOT))
    plan = plan_between(HOME, GOAL, 0.9, START_S + 0.05)
    for _ in range(120):
        before, now = world.committed, world.now_s
        motion = world.tick(plan)
        start = before.sample(now + 0.02)
        assert motion.start_s == now + 0.02
        np.testing.assert_array_equal(motion.position[0], start.position)
        np.testing.assert_array_equal(motion.velocity[0], start.velocity)
        np.testing.assert_array_equal(motion.acceleration[0], start.acceleration)
        inside(motion, LIMITS, 0.9)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6))
@example(578793)
@example(66)
def test_impossible_plans_never_break_limits(seed):
    """Steps, spikes, plans beyond joint and speed limits: the command keeps every limit."""
    rng = np.random.default_rng(seed)
    points = 12
    times = np.linspace(0.0, 0.8, points)
    position = HOME + np.cumsum(rng.uniform(-0.6, 0.6, (points, 7)), axis=0)
    velocity = rng.uniform(-6, 6, (points, 7))
    velocity[-1] = 0
    plan = Trajectory(START_S + 0.05, times, position, velocity, velocity * 0, NAMES)
    world = World(tracking.make('mpc', robot=ROBOT))
    for _ in range(60):
        inside(world.tick(plan), LIMITS, 0.9)
    assert {report.source for report in world.reports} <= {'solution', 'shifted', 'stop'}


@pytest.mark.parametrize('name', ['mpc', 'pd'])
def test_speed_keeps_its_limit_between_the_knots(name):
    """An impossible plan that starts where the robot is, so that it is followed from knot to knot.

    The limit is kept to 2 % although the acceleration may go from A to -A in one step.
    """
    rng = np.random.default_rng(1)
    fast, top = LIMITS.velocity_rad_s * 0.9, 0.0
    for _ in range(4):
        steps = rng.uniform(-0.6, 0.6, (12, 7))
        steps[0] = 0.0
        velocity = rng.uniform(-6, 6, (12, 7))
        velocity[-1] = 0
        plan = Trajectory(
            START_S + 0.05, np.linspace(0.0, 0.8, 12), HOME + np.cumsum(steps, axis=0), velocity,
            velocity * 0, NAMES)
        world = World(tracking.make(name, robot=ROBOT))
        for _ in range(60):
            motion = world.tick(plan)
            at = np.linspace(motion.start_s, motion.end_s - 1e-6, 400)
            top = max(top, float((np.abs(motion.sample_many(at)[1]) / fast).max()))
    assert 0.98 < top < 1.02


def test_a_limit_on_the_way_is_kept_and_left_again():
    """A plan through the position limit: the joint slides to it, never over it, and returns."""
    beyond = HOME.copy()
    beyond[1] = LIMITS.lower_rad[1] - 0.2
    world = World(tracking.make('mpc', robot=ROBOT))
    world.run(plan_between(HOME, beyond, 1.5, START_S + 0.05), 250)
    low = np.array(world.commands)[:, 0, 1].min()
    assert LIMITS.lower_rad[1] - 1e-6 <= low <= LIMITS.lower_rad[1] + 0.02
    back = plan_between(world.commands[-1][0], HOME, 1.5, world.now_s + 0.05)
    world.run(back, 200)
    np.testing.assert_allclose(world.commands[-1][0], HOME, atol=1e-4)


def test_heavy_links_are_moved_within_their_torque():
    """The rows are linearised, M and h being constant here: the command's torque keeps to 0.9."""
    heavy = fake_robot(torque_scale=6.0)
    world = World(tracking.make('mpc', robot=heavy))
    world.run(plan_between(HOME, GOAL, 0.45, START_S + 0.05), 100)
    assert any(report.torque_active for report in world.reports)
    acceleration = np.array(world.commands)[:, 2]
    torque = acceleration @ heavy.mass_matrix(HOME).T + heavy.bias(HOME, HOME)
    assert (np.abs(torque) <= LIMITS.torque_nm * 0.95).all()


@pytest.mark.parametrize('choice', ['best', 'plan', 'shifted', 'cold'])
def test_warm_starts_are_reported_and_lead_to_the_same_command(choice):
    plan = plan_between(HOME, GOAL, 0.45, START_S + 0.05)
    world = World(tracking.make('mpc', robot=ROBOT, warm_start=choice))
    world.run(plan, 70)
    reference = World(tracking.make('mpc', robot=ROBOT, warm_start='cold'))
    reference.run(plan, 70)
    allowed = {'best': {'plan', 'shifted'}, 'shifted': {'shifted', 'cold'}}.get(choice, {choice})
    assert {report.warm_start_choice for report in world.reports} <= allowed
    assert sum(report.iterations for report in world.reports) > 0
    np.testing.assert_allclose(
        np.array(world.commands), np.array(reference.commands), atol=1e-4)


def test_warm_start_gains_on_cold():
    plan = plan_between(HOME, GOAL, 0.5, START_S + 0.05)
    spent = {}
    for choice in ('best', 'cold'):
        world = World(tracking.make('mpc', robot=ROBOT, warm_start=choice))
        world.run(plan, 70)
        spent[choice] = sum(report.iterations for report in world.reports)
    assert spent['best'] < 0.8 * spent['cold']


def test_a_new_plan_is_taken_at_its_start_without_a_jump():
    world = World(tracking.make('mpc', robot=ROBOT))
    first = plan_between(HOME, GOAL, 1.5, START_S + 0.05)
    world.run(first, 60)
    there = first.sample(world.now_s + 0.2)
    times = np.array([0.0, 0.5, 1.5])
    other = Trajectory(
        world.now_s + 0.2, times,
        np.array([there.position, there.position + 0.25 * there.velocity + 0.1, HOME]),
        np.array([there.velocity, np.zeros(7), np.zeros(7)]), np.zeros((3, 7)), NAMES)
    world.run(other, 15)
    assert world.reports[-1].plan_waiting, 'it waits in its slot'
    np.testing.assert_allclose(error_of(world, first)[-1], 0, atol=1e-3)
    world.run(other, 200)
    assert not world.reports[-1].plan_waiting
    steps = np.diff(np.array(world.commands)[:, 1], axis=0)
    assert (np.abs(steps) <= 0.95 * LIMITS.acceleration_rad_s2 * DT_S + 1e-6).all()
    np.testing.assert_allclose(world.commands[-1][0], HOME, atol=1e-4)


def test_time_scale_stops_on_the_path_and_goes_on():
    plan = plan_between(HOME, GOAL, 1.5, START_S + 0.05)
    world = World(tracking.make('mpc', robot=ROBOT))
    world.run(plan, 50)
    world.run(plan, 80, time_scale=0.0)
    held = world.commands[-1]
    assert np.abs(held[1]).max() < 1e-3, 'it stands'
    way = (GOAL - HOME) / np.linalg.norm(GOAL - HOME)
    off = held[0] - HOME
    assert np.linalg.norm(off - (off @ way) * way) < 1e-4, 'on the path'
    assert 0.05 < (off @ way) / np.linalg.norm(GOAL - HOME) < 0.95
    world.run(plan, 200)
    np.testing.assert_allclose(world.commands[-1][0], GOAL, atol=1e-4)


def test_when_safety_brakes_the_clock_waits_and_follows_on_from_there():
    plan = plan_between(HOME, GOAL, 2.0, START_S + 0.05)
    world = World(tracking.make('mpc', robot=ROBOT))
    world.run(plan, 80)
    world.brake = True
    world.run(plan, 100)
    stopped = world.commands[-1][0]
    assert np.abs(GOAL - stopped).max() > 0.1, 'it was stopped on the way'
    assert world.reports[-1].phase_s < 1.2, 'the clock did not run away'
    world.brake = False
    world.run(plan, 250)
    np.testing.assert_allclose(world.commands[-1][0], GOAL, atol=1e-4)
    off = np.array(world.commands)[:, 0] - HOME
    way = (GOAL - HOME) / np.linalg.norm(GOAL - HOME)
    assert np.linalg.norm(off - (off @ way)[:, None] * way, axis=1).max() < 2e-3


def test_a_robot_that_does_not_follow_is_waited_for():
    plan = plan_between(HOME, GOAL, 1.5, START_S + 0.05)
    world = World(tracking.make('mpc', robot=ROBOT))
    world.run(plan, 50)
    before = world.reports[-1].correction_rad
    world.disturbance = np.full(7, 0.2)
    world.run(plan, 60)
    assert world.reports[-1].tracking_error_rad == pytest.approx(0.2)
    assert np.abs(world.commands[-1][1]).max() < 1e-3
    assert world.reports[-1].correction_rad == before, 'a held robot is no disturbance'


def test_no_plan_finishes_the_committed_motion_and_stands():
    world = World(tracking.make('mpc', robot=ROBOT))
    world.run(plan_between(HOME, GOAL, 1.0, START_S + 0.05), 50)
    speed = np.abs(world.commands[-1][1]).max()
    assert speed > 0.3
    world.run(None, 80)
    assert np.abs(world.commands[-1][1]).max() < 1e-6
    assert world.reports[-1].time_scale == 0.0


def test_a_plan_far_away_is_not_followed():
    far = plan_between(HOME + 0.6, GOAL + 0.6, 1.0, START_S + 0.05)
    world = World(tracking.make('mpc', robot=ROBOT))
    world.run(far, 40)
    assert world.reports[-1].plan_lost
    np.testing.assert_allclose(world.commands[-1][0], HOME, atol=1e-9)


@pytest.mark.parametrize('enabled', [True, False])
def test_observer_removes_a_constant_disturbance(enabled):
    disturbance = np.array([0.004, -0.006, 0.0, 0.01, 0.0, -0.002, 0.05])
    world = World(tracking.make('mpc', robot=ROBOT, observer=enabled), disturbance)
    plan = plan_between(HOME, GOAL, 0.8, START_S + 0.05)
    world.run(plan, 350)
    robot_error = world.commands[-1][0] - disturbance - GOAL
    if enabled:
        np.testing.assert_allclose(robot_error[:6], 0.0, atol=1e-4)
        assert world.reports[-1].correction_rad == pytest.approx(0.02), 'bounded'
    else:
        np.testing.assert_allclose(robot_error, -disturbance, atol=1e-4)
        assert world.reports[-1].correction_rad == 0.0


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
        return HorizonSolution(
            np.full((19, 7), value), status, 3, np.zeros(7, dtype=bool)), 'plan'


@pytest.mark.parametrize('how', ['raises', 'nan', 'huge', 'status'])
def test_a_failing_solver_gives_the_last_motion_then_a_stop(how):
    plan = plan_between(HOME, GOAL, 1.0, START_S + 0.05)
    world = World(tracking.make('mpc', robot=ROBOT))
    world.run(plan, 50)
    assert np.abs(world.commands[-1][1]).max() > 0.3
    world.tracker.policy = Broken(how)
    for _ in range(90):
        inside(world.tick(plan), LIMITS, 1.0)
    sources = [report.source for report in world.reports[50:]]
    assert sources[0] == 'shifted' and 'solution' not in sources
    assert not any(report.solve_ok for report in world.reports[50:])
    assert np.abs(world.commands[-1][1]).max() < 1e-6, 'at rest in the end'


@pytest.mark.parametrize('position', [
    np.full(7, np.nan), np.zeros(3), np.array(['a'] * 7, dtype=object)[:0]])
def test_a_broken_measurement_neither_raises_nor_moves(position):
    tracker = tracking.make('mpc', robot=ROBOT)
    state = RobotState(position, np.zeros(7), START_S)
    output = tracker.step(state, Reference(None, standing(HOME, START_S), 1.0), START_S)
    np.testing.assert_allclose(output.motion.position, HOME + 0 * output.motion.position)
    blind = tracking.make('mpc', robot=ROBOT).step(state, Reference(), START_S)
    assert blind.report.status == 'no_state' and not blind.report.solve_ok


def test_start_without_a_committed_motion_stands_where_it_is():
    tracker = tracking.make('mpc', robot=ROBOT)
    output = tracker.step(RobotState(GOAL, np.zeros(7), START_S), Reference(), START_S)
    np.testing.assert_allclose(output.motion.position[-1], GOAL, atol=1e-9)
    assert output.report.solve_ok


def test_report_times_its_stages_with_the_given_clock():
    ticks = iter(range(100))
    tracker = tracking.make('mpc', robot=ROBOT, clock=lambda: float(next(ticks)))
    output = tracker.step(
        RobotState(HOME, np.zeros(7), START_S), Reference(None, standing(HOME, START_S)), START_S)
    assert output.report.stage_s == dict.fromkeys(STAGES, 1.0)


def test_the_same_calls_give_the_same_bits_after_reset():
    tracker = tracking.make('mpc', robot=ROBOT)
    runs = []
    for _ in range(2):
        tracker.reset()
        world = World(tracker)
        world.run(plan_between(HOME, GOAL, 0.5, START_S + 0.05), 40)
        runs.append(np.array(world.commands))
    np.testing.assert_array_equal(runs[0], runs[1])


def test_registry_and_parameters_refuse_with_names():
    assert set(tracking.available()) >= {'mpc', 'mpc_osqp', 'mpc_torque', 'pd'}
    with pytest.raises(ConfigurationError, match='unknown tracker'):
        tracking.make('nothing', robot=ROBOT)
    with pytest.raises(ConfigurationError, match='unknown parameter'):
        tracking.make('mpc', robot=ROBOT, horizont=3)
    for name, value in (
            ('horizon_steps', 5), ('horizon_steps', 37), ('limits_scale', 0.0),
            ('weight_position', -1.0), ('weight_position', 0.0), ('dt_s', float('nan')),
            ('warm_start', 'hot')):
        with pytest.raises(ConfigurationError, match='allowed'):
            tracking.make('mpc', robot=ROBOT, **{name: value})
    made = tracking.make('mpc', robot=ROBOT, **{'mpc.horizon_steps': 36, 'mpc.limits_scale': 0.5})
    world = World(made)
    world.run(plan_between(HOME, GOAL, 2.0, START_S + 0.05), 30)
    assert max(len(world.tick(None).times_s) for _ in range(3)) <= 40


def test_a_robot_with_gentle_jerk_keeps_it():
    """Where jerk rows can bind they are there: the command's acceleration changes no faster."""
    gentle = fake_robot()
    gentle.limits = replace(LIMITS, jerk_rad_s3=np.full(7, 100.0))
    world = World(tracking.make('mpc', robot=gentle))
    jerk = 0.0
    for _ in range(130):
        motion = world.tick(plan_between(HOME, GOAL, 0.9, START_S + 0.05))
        part = motion.acceleration[:21]
        jerk = max(jerk, np.abs(np.diff(part, axis=0)).max() / 0.02)
    assert 50.0 < jerk <= 0.9 * 100.0 + 1e-6
    assert all(report.solve_ok for report in world.reports)


def test_ur5_is_tracked_without_code_of_its_own():
    arm = robots.load('ur5')
    home = np.asarray(arm.home_rad)
    tracker = tracking.make('mpc', robot=arm)
    s = np.linspace(0, 1, 30)[:, None]
    way = np.array([0.5, -0.3, 0.4, 0.2, -0.4, 0.6])
    velocity = (30 * s**2 - 60 * s**3 + 30 * s**4) / 1.5 * way
    plan = Trajectory(
        START_S, s[:, 0] * 1.5, home + (10 * s**3 - 15 * s**4 + 6 * s**5) * way, velocity,
        velocity * 0, arm.joint_names)
    committed = None
    for k in range(160):
        now = START_S + DT_S * k
        here = home if committed is None else committed.sample(now).position
        output = tracker.step(
            RobotState(here, np.zeros(6), now), Reference(plan, committed), now)
        committed = output.motion
        assert output.report.solve_ok
    np.testing.assert_allclose(committed.position[-1], home + way, atol=1e-3)


def test_with_goals_only_the_mpc_goes_there_alone():
    """No planner: inside limits, no overshoot, at rest; a plan takes over; safety's stop holds."""
    world = World(tracking.make('mpc', robot=ROBOT))
    tracker, goal = world.tracker, HOME + np.array([1.2, -0.6, 0.9, 0.8, -1.0, 0.7, 1.4])
    step = tracker.step
    tracker.step = lambda state, reference, now_s: step(
        state, replace(reference, goal_rad=goal), now_s)
    for _ in range(160):
        inside(world.tick(None), LIMITS, 0.9)
    went = np.array(world.commands)[:, 0]
    np.testing.assert_allclose(went[-1], goal, atol=1e-4)
    beyond = ((went - goal) * np.sign(goal - HOME)).max()
    assert beyond < 2e-3, 'no overshoot'
    plan = plan_between(went[-1], HOME, 1.2, world.now_s + 0.05)
    world.run(plan, 60)
    assert world.reports[-1].phase_s > 0.3, 'a plan comes first'
    world.run(None, 1, time_scale=0.0)
    world.run(None, 60, time_scale=0.0)
    assert np.abs(world.commands[-1][1]).max() < 1e-3, 'rate 0 stands'
