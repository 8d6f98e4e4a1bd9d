# SPDX-License-Identifier: Apache-2.0
"""The reference clock, the slots of plans, the command history, and the disturbance observer."""

from __future__ import annotations

import numpy as np
import pytest
from tracking_world import HOME, LIMITS, START_S, plan_between, standing

from diffusion_control.errors import ConfigurationError
from diffusion_control.tracking.bounds import HorizonBounds
from diffusion_control.tracking.hand_over import PlanSlots, WaitingSlot
from diffusion_control.tracking.history import KEPT, CommandHistory
from diffusion_control.tracking.observer import DisturbanceObserver
from diffusion_control.tracking.prediction import HorizonProblem, Prediction
from diffusion_control.tracking.reference import ReferenceClock
from diffusion_control.trajectory.trajectory import Sample, hermite

GOAL = HOME + 0.5
PLAN = plan_between(HOME, GOAL, 2.0, START_S)
ZERO = np.zeros(7)


def follow(clock, ticks, target=1.0, begin=0, committed=None, follows=True):
    """Advance a clock by ticks of 10 ms, the robot being on the plan unless told otherwise."""
    for k in range(begin, begin + ticks):
        tau = START_S + 0.01 * k
        there = PLAN.sample(PLAN.stamp_s + clock._phase) if committed is None else committed
        window = clock.window(tau, there, None, target, follows=follows)
    return window


def taken():
    clock = ReferenceClock(20, 0.02)
    clock.take(PLAN, START_S)
    return clock


def test_at_rate_one_the_window_is_the_plan():
    window = follow(taken(), 51)
    assert window.phase_s == pytest.approx(0.5, abs=1e-6) and window.rate == 1.0
    q, v, _ = PLAN.sample_many(START_S + 0.5 + 0.02 * np.arange(21))
    np.testing.assert_allclose(window.position, q, atol=1e-6)
    np.testing.assert_allclose(window.velocity, v, atol=1e-5)


def test_half_rate_is_the_same_path_at_half_speed():
    clock = taken()
    window = follow(clock, 100, 0.5)
    assert window.rate == pytest.approx(0.5)
    ramp = 0.5 / 3.0
    assert window.phase_s == pytest.approx(0.5 * 0.99 + 0.5 * ramp / 2, abs=1e-6)
    step = (window.position[1:] - window.position[:-1]) / 0.02
    mean = (window.velocity[1:] + window.velocity[:-1]) / 2
    np.testing.assert_allclose(step, mean, atol=1e-3)


def test_ramping_windows_are_consistent_motions():
    """Velocity is the rate of change of position and acceleration that of velocity."""
    clock = ReferenceClock(200, 0.001)
    clock.take(PLAN, START_S)
    follow(clock, 60)
    window = follow(clock, 10, 0.0, begin=60)
    assert 0 < window.rate < 1
    np.testing.assert_allclose(
        np.diff(window.position, axis=0) / 0.001, window.velocity[:-1], atol=2e-3)
    ends = np.abs(np.diff(window.velocity, axis=0) / 0.001 - window.acceleration[:-1])
    assert np.median(ends) < 2e-2


def test_rate_changes_no_faster_than_allowed():
    clock = taken()
    rates = [follow(clock, 1, 0.0 if 40 <= k < 80 else 1.0, begin=k).rate for k in range(120)]
    assert np.abs(np.diff(rates)).max() <= 0.03 + 1e-5
    assert min(rates) == 0.0 and rates[-1] == 1.0


def test_the_clock_stands_while_the_robot_does_not_follow():
    clock = taken()
    follow(clock, 50)
    window = follow(clock, 60, begin=50, follows=False)
    later = follow(clock, 20, begin=110, follows=False)
    assert window.rate == 0 and later.phase_s == window.phase_s


def test_a_stopped_robot_holds_the_clock_at_its_nearest_point():
    clock = taken()
    follow(clock, 100)
    stopped = Sample(PLAN.sample(START_S + 0.6).position, ZERO, ZERO)
    window = follow(clock, 50, begin=100, committed=stopped)
    assert 0.55 < window.phase_s < 0.75, 'it does not run away'
    assert window.error_rad < 0.05


