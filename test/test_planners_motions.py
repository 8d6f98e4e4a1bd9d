# SPDX-License-Identifier: Apache-2.0
"""Carrying a plan over, and motions of at most 40 knots."""

import numpy as np
import pytest

from diffusion_control.planners.carry_over import carry_over
from diffusion_control.planners.problem import Start
from diffusion_control.planners.publishable import publishable
from diffusion_control.trajectory.spline import to_trajectory
from diffusion_control.trajectory.trajectory import Trajectory

NAMES = ('a', 'b', 'c')


@pytest.fixture
def plan() -> Trajectory:
    points = np.random.default_rng(0).normal(size=(14, 3))
    points[:3], points[-3:] = points[0], points[-1]
    return to_trajectory(points, 4.0, 10.0, NAMES)


def start_on(plan: Trajectory, at: float, stamp: float, **offset: float) -> Start:
    sample = plan.sample(at)
    return Start(
        stamp, sample.position + offset.get('position', 0.0),
        sample.velocity * offset.get('speed', 1.0) + offset.get('velocity', 0.0),
        sample.acceleration)


def test_a_start_on_the_plan_keeps_the_plan(plan):
    motion = carry_over(plan, start_on(plan, 11.3, 11.3))
    times = np.linspace(11.3, 14.0, 300)
    np.testing.assert_allclose(
        motion.sample_many(times)[0], plan.sample_many(times)[0], atol=1e-12)
    assert motion.stamp_s == 11.3 and motion.end_s == pytest.approx(14.0)
    assert (motion.velocity[-1] == 0).all()


def test_repeated_carrying_over_does_not_drift(plan):
    motion = plan
    for stamp in np.arange(10.1, 13.9, 0.07):
        motion = carry_over(motion, start_on(plan, stamp, stamp))
    times = np.linspace(motion.stamp_s, 14.0, 50)
    np.testing.assert_allclose(
        motion.sample_many(times)[0], plan.sample_many(times)[0], atol=1e-9)


def test_an_offset_start_is_exact_and_fades(plan):
    start = start_on(plan, 11.3, 11.3, position=0.01, velocity=0.05)
    motion = carry_over(plan, start)
    first = motion.sample(11.3)
    np.testing.assert_allclose(first.position, start.position, atol=1e-12)
    np.testing.assert_allclose(first.velocity, start.velocity, atol=1e-12)
    late = np.linspace(11.9, 14.0, 50)
    np.testing.assert_allclose(
        motion.sample_many(late)[0], plan.sample_many(late)[0], atol=1e-9)


def test_a_plan_that_was_followed_slowly_is_continued_where_the_robot_is(plan):
    start = start_on(plan, 11.5, 12.5)
    motion = carry_over(plan, start)
    np.testing.assert_allclose(motion.position[0], start.position, atol=1e-12)
    assert motion.end_s == pytest.approx(15.0, abs=0.06)
    np.testing.assert_allclose(motion.position[-1], plan.position[-1], atol=1e-12)


def test_nothing_is_left_of_a_finished_or_a_distant_plan(plan):
    assert carry_over(plan, start_on(plan, 14.0, 14.5)) is None
    assert carry_over(plan, start_on(plan, 12.0, 12.0, position=2.0)) is None


def test_publishable_is_short_near_and_ends_at_rest():
    times = np.linspace(0.0, 6.0, 1201)
    position = np.stack([np.sin(times), np.cos(0.7 * times), 0.2 * times], 1)
    velocity = np.stack([np.cos(times), -0.7 * np.sin(0.7 * times), np.full(1201, 0.2)], 1)
    brake = np.clip((6.0 - times) / 0.5, 0.0, 1.0)[:, None]
    velocity = velocity * brake
    step = np.diff(times)[:, None] * (velocity[1:] + velocity[:-1]) / 2
    position = np.concatenate([position[:1], position[0] + np.cumsum(step, 0)])
    long = Trajectory(2.0, times, position, velocity, np.zeros_like(velocity), NAMES)
    short = publishable(long)
    assert len(short.times_s) <= 40
    assert (short.velocity[-1] == 0).all()
    deviation = np.abs(short.sample_many(times + 2.0)[0] - position).max()
    assert deviation < 1e-3
    assert short.end_s == long.end_s


def test_publishable_keeps_a_short_motion_as_it_is(plan):
    same = publishable(plan)
    np.testing.assert_array_equal(same.position, plan.position)
