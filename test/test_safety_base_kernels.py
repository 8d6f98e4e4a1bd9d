# SPDX-License-Identifier: Apache-2.0
"""The kernels behind a base's monitor against plain numpy and geometry, NaN included."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_control.robots.distance_field import DistanceField
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.surround import Surround, has_shadow
from diffusion_control.safety.base.verify_kernels import REASONS, excess, judge
from diffusion_control.safety.recent import Recent

NAN = float('nan')
HEIGHT_M = 0.3


@pytest.mark.parametrize(('obstacle', 'own', 'reason', 'least'), [
    ([0.5, 0.3, 0.4], [0.5, 0.5, 0.5], '', 0.2),
    ([0.5, 0.09, 0.4], [0.5, 0.01, 0.5], 'obstacle', -0.04),
    ([0.5, 0.3, 0.4], [0.5, 0.04, 0.5], 'walls', -0.01),
    ([0.05, 0.06, 0.4], [0.5, 0.5, 0.5], '', -0.05),
    ([0.05, 0.03, 0.4], [0.5, 0.5, 0.5], 'obstacle', -0.07),
    ([0.5, NAN, 0.4], [0.5, 0.5, 0.5], 'obstacle', NAN),
    ([0.5, 0.5, 0.4], [0.5, 0.5, NAN], 'walls', NAN),
    ([NAN, 0.5, 0.4], [0.5, 0.5, 0.5], 'obstacle', NAN)])
def test_what_is_too_near_is_named(
    obstacle: list[float], own: list[float], reason: str, least: float
) -> None:
    code, found, _ = judge(np.array(obstacle), np.array(own), 0.1, 0.05, 0.005)
    assert REASONS[code] == reason
    assert found == pytest.approx(least, nan_ok=True)


@pytest.mark.parametrize(('twist', 'share'), [
    ((1.2, 0.0), 0.2), ((-0.6, 0.0), 0.1), ((0.0, -2.4), 0.2), ((0.9, 0.9), 0.08)])
def test_the_worst_limit_counts_and_nan_is_within_none(
    twist: tuple[float, float], share: float
) -> None:
    most = np.array([1.0, 0.5, 2.0, 1.0, 0.2])
    position, velocity = np.zeros((3, 3)), np.zeros((3, 3))
    position[:, 2] = 0.7
    velocity[1] = twist[0] * math.cos(0.7), twist[0] * math.sin(0.7), twist[1]
    assert excess(position, velocity, most) == pytest.approx(share)
    for row in range(3):
        broken = velocity.copy()
        broken[row, 2] = NAN
        assert math.isnan(excess(position, broken, most))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.001, 0.2), min_size=1, max_size=40), st.floats(-0.5, 3.0))
def test_recent_rows_are_those_of_a_deque(gaps: list[float], asked_s: float) -> None:
    random, size = np.random.default_rng(len(gaps)), 16
    recent, plain = Recent(size, 3), deque[tuple[float, np.ndarray]](maxlen=size)
    for time_s in np.cumsum(gaps).tolist():
        row = random.normal(size=3)
        recent.add(time_s, row)
        recent.add(time_s, row + 1.0)  # not later: ignored
        plain.append((time_s, row))
    times, rows = np.array([t for t, _ in plain]), np.array([row for _, row in plain])
    np.testing.assert_array_equal(recent.rows, rows)
    np.testing.assert_allclose(
        recent.at(asked_s), [np.interp(asked_s, times, column) for column in rows.T], atol=1e-12)
    np.testing.assert_allclose(
        recent.sum_after(asked_s), rows[times > asked_s].sum(axis=0), atol=1e-12)


def shadow_of(obstacle: Obstacle) -> Surround:
    return Surround.of((obstacle,), HEIGHT_M, DistanceField.empty())


def test_a_sphere_is_the_disc_that_it_fills_below_the_base_s_height() -> None:
    above = Obstacle('sphere', (0.2,), np.array([1.0, 2.0, 0.42]))
    assert shadow_of(above).half_m[0, 0] == pytest.approx(math.sqrt(0.2**2 - 0.12**2))
    assert shadow_of(above).centre_m[0].tolist() == [1.0, 2.0, 0.0]
    assert not has_shadow(Obstacle('sphere', (0.1,), np.array([1.0, 2.0, 0.42])), HEIGHT_M)


def test_what_may_move_counts_wherever_it_is() -> None:
    ball = Obstacle('sphere', (0.1,), np.array([1.0, 2.0, 5.0]), may_move=True)
    assert shadow_of(ball).half_m[0, 0] == pytest.approx(0.1) and has_shadow(ball, HEIGHT_M)


def test_a_turned_box_keeps_its_corners_and_a_tilted_one_is_its_ball() -> None:
    turn = np.array([0.0, 0.0, math.sin(0.3), math.cos(0.3)])
    upright = shadow_of(Obstacle('box', (0.4, 0.2, 0.6), np.zeros(3), turn))
    corner = upright.rotation[0] @ np.array([upright.half_m[0, 0], upright.half_m[0, 1], 0.0])
    angle = 0.6 + math.atan2(0.1, 0.2)
    np.testing.assert_allclose(
        corner[:2], math.hypot(0.2, 0.1) * np.array([math.cos(angle), math.sin(angle)]))
    tilt = np.array([math.sin(0.4), 0.0, 0.0, math.cos(0.4)])
    tilted = shadow_of(Obstacle('box', (0.4, 0.2, 0.6), np.zeros(3), tilt))
    assert tilted.code[0] == 3
    assert tilted.half_m[0, 0] == pytest.approx(math.sqrt(0.2**2 + 0.1**2 + 0.3**2))