def test_past_the_end_the_last_point_is_held():
    window = follow(taken(), 300)
    np.testing.assert_array_equal(window.position[-1], PLAN.position[-1])
    assert window.phase_s == 2.0
    assert np.abs(window.velocity).max() == 0


def test_far_from_the_plan_it_is_lost_and_holds():
    away = Sample(HOME - 1.0, ZERO, ZERO)
    window = follow(taken(), 3, committed=away)
    assert window.lost
    np.testing.assert_array_equal(window.position, np.repeat(away.position[None], 21, axis=0))


def test_a_late_plan_begins_where_its_clock_says():
    clock = ReferenceClock(20, 0.02)
    clock.take(PLAN, START_S + 0.7)
    window = clock.window(START_S + 0.7, PLAN.sample(START_S + 0.7), None, 1.0)
    assert window.phase_s == pytest.approx(0.7, abs=1e-6)


def test_reference_parameters_are_checked():
    with pytest.raises(ConfigurationError, match='reference clock'):
        ReferenceClock(20, 0.02, scale_rate=0.0)


def test_a_future_plan_waits_and_the_newest_wins():
    slot = WaitingSlot()
    first, second, third = (
        plan_between(HOME, GOAL, 1.0, START_S + start) for start in (0.0, 0.5, 0.4))
    assert slot.current(first, START_S + 0.1) is first and not slot.waiting
    assert slot.current(second, START_S + 0.2) is first and slot.waiting
    assert slot.current(third, START_S + 0.3) is first and slot.waiting
    assert slot.current(third, START_S + 0.45) is third and not slot.waiting
    assert slot.current(third, START_S + 0.6) is third, 'the second one was replaced'
    assert slot.current(None, START_S + 0.6) is None


def test_nothing_is_followed_before_the_first_plan_starts():
    slot = WaitingSlot()
    plan = plan_between(HOME, GOAL, 1.0, START_S + 0.5)
    assert slot.current(plan, START_S) is None and slot.waiting
    assert slot.current(plan, START_S + 0.5) is plan


def test_slots_follow_the_mode():
    slots = PlanSlots()
    ours, theirs = PLAN, plan_between(GOAL, HOME, 1.0, START_S)
    assert slots.select().plan is None
    slots.offer('planner', ours)
    assert slots.select(0.5) == type(slots.select())(ours, 0.5, 'planner')
    slots.offer('fallback', theirs)
    assert slots.select().plan is ours, 'the mode decides'
    slots.set_mode('fallback')
    assert slots.select() == type(slots.select())(ours, 0.0, 'planner'), 'stops until it comes'
    slots.offer('fallback', theirs)
    slots.set_mode('fallback')
    assert slots.select().plan is theirs and slots.select().time_scale == 1.0
    slots.set_mode('stop')
    assert slots.select() == type(slots.select())(theirs, 0.0, 'fallback')
    slots.set_mode('planner')
    assert slots.select().source == 'planner'
    for call in (lambda: slots.set_mode('auto'), lambda: slots.offer('joystick', ours)):
        with pytest.raises(ConfigurationError, match='allowed'):
            call()


def test_history_answers_for_the_past_and_does_not_grow():
    history = CommandHistory()
    with pytest.raises(IndexError):
        history.sample(START_S)
    for k in range(3 * KEPT):
        history.add(standing(HOME + k, START_S + 0.01 * k))
        history.add(history._motions[-1])
    assert len(history._motions) == KEPT
    last = 3 * KEPT - 1
    at = START_S + 0.01 * (last - 3) + 0.004
    np.testing.assert_allclose(history.sample(at).position, HOME + last - 3)
    np.testing.assert_allclose(history.sample(START_S).position, HOME + 2 * KEPT)


