# SPDX-License-Identifier: Apache-2.0
"""Stops and ramps keep every limit between their knots too, whatever they start from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracking_world import LIMITS, NAMES

from diffusion_control.errors import ConfigurationError
from diffusion_control.trajectory.stop import (
    NOT_SYNCHRONISED,
    OUTSIDE_ACCELERATION,
    OUTSIDE_POSITION,
    OUTSIDE_VELOCITY,
    Stopper,
    stop_trajectory,
    velocity_ramp,
)
from diffusion_control.trajectory.trajectory import Trajectory, hermite

SHARE = st.lists(st.floats(-1.0, 1.0), min_size=7, max_size=7).map(np.array)
MIDDLE = (LIMITS.lower_rad + LIMITS.upper_rad) / 2


def dense(knots, count=1500):
    times, position, velocity, _ = knots
    return hermite(times, position, velocity, np.linspace(0, times[-1] - 1e-9, count))


@settings(max_examples=60, deadline=None)
@given(SHARE, SHARE)
def test_stop_keeps_limits_and_ends_at_rest(velocity_share, acceleration_share):
    velocity = velocity_share * LIMITS.velocity_rad_s
    acceleration = acceleration_share * LIMITS.acceleration_rad_s2
    knots = stop_trajectory(MIDDLE, velocity, acceleration, LIMITS, period_s=0.02)
    times, position, v, a = knots
    assert times[0] == 0 and (np.diff(times) > 0).all()
    assert np.diff(times).max() <= 0.02 + 1e-9
    np.testing.assert_array_equal(v[-1], 0)
    np.testing.assert_array_equal(a[-1], 0)
    np.testing.assert_allclose(position[0], MIDDLE, atol=1e-12)
    np.testing.assert_allclose(v[0], velocity, atol=1e-12)
    _, dense_v, dense_a = dense(knots)
    assert (np.abs(dense_a) <= LIMITS.acceleration_rad_s2 * 1.002).all()
    beyond = acceleration**2 / (2 * LIMITS.jerk_rad_s3)
    assert (np.abs(dense_v) <= LIMITS.velocity_rad_s + beyond + 1e-6).all()
    slope = np.diff(a, axis=0) / np.diff(times)[:, None]
    assert (np.abs(slope) <= LIMITS.jerk_rad_s3 * 1.001 + 1.0).all()


@settings(max_examples=30, deadline=None)
@given(SHARE, SHARE)
def test_stop_is_no_longer_than_the_slowest_joint_needs(velocity_share, acceleration_share):
    velocity = velocity_share * LIMITS.velocity_rad_s
    acceleration = acceleration_share * LIMITS.acceleration_rad_s2
    times, *_ = stop_trajectory(MIDDLE, velocity, acceleration, LIMITS)
    # reach the braking acceleration, brake, release: with the speed gained meanwhile
    a, j = LIMITS.acceleration_rad_s2, LIMITS.jerk_rad_s3
    needed = 2 * a / j + (np.abs(velocity) + acceleration**2 / j) / a + a / j
    assert times[-1] <= needed.max() + 1e-3


def test_parallel_state_stops_on_a_straight_line_with_few_knots():
    velocity = 0.4 * LIMITS.velocity_rad_s * np.array([1, -1, 0.5, 0, 1, -1, 0.2])
    ramp = Stopper(LIMITS, period_s=1.0).stop(MIDDLE, velocity, np.zeros(7))
    assert len(ramp.times_s) == 4 and ramp.notes == ()
    way = ramp.position - MIDDLE
    along = way @ velocity / (velocity @ velocity)
    np.testing.assert_allclose(way, along[:, None] * velocity, atol=1e-9)


@pytest.mark.parametrize(('position', 'velocity', 'acceleration', 'note'), [
    (1.001, 0.0, 0.0, OUTSIDE_POSITION), (0.0, 1.1, 0.0, OUTSIDE_VELOCITY),
    (0.0, 0.5, 1.2, OUTSIDE_ACCELERATION)])
def test_a_start_outside_limits_is_stopped_and_said(position, velocity, acceleration, note):
    half = (LIMITS.upper_rad - LIMITS.lower_rad) / 2
    ramp = Stopper(LIMITS).stop(
        MIDDLE + position * half, velocity * LIMITS.velocity_rad_s,
        acceleration * LIMITS.acceleration_rad_s2)
    assert note in ramp.notes
    np.testing.assert_array_equal(ramp.velocity[-1], 0)
    _, _, a = hermite(ramp.times_s, ramp.position, ramp.velocity,
                      np.linspace(0.01, ramp.times_s[-1], 300))
    assert (np.abs(a) <= LIMITS.acceleration_rad_s2 * 1.002).all()


def test_near_a_joint_limit_each_joint_stops_by_itself():
    """A slow joint beside its end must not coast there in phase with the fast ones."""
    position, velocity = MIDDLE.copy(), np.zeros(7)
    velocity[1], velocity[0] = LIMITS.velocity_rad_s[1], 0.1
    position[0] = LIMITS.upper_rad[0] - 0.001
    ramp = Stopper(LIMITS).stop(position, velocity, np.zeros(7))
    assert NOT_SYNCHRONISED in ramp.notes
    assert (ramp.position <= LIMITS.upper_rad).all()


@settings(max_examples=40, deadline=None)
@given(SHARE, SHARE, st.floats(0.005, 0.6))
def test_velocity_ramp_lasts_exactly_and_holds_the_target(start, target, duration):
    start, target = start * LIMITS.velocity_rad_s, target * LIMITS.velocity_rad_s
    times, _, v, _ = velocity_ramp(
        MIDDLE, start, np.zeros(7), target, LIMITS, duration_s=duration, period_s=0.01)
    assert duration - 1e-9 <= times[-1] <= duration + 2e-6
    needed = (np.abs(target - start) / LIMITS.acceleration_rad_s2).max() + 0.005
    if duration > needed:
        np.testing.assert_allclose(v[-1], target, atol=1e-9)


def test_knots_reproduce_the_cubic_pieces_exactly():
    """Sampling with more knots gives the same motion: nothing is lost between knots."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        velocity = rng.uniform(-1, 1, 7) * LIMITS.velocity_rad_s
        acceleration = rng.uniform(-1, 1, 7) * LIMITS.acceleration_rad_s2
        coarse = stop_trajectory(MIDDLE, velocity, acceleration, LIMITS, period_s=1.0)
        fine = stop_trajectory(MIDDLE, velocity, acceleration, LIMITS, period_s=0.003)
        q, v, _ = hermite(*coarse[:3], fine[0])
        np.testing.assert_allclose(q, fine[1], atol=1e-8)
        np.testing.assert_allclose(v[1:-1], fine[2][1:-1], atol=1e-4)


