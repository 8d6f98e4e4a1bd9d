# SPDX-License-Identifier: Apache-2.0
"""Verification, and the pieces that C is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from diffusion_control import robots
from diffusion_control.robots import Arm, Obstacle, ObstacleArrays
from diffusion_control.robots.limits import DROOP_RAD
from diffusion_control.safety.committed import (
    at,
    cut,
    join,
    rest_of,
    splice,
    stand,
    thin,
)
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.verify import (
    Surroundings,
    Verifier,
    moving_until,
    on_grid,
    segment_extremes,
)
from diffusion_control.trajectory.stop import Stopper
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
FREE = Surroundings(ObstacleArrays.pack(()), 0.0)
PARAMETERS = SafetyParameters()
ARM = robots.load('panda')


@pytest.fixture(scope='module')
def arm() -> Arm:
    return ARM


def swing(arm: Arm, velocity: Array, *, start: Array | None = None, stamp_s: float = 100.0,
          hold_s: float = 0.1, share: float = 0.9) -> Trajectory:
    """Return a ramp to a velocity and a stop."""
    stopper = Stopper(arm.limits.scaled(share), period_s=0.05)
    zero = np.zeros(arm.dof)
    ramp = stopper.ramp(arm.home_rad if start is None else start, zero, zero, velocity,
                        duration_s=hold_s)
    stop = stopper.stop(ramp.position[-1], ramp.velocity[-1], ramp.acceleration[-1])
    return Trajectory(
        stamp_s, np.concatenate([ramp.times_s, ramp.times_s[-1] + stop.times_s[1:]]),
        np.concatenate([ramp.position, stop.position[1:]]),
        np.concatenate([ramp.velocity, stop.velocity[1:]]),
        np.concatenate([ramp.acceleration, stop.acceleration[1:]]),
        tuple(arm.joint_names), arm.base_frame)


# --- pieces -------------------------------------------------------------------------------

def test_at_equals_sample_everywhere(arm: Arm) -> None:
    motion = swing(arm, np.linspace(-1, 1, 7))
    for time_s in np.concatenate([np.linspace(99.9, 100.6, 200), motion.times_s + 100.0]):
        expected = motion.sample(time_s)
        for got, want in zip(at(motion, time_s), (
                expected.position, expected.velocity, expected.acceleration), strict=True):
            if time_s < motion.end_s - 1e-9 or want is not expected.acceleration:
                np.testing.assert_allclose(got, want, atol=1e-6)


def test_cutting_leaves_the_same_motion(arm: Arm) -> None:
    motion = swing(arm, np.linspace(-1, 1, 7))
    piece = cut(motion, 100.1, 100.033, 100.24).trajectory(100.1, motion.names, '')
    times = np.linspace(100.033, 100.24, 300)
    for got, want in zip(piece.sample_many(times), motion.sample_many(times), strict=True):
        if want.ndim == 2 and np.abs(want).max() < 3:
            np.testing.assert_allclose(got, want, atol=2e-5)


def test_rest_of_an_ended_motion_stands_in_the_future(arm: Arm) -> None:
    motion = swing(arm, np.linspace(-1, 1, 7))
    rest = rest_of(motion, motion.end_s + 5.0)
    assert rest.end_s >= motion.end_s + 5.1 and moving_until(rest) == 0.0
    np.testing.assert_array_equal(rest.position[-1], motion.position[-1])


def test_splice_is_continuous_and_adds_no_acceleration(arm: Arm) -> None:
    committed = swing(arm, np.full(7, 0.6))
    shifted = replace(
        committed, position=committed.position + 5e-4, stamp_s=100.001)
    piece = splice(committed, shifted, 100.03, 0.04, position_jump=2e-3,
                   velocity_jump=np.full(7, 0.1))
    assert not isinstance(piece, str)
    joined = piece.trajectory(100.03, committed.names, '')
    np.testing.assert_allclose(joined.position[0], at(committed, 100.03)[0], atol=1e-12)
    start, end, _ = segment_extremes(joined)
    reach = np.maximum(np.abs(start), np.abs(end)).max(axis=0)
    assert (reach <= 0.9 * arm.limits.acceleration_rad_s2 + 1e-6).all()


@pytest.mark.parametrize(('change', 'code'), [
    ({'position': 2e-3}, 'discontinuous'), ({'velocity': 0.5}, 'discontinuous'),
    ({'stamp_s': 101.0}, 'starts_too_late'), ({'stamp_s': 90.0}, 'motion_ended'),
    ({'names': tuple('abcdefg')}, 'wrong_names'), ({'last': 0.1}, 'does_not_end_at_rest'),
    ({'knots': 41}, 'too_many_points')])
def test_splice_refuses(arm: Arm, change: dict[str, Any], code: str) -> None:
    committed = stand(arm.home_rad, 100.0, tuple(arm.joint_names), '')
    times = np.linspace(0.0, 1.0, change.get('knots', 10))
    position = np.tile(arm.home_rad, (len(times), 1))
    velocity = np.zeros_like(position)
    position[:] += change.get('position', 0.0)
    velocity[0] += change.get('velocity', 0.0)
    velocity[-1] += change.get('last', 0.0)
    motion = Trajectory(
        change.get('stamp_s', 100.0), times, position, velocity,
        np.zeros_like(position), change.get('names', committed.names), '')
    assert splice(committed, motion, 100.0, 0.04, position_jump=1e-3,
                  velocity_jump=arm.limits.acceleration_rad_s2 * 0.01) == code


def test_thin_keeps_the_ends_and_the_limit(arm: Arm) -> None:
    motion = swing(arm, np.linspace(-1, 1, 7), hold_s=0.6)
    piece = cut(motion, 100.0, 100.0, motion.end_s)
    few = thin(piece, 12)
    assert len(few.times_s) == 12 and few.times_s[-1] == piece.times_s[-1]
    assert (np.diff(few.times_s) > 0).all()
    assert thin(piece, 400) is piece


def test_join_keeps_times_increasing(arm: Arm) -> None:
    motion = swing(arm, np.linspace(-1, 1, 7))
    both = join(cut(motion, 100.0, 100.0, 100.0731), cut(motion, 100.0, 100.0731, 100.2))
    assert (np.diff(both.times_s) > 0).all() and both.times_s[-1] == pytest.approx(0.2)


# --- verification -------------------------------------------------------------------------

def dense_extremes(motion: Trajectory) -> tuple[Array, Array]:
    times = motion.stamp_s + np.linspace(0.0, motion.times_s[-1], 20000)[1:-1]
    _, velocity, acceleration = motion.sample_many(times)
    return np.abs(velocity).max(axis=0), np.abs(acceleration).max(axis=0)


def test_segment_extremes_bound_the_dense_motion() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        knots = 6
        motion = Trajectory(
            0.0, np.cumsum(rng.uniform(0.01, 0.2, knots)), rng.normal(size=(knots, 3)),
            rng.normal(size=(knots, 3)), np.zeros((knots, 3)), tuple('abc'))
        motion = replace(motion, times_s=motion.times_s - motion.times_s[0])
        start, end, top = segment_extremes(motion)
        velocity, acceleration = dense_extremes(motion)
        np.testing.assert_allclose(top.max(axis=0), velocity, rtol=2e-3)
        np.testing.assert_allclose(
            np.maximum(np.abs(start), np.abs(end)).max(axis=0), acceleration, rtol=2e-2)


def test_grid_is_the_motion(arm: Arm) -> None:
    motion = swing(arm, np.linspace(-1, 1, 7))
    grid, position = on_grid(motion, moving_until(motion))
    np.testing.assert_allclose(position, motion.sample_many(100.0 + grid)[0], atol=1e-12)
    assert grid[-1] == moving_until(motion) and (np.diff(grid) <= 0.01 + 1e-12).all()


def test_accepts_a_legal_motion_and_says_how_near_it_comes(arm: Arm) -> None:
    check = Verifier(arm, PARAMETERS).verify(swing(arm, np.full(7, 0.5)), FREE)
    assert check.ok and check.reason == '' and 0.0 < check.h_min <= check.clearance_m


@pytest.mark.parametrize(('reason', 'spoil'), [
    ('velocity_limit', 'fast'), ('acceleration_limit', 'hard'), ('position_limit', 'far'),
    ('not_at_rest', 'open'), ('self_or_floor', 'fold'), ('obstacle', 'near')])
def test_refuses_each_violation(arm: Arm, reason: str, spoil: str) -> None:
    around = FREE
    velocity = np.zeros(7)
    velocity[0] = 0.5
    motion = swing(arm, velocity)
    if spoil == 'fast':
        motion = swing(arm, velocity * 4.5, share=1.1, hold_s=0.4)
    elif spoil == 'hard':
        motion = swing(arm, velocity, share=1.05)
    elif spoil == 'far':
        start = arm.home_rad.copy()
        start[0] = arm.limits.upper_rad[0] - 0.02
        motion = swing(arm, velocity, start=start)
    elif spoil == 'open':
        motion = cut(motion, 100.0, 100.0, 100.1).trajectory(100.0, motion.names, '')
    elif spoil == 'fold':
        fold = np.zeros(7)
        fold[1] = 1.0
        motion = swing(arm, fold, start=np.array([0, 0.9, 0, -1.6, 0, 1.57, 0.78]), hold_s=0.8)
    else:
        tool = arm.tool_pose(on_grid(motion, moving_until(motion))[1][-1])[0]
        blocked = Obstacle('sphere', (0.02,), tool + np.array([0.0, 0.09, 0.0]))
        around = Surroundings(ObstacleArrays.pack((blocked,)), 0.0)
        assert Verifier(arm, PARAMETERS).verify(motion, around).clearance_m > 0.01
    check = Verifier(arm, PARAMETERS).verify(motion, around)
    assert not check.ok and check.reason == reason


def near_obstacle(arm: Arm, gap_m: float) -> tuple[ObstacleArrays, Array, Array]:
    """Return a sphere `gap_m` beside the arm, and joint velocities that approach and leave."""
    direction = np.array([0.0, 1.0, 0.0])
    tool = arm.tool_pose(arm.home_rad)[0]
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        arrays = ObstacleArrays.pack((Obstacle('sphere', (0.05,), tool + middle * direction),))
        if arm.collision.clearance(arm.home_rad, arrays)[0] < gap_m:
            low = middle
        else:
            high = middle
    gradient = np.array([
        arm.collision.clearance(arm.home_rad + 1e-4 * row, arrays)[0]
        - arm.collision.clearance(arm.home_rad - 1e-4 * row, arrays)[0] for row in np.eye(7)])
    leave = 0.6 * gradient / np.abs(gradient).max()
    return arrays, -leave, leave


def test_inside_the_margin_it_may_leave_but_not_approach(arm: Arm) -> None:
    for gap_m in (0.004, -0.004):
        arrays, approach, leave = near_obstacle(arm, gap_m)
        around = Surroundings(arrays, 0.0)
        verifier = Verifier(arm, PARAMETERS)
        assert verifier.verify(swing(arm, leave), around).ok
        refused = verifier.verify(swing(arm, approach), around)
        assert not refused.ok and refused.reason == 'obstacle'
        still = verifier.verify(stand(arm.home_rad, 100.0, tuple(arm.joint_names), ''), around)
        assert still.ok and still.standing
        assert still.reason == ('stands_in_contact' if gap_m < 0 else '')


def test_margin_deviation_age_and_delay_count(arm: Arm) -> None:
    tool = arm.tool_pose(arm.home_rad)[0]
    velocity = np.zeros(7)
    velocity[0] = 0.3
    motion = swing(arm, velocity)
    for may_move, wins in ((False, False), (True, True)):
        seen = Obstacle('sphere', (0.05,), tool + np.array([0.0, 0.17, 0.0]), may_move=may_move)
        arrays = ObstacleArrays.pack((seen,))

        def h_min(age_s: float, deviation_m: float = 0.0, arrays: ObstacleArrays = arrays,
                  **change: float) -> float:
            return Verifier(arm, replace(PARAMETERS, **change)).verify(  # type: ignore[arg-type]
                motion, Surroundings(arrays, age_s, deviation_m)).h_min

        plain = h_min(0.0)
        assert h_min(0.0, 0.005) == pytest.approx(plain - 0.005)
        assert h_min(0.0, margin_m=0.03) == pytest.approx(plain - 0.02)
        assert (h_min(0.1) < plain - 1e-3) == wins
        assert (h_min(0.0, command_delay_s=0.1) < plain - 1e-3) == wins


def test_a_mover_that_can_arrive_before_the_stop_is_refused(arm: Arm) -> None:
    tool = arm.tool_pose(arm.home_rad)[0]
    velocity = np.zeros(7)
    velocity[0] = -0.6
    motion = swing(arm, velocity, hold_s=0.3)
    place = tool + np.array([0.05, 0.22, 0.0])
    for moves, speed, ok in ((False, 0.0, True), (True, -0.5, False), (True, 0.5, True)):
        seen = Obstacle('sphere', (0.05,), place, velocity_m_s=np.array([0.0, speed, 0.0]),
                        may_move=moves)
        check = Verifier(arm, PARAMETERS).verify(
            motion, Surroundings(ObstacleArrays.pack((seen,)), 0.02))
        assert check.ok == ok, (moves, speed, check)


def test_a_mover_that_arrives_while_the_robot_creeps_to_its_end_is_refused(arm: Arm) -> None:
    velocity = np.zeros(7)
    velocity[0] = -0.6
    motion = swing(arm, velocity, hold_s=0.3)
    end = arm.tool_pose(motion.position[-1])[0]
    mover = Obstacle('sphere', (0.05,), end + np.array([0.0, 0.0, 0.58]), may_move=True,
                     velocity_m_s=np.array([0.0, 0.0, -0.1]))
    around = Surroundings(ObstacleArrays.pack((mover,)), 0.0)
    excess = [Verifier(arm, replace(PARAMETERS, settle_s=settle_s)).verify(motion, around).h_min
              for settle_s in (0.0, 0.1, 0.2)]
    assert excess[0] > excess[1] > excess[2], 'its reach grows while the robot creeps'
    margin = PARAMETERS.margin_m + 0.5 * (excess[0] + excess[1])
    short, long = (
        Verifier(arm, replace(PARAMETERS, settle_s=settle_s, margin_m=margin)).verify(
            motion, around) for settle_s in (0.0, 0.1))
    assert short.ok and long.reason == 'obstacle'


def test_a_mover_may_turn_while_the_robot_creeps(arm: Arm) -> None:
    velocity = np.zeros(7)
    velocity[0] = -0.6
    motion = swing(arm, velocity, hold_s=0.3)
    end = arm.tool_pose(motion.position[-1])[0]
    mover = Obstacle('sphere', (0.05,), end + np.array([0.0, 0.0, 0.3]), may_move=True)
    around = Surroundings(ObstacleArrays.pack((mover,)), 0.0)
    at_once, later = (
        Verifier(arm, replace(PARAMETERS, settle_s=settle_s)).verify(motion, around)
        for settle_s in (0.0, 0.25))
    end_s = at_once.moving_s + PARAMETERS.command_delay_s
    turned_m = 0.5 * 2.0 * ((end_s + 0.1)**2 - end_s**2)
    assert at_once.h_min - later.h_min > 0.9 * turned_m > 0.05


def test_a_set_point_stays_away_from_the_position_limits(arm: Arm) -> None:
    velocity = np.zeros(7)
    velocity[0] = 0.3
    way = swing(arm, velocity).position[-1, 0] - arm.home_rad[0]
    start = arm.home_rad.copy()
    for beyond_rad, reason in ((-1e-4, ''), (1e-4, 'position_limit')):
        start[0] = arm.limits.upper_rad[0] - DROOP_RAD - way + beyond_rad
        check = Verifier(arm, PARAMETERS).verify(swing(arm, velocity, start=start), FREE)
        assert check.reason == reason