def test_observer_estimates_bounded_and_ignores_what_is_no_disturbance():
    observer = DisturbanceObserver(7, bound_rad=0.01)
    error = np.array([0.005, -0.05, 0, 0, 0, 0, 0])
    for _ in range(300):
        correction = observer.update(HOME, ZERO, HOME - error, 0.01)
    np.testing.assert_allclose(correction, [0.005, -0.01, 0, 0, 0, 0, 0], atol=1e-6)
    held = observer.update(HOME, ZERO, HOME - 1.0, 0.01).copy()
    np.testing.assert_array_equal(held, correction)
    fast = observer.update(HOME, np.ones(7), HOME + 0.02, 0.01)
    np.testing.assert_array_equal(fast, correction)
    observer.reset()
    assert not observer.correction.any()
    with pytest.raises(ConfigurationError, match='observer'):
        DisturbanceObserver(7, bound_rad=1.0)


def test_prediction_is_what_the_controller_interpolates():
    """The cubic Hermite of the knots has the linear accelerations that were predicted."""
    rng = np.random.default_rng(0)
    prediction = Prediction(20, 0.02)
    problem = HorizonProblem(
        HOME, rng.normal(size=7), rng.normal(size=7), np.zeros((20, 7)), np.zeros((20, 7)),
        np.zeros((19, 7)), np.eye(7), ZERO)
    accelerations = 5 * rng.normal(size=(19, 7))
    q, v, a = prediction.motion(problem, accelerations)
    times = 0.02 * np.arange(21)
    _, _, middle = hermite(times, q, v, times[:-1] + 0.01)
    np.testing.assert_allclose(middle, (a[:-1] + a[1:]) / 2, atol=1e-9)
    np.testing.assert_array_equal(a[-1], 0)


def test_bounds_always_leave_hardest_braking():
    """From any start, inside or outside the limits, braking to rest satisfies all the bounds."""
    limits = LIMITS.scaled(0.9)
    bounds, prediction = HorizonBounds(limits, 20, 0.02), Prediction(20, 0.02)
    rng = np.random.default_rng(1)
    for _ in range(200):
        sign = rng.choice([-1.0, 1.0], 7)
        velocity = sign * rng.uniform(0.6, 1.15, 7) * limits.velocity_rad_s
        acceleration = rng.uniform(-1, 1, 7) * limits.acceleration_rad_s2
        edge = np.where(sign > 0, limits.upper_rad, limits.lower_rad)
        problem = HorizonProblem(
            edge - sign * rng.uniform(-0.05, 0.3, 7), velocity, acceleration, np.zeros((20, 7)),
            np.zeros((20, 7)), np.zeros((19, 7)), np.eye(7), ZERO)
        slowest, fastest, low, high = bounds.motion(problem)
        braking = np.repeat(-sign[None] * limits.acceleration_rad_s2, 19, axis=0)
        q, v, a = prediction.motion(problem, braking)
        speed = np.concatenate((v[1:2], v[1:-1] + 0.01 * a[1:-1]))
        going = np.cumprod(v[1:] * sign > 0, axis=0).astype(bool)
        stop = q[1:] + bounds.stop_time_s * v[1:]
        assert (speed[going] <= np.broadcast_to(fastest, speed.shape)[going]).all()
        assert (speed[going] >= np.broadcast_to(slowest, speed.shape)[going]).all()
        ahead = np.where(sign > 0, high - stop, stop - low)
        assert (ahead[going] >= 0).all()


def test_the_short_cut_of_the_bounds_changes_nothing():
    limits = LIMITS.scaled(0.9)
    bounds = HorizonBounds(limits, 20, 0.02)
    rng = np.random.default_rng(2)
    short = 0
    for _ in range(500):
        problem = HorizonProblem(
            rng.uniform(limits.lower_rad, limits.upper_rad),
            rng.uniform(-1, 1, 7) * limits.velocity_rad_s * rng.choice([0.1, 0.4]),
            rng.uniform(-1, 1, 7) * limits.acceleration_rad_s2, np.zeros((20, 7)),
            np.zeros((20, 7)), np.zeros((19, 7)), np.eye(7), ZERO)
        if bounds._far(problem):
            short += 1
            quick = bounds.motion(problem)
            bounds._far = lambda _: False
            for one, other in zip(quick, bounds.motion(problem), strict=True):
                np.testing.assert_array_equal(one, other)
            del bounds._far
    assert 20 < short < 480
