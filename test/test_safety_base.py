# SPDX-License-Identifier: Apache-2.0
"""The monitor of a base in closed loop with the simulated one: movers, walls, silence, losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('mujoco', reason='needs MuJoCo (extra sim)')

from base_motions import motion_of
from safety_base_world import BASE, GOOD, LIKE, Loop

from diffusion_control import robots, safety
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.base.twists import judge_twists
from diffusion_control.evaluation.command_checks import CommandVerdicts
from diffusion_control.parameters import defaults
from diffusion_control.robots import load_arm
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.scan import Scan
from diffusion_control.safety.base.arc import roll, slow_down, twist_at
from diffusion_control.safety.base.candidates import BaseCandidates
from diffusion_control.safety.base.follow import BaseFollower
from diffusion_control.safety.base.output import TwistOutput
from diffusion_control.safety.base.verify import BaseVerifier
from diffusion_control.safety.committed import rest_of
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.verify import Surroundings, moving_until
from diffusion_control.trajectory.trajectory import Trajectory

GRID_ERROR_M = 0.005
"""Silence is checked from every other tick of a motion; the others are those of the next tick."""
TWISTS = SafetyParameters(rate_hz=100.0, receiver_timeout_s=0.5, command_out_type='twist_stamped')


def heading(angle: float) -> np.ndarray:
    """Return the unit vector [3] of a course in the plane."""
    return np.array([np.cos(angle), np.sin(angle), 0.0])


def sent(motions: list[Trajectory], ticks: np.ndarray, *, moving: bool = False) -> CommandVerdicts:
    """Return what check-run says of the twists of committed motions, one a tick."""
    output = TwistOutput(BASE, TWISTS)
    samples = [output.sample(motion, float(t), np.zeros(3))
               for motion, t in zip(motions, ticks, strict=True)]
    none = np.zeros(len(ticks), dtype=bool)
    begins = (ticks < 0.08) if moving else none
    return judge_twists(
        ticks, np.array([s.velocity for s in samples if s is not None]), BASE.drive,
        foreign=none, touching=none, walls=none, exempt=begins)


def test_it_drives_to_the_end_of_a_plan() -> None:
    loop = Loop()
    loop.go(2.0)
    loop.run(9.0)
    assert np.hypot(*(loop.sim.true_state().position[:2] - [4.0, 4.0])) < 0.05
    assert loop.decisions[-1].state == 'NOMINAL'
    assert {d.action for d in loop.decisions[200:]} == {'followed'}
    assert sum(loop.contacts.values()) == 0


@pytest.mark.parametrize('timeout_s', [0.2, 0.5])
def test_a_plan_through_a_wall_ends_before_it(timeout_s: float) -> None:
    loop = Loop(timeout_s=timeout_s)
    loop.go(8.0)
    loop.run(20.0)
    x = loop.sim.true_state().position[0]
    assert 4.5 < x < 6.8, 'near the wall at 7 m, not in it'
    assert sum(loop.contacts.values()) == 0


@pytest.mark.parametrize('angle', [1.2, 3.14])
def test_a_mover_that_crosses_the_way_is_not_touched_in_motion(angle: float) -> None:
    direction = np.array([np.cos(angle), np.sin(angle), 0.0])
    mover = Obstacle('cylinder', (0.2, 1.0), np.array([4.0, 4.0, 0.5]) - 0.5 * direction,
                     velocity_m_s=0.4 * direction, may_move=True, key='m')
    loop = Loop((mover,))
    loop.go(3.5)
    loop.run(14.0)
    truth = loop.sim.recorder
    assert truth is not None
    assert loop.contacts['self_or_wall'] == 0
    rows = truth.arrays()
    moving = (rows['contacts'][:, 0] > 0) & (rows['point_speed_max_m_s'] > 0.005)
    assert not moving.any()
    speeds = [np.hypot(*d.sample.velocity[:2]) for d in loop.decisions if d.sample is not None]
    assert max(speeds) > 0.1, 'it does drive'


@pytest.mark.parametrize('after_s', [3.0, 4.5])
def test_a_silent_monitor_leaves_a_robot_that_comes_to_rest_in_time(after_s: float) -> None:
    loop = Loop()
    loop.go(8.0)
    loop.run(after_s)
    tail = loop.decisions[-1].tail_s
    loop.sim.advance(round((tail + 0.1) * 1000))
    assert np.abs(loop.sim.true_state().velocity).max() < 0.02
    assert sum(loop.contacts.values()) == 0


@pytest.mark.parametrize('angle', [0.5 * np.pi, 0.7 * np.pi, np.pi])
@pytest.mark.parametrize('after_s', [2.5, 3.0, 3.5])
def test_a_dead_monitor_leaves_a_base_that_touches_no_mover_that_goes_on(
    after_s: float, angle: float
) -> None:
    direction = np.array([np.cos(angle), np.sin(angle), 0.0])
    mover = Obstacle('cylinder', (0.2, 1.0), np.array([4.0, 4.0, 0.5]) - 0.5 * direction,
                     velocity_m_s=0.15 * direction, may_move=True, key='m')
    loop = Loop((mover,))
    loop.go(3.5)
    loop.run(after_s)
    going = loop.sim.obstacles_now()[0].velocity_m_s
    assert np.hypot(*loop.sim.true_state().velocity[:2]) > 0.1, 'it dies while the base drives'
    loop.sim.advance(round((loop.decisions[-1].tail_s + 0.1) * 1000))
    assert (loop.sim.obstacles_now()[0].velocity_m_s == going).all(), 'the mover goes on'
    assert np.abs(loop.sim.true_state().velocity).max() < 0.02
    assert sum(loop.contacts.values()) == 0


@pytest.mark.parametrize('lost', [
    {'scan_age_s': 0.5}, {'map_age_s': np.inf}])
def test_what_is_lost_stops_the_base(lost: dict[str, float]) -> None:
    loop = Loop()
    loop.go(3.0)
    loop.run(2.5)
    assert np.hypot(*loop.sim.true_state().velocity[:2]) > 0.2
    loop.health = replace(GOOD, **lost)  # type: ignore[arg-type]
    loop.run(1.0)
    assert loop.decisions[-1].state in ('STOPPING', 'HOLD')
    assert np.abs(loop.sim.true_state().velocity).max() < 0.02
    loop.health = GOOD
    loop.run(8.0)
    assert loop.decisions[-1].state == 'NOMINAL'
    assert np.hypot(*(loop.sim.true_state().position[:2] - [5.0, 4.0])) < 0.1, 'it goes on'


def test_a_base_that_is_held_is_noticed() -> None:
    loop = Loop()
    loop.go(3.0)
    loop.run(2.5)
    loop.sim.freeze(2.0)
    loop.run(0.6)
    assert loop.decisions[-1].state in ('STOPPING', 'HOLD')
    loop.run(8.0)
    assert loop.decisions[-1].state == 'NOMINAL'


def test_receivers_of_another_kind_are_refused() -> None:
    for robot, kind in ((BASE, 'joint_trajectory'), (load_arm('panda'), 'twist')):
        with pytest.raises(ConfigurationError):
            safety.make(robot, rate_hz=100.0, command_out_type=kind)


def test_a_stop_stays_on_its_arc_and_keeps_the_limits() -> None:
    twist, pose = np.array([0.6, 0.0, 1.5]), np.array([1.0, 2.0, 0.5])
    times, falling = slow_down(twist, 0.75 * 1.5, 0.75 * 4.0, 0.05)
    rows = roll(times, falling, pose)
    centre = pose[:2] + 0.4 * np.array([-np.sin(0.5), np.cos(0.5)])
    away = np.hypot(*(rows[0, :, :2] - centre).T)
    np.testing.assert_allclose(away, 0.4, atol=2e-4)
    assert np.abs(np.diff(falling[:, 0]) / np.diff(times)).max() < 0.76 * 1.5
    assert np.abs(falling[-1]).max() == 0.0


@pytest.mark.parametrize('slope', [[1.0, 0.0, 0.0], [0.4, 0.0, 3.9], [0.0, 0.0, -4.0]])
@pytest.mark.parametrize('early_s', [0.0, 0.004, 0.008])
def test_the_hardest_brake_in_an_early_tick_stays_in_the_limits(
    slope: list[float], early_s: float
) -> None:
    times = np.array([0.0, 0.4])
    accelerating = motion_of(times, np.outer(times, slope), np.zeros(3), LIKE, 0.0)
    ticks = 0.01 * np.arange(60)
    ticks[30:] -= early_s
    ticks[31:] -= 1e-3
    stop = BaseCandidates(BASE, TWISTS).brake(accelerating, float(ticks[30]), hardest=True)
    assert not sent([accelerating] * 30 + [stop] * 30, ticks).unverified.any()


def test_a_motion_that_begins_with_another_speed_is_joined_within_the_limits() -> None:
    candidates = BaseCandidates(BASE, TWISTS)
    times, ticks = np.array([0.0, 0.3, 0.8]), 0.01 * np.arange(20)
    slow, fast = (motion_of(times, np.outer(speeds, [1.0, 0, 0]), np.zeros(3), LIKE, 0.0)
                  for speeds in ([0.3, 0.3, 0.0], [0.255, 0.555, 0.0]))
    motions = [slow] * 10
    for now_s in ticks[10:]:
        assert candidates.refusal(motions[-1], fast, float(now_s)) == ''
        motions.append(candidates.full(motions[-1], fast, float(now_s)))
    assert not sent(motions, ticks, moving=True).unverified.any()
    assert twist_at(motions[-1], 0.2, False)[1][0] > 0.38


def test_silence_holds_the_twist_and_then_brakes() -> None:
    parameters = SafetyParameters.make(100.0, {'command_out_type': 'twist'})
    verifier = BaseVerifier(BASE, parameters)
    times, twists = np.array([0.0, 1.0, 1.6]), np.array([[0.5, 0, 0.4], [0.5, 0, 0.4], [0, 0, 0]])
    rows = roll(times, twists, np.zeros(3))
    motion = Trajectory(5.0, times, rows[0], rows[1], rows[2], BASE.joint_names, 'odom')
    when, poses = verifier.silence(motion)
    way = np.hypot(*np.diff(poses[:, :2], axis=0).T).sum()
    assert when[-1] == pytest.approx(0.57 + 0.5 / (0.9 * 1.5), abs=1e-4)
    assert way == pytest.approx(0.5 * 0.57 + 0.5**2 / 2 / (0.9 * 1.5), abs=2e-3)


@given(v=st.floats(-0.25, 0.55), w=st.floats(-1.7, 1.7), x=st.floats(0.4, 1.6),
       y=st.floats(-0.8, 0.8), timeout_s=st.sampled_from([0.2, 0.5]))
@settings(max_examples=150, deadline=None)
def test_after_a_verified_motion_its_stop_is_verified_in_a_standing_world(
    v: float, w: float, x: float, y: float, timeout_s: float
) -> None:
    parameters = SafetyParameters.make(
        100.0, {'command_out_type': 'twist', 'receiver_timeout_s': timeout_s})
    verifier, candidates = BaseVerifier(BASE, parameters), BaseCandidates(BASE, parameters)
    around = Surroundings(BASE.pack((Obstacle('box', (0.3, 0.3, 1.0), np.array([x, y, 0.5])),)),
                          0.0)
    start = Trajectory(0.0, np.array([0.0, 0.2]), np.zeros((2, 3)), np.zeros((2, 3)),
                       np.zeros((2, 3)), BASE.joint_names, 'odom')
    twist = np.array([v, 0.0, w])
    times, falling = slow_down(twist, 1.0, 3.0, 0.05)
    motion = motion_of(np.concatenate([[0.0], 0.04 + times]),
                       np.concatenate([[twist], falling]), np.zeros(3), start, 0.0)
    if not verifier.verify(motion, around).ok or moving_until(motion) == 0.0:
        return
    for _ in range(40):
        now = motion.stamp_s + 0.01
        motion = candidates.brake(motion, now)
        check = verifier.verify(motion, around)
        assert check.ok, (now, check)


@given(v=st.floats(-0.25, 0.55), w=st.floats(-1.7, 1.7), x=st.floats(0.5, 1.4),
       y=st.floats(-0.9, 0.9), course=st.floats(-np.pi, np.pi), turn=st.floats(-np.pi, np.pi),
       speed=st.floats(0.0, 0.5), timeout_s=st.sampled_from([0.2, 0.5]))
@settings(max_examples=150, deadline=None)
def test_after_a_verified_motion_its_rest_is_verified_however_movers_turn(
    v: float, w: float, x: float, y: float, course: float, turn: float, speed: float,
    timeout_s: float,
) -> None:
    verifier = BaseVerifier(BASE, SafetyParameters.make(
        100.0, {'command_out_type': 'twist', 'receiver_timeout_s': timeout_s}))
    place, velocity = np.array([x, y, 0.5]), speed * heading(course)

    def around() -> Surroundings:
        return Surroundings(BASE.pack((Obstacle(
            'cylinder', (0.12, 1.0), place, velocity_m_s=velocity, may_move=True),)), 0.0)

    twist = np.array([v, 0.0, w])
    times, falling = slow_down(twist, 1.125, 3.0, 0.05)
    motion = motion_of(np.concatenate([[0.0], 0.04 + times]),
                       np.concatenate([[twist], falling]), np.zeros(3), LIKE, 0.0)
    first = verifier.verify(motion, around())
    if not first.ok or first.h_min < 0.0:
        return
    for tick in range(1, round(100 * moving_until(motion)) + 1):
        later = velocity + 0.02 * heading(turn)
        later *= min(1.0, 0.5 / max(float(np.hypot(*later[:2])), 1e-9))
        place = place + 0.005 * (velocity + later)
        velocity = later
        check = verifier.verify(rest_of(motion, 0.01 * tick), around())
        assert check.h_min > -GRID_ERROR_M, (tick, check)


def test_c_is_where_the_base_was_measured() -> None:
    follower = BaseFollower(BASE, 0.01)
    times, twists = np.array([0.0, 1.0, 1.5]), np.array([[0.5, 0, 0.3], [0.5, 0, 0.3], [0, 0, 0]])
    rows = roll(times, twists, np.zeros(3))
    motion = Trajectory(0.0, times, rows[0], rows[1], rows[2], BASE.joint_names, 'odom')
    slip = np.array([0.0, 0.0, 0.0])
    for k in range(60):
        now = 0.01 * k
        follower.remember(motion, now)
        slip += [4e-4, -2e-4, 3e-4]
        there = motion.sample(now - 0.04).position if k > 8 else motion.sample(0.0).position
        state = robots.RobotState(there + (slip if k == 59 else 0.0), np.zeros(3), now)
        following = follower.measure(state)
        motion = follower.anchored(motion)
    assert np.abs(motion.sample(now - 0.04).position - state.position).max() < 2e-3
    assert following.error_rad > 0.0


@pytest.mark.parametrize('change', [
    {'pose': np.array([np.nan, 0.0, 0.0])}, {'stamp_s': np.inf}, {'stamp_s': 99.0}])
def test_a_scan_that_is_no_good_is_malformed_and_the_last_one_ages(change: dict) -> None:
    monitor = safety.make(BASE, rate_hz=100.0)
    good = Scan(1.0, 0.0, 0.1, np.full(60, 3.0), 0.05, 8.0)
    state = robots.RobotState(np.zeros(3), np.zeros(3), 1.0)
    assert monitor.step(state, None, (), 1.0, scan=good).counters.malformed == 0
    decision = None
    for k in range(1, 60):
        state = replace(state, stamp_s=1.0 + 0.01 * k)
        bad = replace(good, **change)
        decision = monitor.step(state, None, (), 1.0 + 0.01 * k, scan=bad)
    assert decision is not None and decision.counters.malformed == 59
    assert 'scan' in decision.cause or decision.reason_code != ''


def test_the_robot_file_says_how_long_its_receiver_runs_on() -> None:
    table = {name: value for name, value in defaults('safety').items()
             if name in ('receiver_timeout_s', 'command_out_type', 'margin_m')}
    slow = Base(replace(BASE.config, receiver_timeout_s=1.0))
    assert safety.parameters_of(slow, 100.0, table).receiver_timeout_s == 1.0
    chosen = safety.parameters_of(slow, 100.0, {**table, 'receiver_timeout_s': 0.0})
    assert chosen.receiver_timeout_s == 0.0
    assert safety.parameters_of(slow, 100.0, table).command_out_type == (
        BASE.controller.command_type)
