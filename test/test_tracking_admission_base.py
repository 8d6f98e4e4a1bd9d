# SPDX-License-Identifier: Apache-2.0
"""Admission of a base's plans: each reason, whole turns, walls, and what is admitted drives."""

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
    body,
    slalom,
    standing,
    twists,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.tracking import admission as reasons
from diffusion_control.tracking.admission import ADMITTED, REASONS, PlanAdmission, PlanArrays
from diffusion_control.trajectory.trajectory import Trajectory

NOW = START_S + 10.0
STAND = standing(np.zeros(3), NOW - 1.0)
PLAN = slalom(np.zeros(3), NOW + 0.1)


def judged(plan, committed=STAND, robot=BASE, obstacles=(), **parameters):
    return PlanAdmission(robot, **parameters).judge(plan, NOW, committed, obstacles)


def with_row(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


def line(speed, duration_s, start=(0.0, 0.0, 0.0), yaw_rate=0.0):
    gate = np.array([0.0, 1.0, 1.0, 1.0, 0.0])[:, None]
    return twists(np.array(start), gate * np.array([speed, yaw_rate]), duration_s, NOW + 0.1)


@pytest.mark.parametrize('robot', [BASE, OMNI, FORWARD])
def test_a_good_plan_is_admitted(robot):
    assert judged(PLAN, robot=robot).plan is PLAN
    turned = replace(PLAN, position=PLAN.position + np.array([0.0, 0.0, -2 * np.pi]))
    assert judged(turned, robot=robot).accepted, 'counted in other turns'


ASIDE = np.array([1.0, 1.0, 0.0])
SIDE = Trajectory(NOW + 0.1, PLAN.times_s, PLAN.position[:, [1, 0, 2]] * ASIDE,
                  PLAN.velocity[:, [1, 0, 2]] * ASIDE, 0 * PLAN.velocity, NAMES)
BAD = {
    'old': (slalom(np.zeros(3), NOW - 1.5), reasons.STALE),
    'nan': (replace(PLAN, position=PLAN.position * 1.0), reasons.NOT_FINITE),
    'no rest': (replace(PLAN, velocity=with_row(PLAN.velocity, -1, 0.1)), reasons.NO_REST),
    'off the earth': (line(0.3, 3.0, (2e4, 0.0, 0.0)), reasons.LIMIT_POSITION),
    'too fast': (line(0.75, 4.0), reasons.LIMIT_VELOCITY),
    'backward too fast': (line(-0.4, 4.0), reasons.LIMIT_VELOCITY),
    'turns too fast': (line(0.0, 4.0, yaw_rate=2.2), reasons.LIMIT_VELOCITY),
    'a wheel too fast': (line(0.6, 6.0, yaw_rate=1.7), reasons.LIMIT_VELOCITY),
    'sideways': (SIDE, reasons.RESIDUAL),
    'velocities lie': (replace(PLAN, velocity=0 * PLAN.velocity), reasons.RESIDUAL),
    'too hard': (line(0.5, 0.6), reasons.LIMIT_ACCELERATION),
    'elsewhere': (slalom(np.array([0.5, 0.0, 0.0]), NOW + 0.1), reasons.DISCONTINUOUS),
    'faces elsewhere': (slalom(np.array([0.0, 0.0, 1.0]), NOW + 0.1), reasons.DISCONTINUOUS),
}


@pytest.mark.parametrize('case', BAD)
def test_each_reason(case):
    plan, reason = BAD[case]
    if case == 'nan':
        rows = with_row(plan.position, (3, 1), np.nan)
        plan = PlanArrays(plan.stamp_s, plan.times_s, rows, plan.velocity, NAMES)
    verdict = judged(plan)
    assert (verdict.accepted, verdict.reason_code) == (False, reason), verdict.detail


def test_sideways_is_for_omnidirectional_bases_and_backward_for_those_that_may():
    assert judged(SIDE, robot=OMNI).accepted
    back = line(-0.2, 4.0)
    assert judged(back).accepted
    assert judged(back, robot=FORWARD).reason_code == reasons.LIMIT_VELOCITY


def test_obstacles_and_walls():
    plan = line(0.4, 5.0)
    there = np.array([plan.position[-1, 0] / 2, 0.0, 0.1])
    block = Obstacle('sphere', (0.1,), there)
    aside = Obstacle('sphere', (0.1,), there + np.array([0.0, 0.6, 0.0]))
    assert judged(plan, obstacles=(block,)).reason_code == reasons.COLLISION
    assert judged(plan, obstacles=(aside,)).accepted
    cells = np.zeros((60, 60), dtype=np.int8)
    cells[:, 44:46] = 100
    wall = OccupancyMap(0.05, np.array([-1.5, -1.5, 0.0]), cells)
    verdict = judged(plan, obstacles=BASE.pack((), wall))
    assert verdict.reason_code == reasons.COLLISION and 'wall' in verdict.detail
    assert judged(line(0.2, 2.0), obstacles=BASE.pack((aside,), wall)).accepted


def test_a_thin_obstacle_is_not_stepped_over():
    plan = line(0.55, 20.0)
    thin = Obstacle('sphere', (0.02,), np.array([4.31, 0.0, 0.1]))
    assert judged(plan, obstacles=(thin,)).reason_code == reasons.COLLISION


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 12))
def test_what_is_admitted_can_be_driven_and_nothing_raises(seed, points):
    rng = np.random.default_rng(seed)
    if rng.random() < 0.6:
        inner = rng.uniform(-1, 1, (points, 2))
        rows = np.pad(inner, ((1, 1), (0, 0)))
        plan = twists(rng.normal(size=3) * 0.05, rows * np.array([0.6, 1.6]),
                      rng.uniform(1.0, 12.0), NOW + rng.uniform(-1.2, 2.2))
    else:
        velocity = rng.normal(size=(points, 3)) * rng.choice([0.0, 0.3, 2.0])
        velocity[-1] = 0.0
        plan = PlanArrays(
            NOW, np.cumsum(rng.uniform(0.02, 0.6, points)),
            rng.uniform(-1, 1, (points, 3)) * rng.choice([0.01, 0.5]), velocity, NAMES)
    verdict = judged(plan)
    assert verdict.accepted or verdict.reason_code in REASONS
    if verdict.plan is not None and len(verdict.plan.times_s) > 1:
        twist, _ = body(verdict.plan)
        assert np.abs(twist[:, 0]).max() <= 1.06 * DRIVE.speed_max_m_s
        assert np.abs(twist[:, 1]).max() <= 0.06
        assert np.abs(twist[:, 2]).max() <= 1.06 * DRIVE.yaw_rate_max_rad_s
    assert verdict.accepted == (verdict.reason_code == ADMITTED)
