# SPDX-License-Identifier: Apache-2.0
"""Clamped B-splines: exact ends, exact Hermite form, convex hull, fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_control.trajectory.spline import (
    CONTROL_POINTS,
    basis,
    fit,
    head,
    smoothness,
    to_trajectory,
)

NAMES = tuple('abcdefg')


def random_points(seed: int, duration: float):
    rng = np.random.default_rng(seed)
    q, v, a = rng.normal(size=(3, 7))
    goal = rng.normal(size=7)
    points = np.concatenate([
        head(q, v, a, duration), rng.normal(size=(8, 7)), np.repeat(goal[None], 3, 0)])
    return q, v, a, goal, points


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 20.0))
def test_start_is_exact_and_the_end_rests(seed, duration):
    q, v, a, goal, points = random_points(seed, duration)
    motion = to_trajectory(points, duration, 3.0, NAMES)
    np.testing.assert_allclose(motion.position[0], q, atol=1e-12)
    np.testing.assert_allclose(motion.velocity[0], v, atol=1e-9)
    np.testing.assert_allclose(motion.acceleration[0], a, atol=1e-7)
    np.testing.assert_allclose(motion.position[-1], goal, atol=1e-12)
    assert (motion.velocity[-1] == 0).all()
    assert len(motion.times_s) <= 40


def test_hermite_of_the_knots_is_the_spline():
    *_, points = random_points(1, 2.5)
    motion = to_trajectory(points, 2.5, 3.0, NAMES)
    at = basis(777)
    position, velocity, acceleration = motion.sample_many(3.0 + at.phase * 2.5)
    np.testing.assert_allclose(position, at.position @ points, atol=1e-12)
    np.testing.assert_allclose(velocity[:-1], (at.velocity @ points)[:-1] / 2.5, atol=1e-10)
    np.testing.assert_allclose(
        acceleration[1:-1], (at.acceleration @ points)[1:-1] / 2.5**2, atol=1e-8)


def test_positions_stay_between_the_control_points():
    *_, points = random_points(2, 1.0)
    position = basis(500).position @ points
    assert (position <= points.max(0) + 1e-12).all()
    assert (position >= points.min(0) - 1e-12).all()
    assert (basis(500).position >= 0).all()


def test_fit_recovers_a_spline():
    *_, points = random_points(3, 1.0)
    found = fit(basis(65).position @ points, points[:3], points[-3:])
    np.testing.assert_allclose(found, points[3:-3], atol=1e-6)


def test_head_of_many_durations_equals_each():
    q, v, a, _, _ = random_points(4, 1.0)
    durations = np.array([0.5, 1.5, 4.0])
    together = head(q, v, a, durations)
    assert together.shape == (3, 3, 7)
    for row, duration in zip(together, durations, strict=True):
        np.testing.assert_allclose(row, head(q, v, a, float(duration)))


def test_line_is_the_smoothest_of_all():
    matrices = smoothness()
    start, goal = np.zeros((3, 1)), np.ones((3, 1))
    best = np.concatenate([start, matrices.line[:, None], goal])

    def cost(points):
        return float((points.T @ matrices.metric @ points)[0, 0])

    rng = np.random.default_rng(5)
    for _ in range(20):
        other = best.copy()
        other[3:-3] += 0.05 * rng.normal(size=(8, 1))
        assert cost(other) > cost(best)
    np.testing.assert_allclose(matrices.line + matrices.line[::-1], 1.0, atol=1e-3)


def test_smooth_noise_is_smoother_than_white_noise():
    factor = smoothness().noise
    rng = np.random.default_rng(6)
    white = rng.normal(size=(8, 4000))
    smooth = factor @ white

    def roughness(x):
        return float((np.diff(x, 2, axis=0)**2).mean() / (x**2).mean())

    assert roughness(smooth) < 0.2 * roughness(white)
    assert float((smooth**2).mean(1).max()) == pytest.approx(1.0, abs=0.1)


def test_basis_is_read_only_and_cached():
    assert basis(24) is basis(24)
    with pytest.raises(ValueError):
        basis(24).position[0, 0] = 2.0
    assert basis(24).position.shape == (24, CONTROL_POINTS)
