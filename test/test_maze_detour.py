# SPDX-License-Identifier: Apache-2.0
"""What kernels say of a region, where motions are led, and from which ends there is no way out."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_control.evaluation.maze.drive import push
from diffusion_control.evaluation.maze.layouts import MAZES
from diffusion_control.planners.point_mass.detour import outside
from diffusion_control.planners.point_mass.specification import (
    SPECIFICATIONS,
    level_at,
    slope_at,
)
from diffusion_control.planners.point_mass.way_out import FORCES, TIMES, moved, unavoidable
from diffusion_control.robots.point_mass import PointMass, frame_of

ROBOT = PointMass()
REGIONS = sorted(SPECIFICATIONS)
LARGE = MAZES['large'].map


@pytest.mark.parametrize('name', REGIONS)
def test_kernels_know_the_same_region(name: str) -> None:
    region, points = SPECIFICATIONS[name], np.random.default_rng(1).uniform(0.0, 9.0, (50, 2))
    level = [level_at(x, y, region.constants) for x, y in points]
    slope = [slope_at(x, y, region.constants) for x, y in points]
    np.testing.assert_allclose(level, region.h(points), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(slope, region.gradient(points), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('name', REGIONS)
def test_places_near_a_border_are_led_out_and_others_stay(name: str) -> None:
    region, points = SPECIFICATIONS[name], np.random.default_rng(2).uniform(0.0, 9.0, (400, 2))
    near = points[region.h(points) > -0.5][:80].reshape(2, 40, 2)
    found = outside(near, region, 0.1)
    assert region.h(found.reshape(-1, 2)).min() > 0.1 - 1e-6
    free = region.h(near.reshape(-1, 2)).reshape(near.shape[:2]) >= 0.1
    assert (found[free] == near[free]).all()


def test_places_under_constant_forces_are_those_of_the_mass() -> None:
    states = np.array([[4.0, 4.0, 2.0, 0.0]])
    found = moved(states, ROBOT)[0, -1, 2, :, :]
    state, free = states[0].copy(), np.zeros_like(LARGE.occupied)
    steps = int(round(TIMES[4] / ROBOT.period_s))
    control = np.repeat([[FORCES[-1], 0.0]], steps, axis=0)
    push(state, control, free, frame_of(LARGE), ROBOT.constants)
    assert np.abs(found[4] - state[:2]).max() < 0.03
    stopped = moved(np.array([[4.0, 4.0, 3.0, 0.0]]), ROBOT)[0, 0, 2, :, 0]
    assert np.diff(stopped).min() > -1e-12 and stopped[-1] - stopped[-2] < 1e-12


def test_only_an_end_that_is_too_fast_has_no_way_out() -> None:
    maze, region = MAZES['umaze'], SPECIFICATIONS['circle']
    x, y = maze.map.centre_of(np.array([[1, 1]]))[0]
    ends = np.array([[x, y, 0.0, 0.0], [x, y, 0.0, -1.0], [x, y, 0.0, -5.0], [x, y, 0.0, 5.0]])
    found = unavoidable(ends, maze.map, ROBOT, 0.02, region, 0.04)
    assert (found > 0.0).tolist() == [False, False, True, False]
    ends = np.array([[4.5, 6.7, 0.0, -5.0], [4.5, 6.7, 0.0, -1.0]])
    found = unavoidable(ends, LARGE, ROBOT, -1.0, region, 0.04)
    assert (found > 0.0).tolist() == [True, False]