@pytest.mark.parametrize('least_s', [None, 0.3])
@pytest.mark.parametrize('synchronise', [True, False])
def test_knots_are_the_states_that_ruckig_gives(synchronise, least_s):
    stopper, rng = Stopper(LIMITS, period_s=0.004), np.random.default_rng(4)
    for _ in range(20):
        v, target = (rng.uniform(-1, 1, (2, 7)) * LIMITS.velocity_rad_s)
        a = 1.2 * rng.uniform(-1, 1, 7) * LIMITS.acceleration_rad_s2
        ramp = stopper.ramp(
            MIDDLE, v, a, target, duration_s=0.5, synchronise=synchronise, least_s=least_s)
        theirs = np.array([stopper._output.at_time(time) for time in ramp.times_s.tolist()])
        assert len(ramp.times_s) >= 126
        np.testing.assert_allclose(ramp.position, theirs[:, 0], atol=1e-11)
        np.testing.assert_allclose(ramp.velocity, theirs[:, 1], atol=1e-9)
        np.testing.assert_allclose(ramp.acceleration, theirs[:, 2], atol=1e-8)


def test_a_state_at_rest_gives_a_valid_trajectory():
    times, q, v, a = stop_trajectory(MIDDLE, np.zeros(7), np.zeros(7), LIMITS)
    motion = Trajectory(0.0, times, q, v, a, NAMES)
    np.testing.assert_allclose(motion.sample(1.0).position, MIDDLE)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_not_finite_is_refused_by_name(value):
    velocity = np.zeros(7)
    velocity[2] = value
    with pytest.raises(ConfigurationError, match='finite'):
        stop_trajectory(MIDDLE, velocity, np.zeros(7), LIMITS)


def test_bad_period_limits_and_duration_are_refused():
    with pytest.raises(ConfigurationError, match='period'):
        Stopper(LIMITS, period_s=0.0)
    with pytest.raises(ConfigurationError, match='positive'):
        Stopper(LIMITS.scaled(0.0))
    with pytest.raises(ConfigurationError, match='duration'):
        velocity_ramp(MIDDLE, np.zeros(7), np.zeros(7), np.zeros(7), LIMITS, duration_s=-1.0)
    with pytest.raises(ConfigurationError, match='finite'):
        stop_trajectory(MIDDLE[:3], np.zeros(3), np.zeros(3), LIMITS)
