# SPDX-License-Identifier: Apache-2.0
"""Each reason to refuse a plan, what is admitted, and that refusing costs nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracking_world import HOME, LIMITS, NAMES, START_S, Free, fake_robot, plan_between, standing

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.tracking import admission as reasons
from diffusion_control.tracking.admission import ADMITTED, REASONS, PlanAdmission, PlanArrays
from diffusion_control.trajectory.trajectory import Trajectory

GOAL = HOME + np.array([0.4, 0.2, -0.3, 0.3, 0.2, -0.2, 0.5])
NOW = START_S + 10.0
STAND = standing(HOME, NOW - 1.0)
PLAN = plan_between(HOME, GOAL, 1.5, NOW + 0.2)


def raw(plan, **changes):
    """Return a plan as it comes off the wire, with some fields changed."""
    fields = {name: getattr(plan, name) for name in (
        'stamp_s', 'times_s', 'position', 'velocity', 'names')}
    fields = {k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in fields.items()}
    return PlanArrays(**{**fields, **changes})


def judged(plan, committed=STAND, robot=None, obstacles=(), **parameters):
    admission = PlanAdmission(robot or fake_robot(), **parameters)
    verdict = admission.judge(plan, NOW, committed, obstacles)
    assert admission.counts == {verdict.reason_code: 1}
    assert verdict.accepted == (verdict.plan is not None) == (verdict.reason_code == ADMITTED)
    return verdict


def with_row(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize('points', [2, 15, 40])
def test_a_good_plan_is_admitted(points):
    plan = plan_between(HOME, GOAL, 1.5, NOW + 0.2, points)
    assert judged(plan).plan is plan
    verdict = judged(raw(plan))
    assert isinstance(verdict.plan, Trajectory)
    np.testing.assert_array_equal(verdict.plan.position, plan.position)


def test_a_single_point_where_the_robot_stands_is_a_plan_to_stand():
    one = PlanArrays(NOW, [0.0], [HOME.tolist()], [[0.0] * 7], NAMES)
    assert judged(one).accepted
    moved = replace(one, position=[(HOME + 0.3).tolist()])
    assert judged(moved).reason_code == reasons.DISCONTINUOUS


BAD = {
    'empty': (raw(PLAN, times_s=[], position=[], velocity=[]), reasons.MALFORMED),
    'many points': (plan_between(HOME, GOAL, 1.5, NOW, 41), reasons.MALFORMED),
    'rows missing': (raw(PLAN, velocity=PLAN.velocity[:-1]), reasons.MALFORMED),
    'columns missing': (raw(PLAN, position=PLAN.position[:, :6]), reasons.MALFORMED),
    'ragged': (raw(PLAN, position=[[0.0] * 7] * 39 + [[0.0]]), reasons.MALFORMED),
    'words': (raw(PLAN, times_s=['a'] * 40), reasons.MALFORMED),
    'nothing': (None, reasons.MALFORMED),
    'no names': (raw(PLAN, names=()), reasons.WRONG_JOINTS),
    'other order': (raw(PLAN, names=NAMES[::-1]), reasons.WRONG_JOINTS),
    'nan': (raw(PLAN, position=with_row(PLAN.position, (3, 2), np.nan)), reasons.NOT_FINITE),
    'infinite': (raw(PLAN, velocity=with_row(PLAN.velocity, 7, np.inf)), reasons.NOT_FINITE),
    'nan time': (raw(PLAN, times_s=with_row(PLAN.times_s, 3, np.nan)), reasons.NOT_FINITE),
    'nan stamp': (raw(PLAN, stamp_s=np.nan), reasons.NOT_FINITE),
    'equal times': (raw(PLAN, times_s=with_row(PLAN.times_s, 3, PLAN.times_s[2])),
                    reasons.TIMES_NOT_INCREASING),
    'old': (plan_between(HOME, GOAL, 9.0, NOW - 1.5), reasons.STALE),
    'far future': (plan_between(HOME, GOAL, 9.0, NOW + 5.0), reasons.FUTURE),
    'over': (plan_between(HOME, HOME + 0.01, 0.5, NOW - 0.8), reasons.NO_PROGRESS),
    'no rest': (raw(PLAN, velocity=with_row(PLAN.velocity, -1, 0.1)), reasons.NO_REST),
    'through the joint limit': (
        plan_between(HOME, HOME + np.eye(7)[1] * 2.8, 6.0, NOW), reasons.LIMIT_POSITION),
    'too fast': (plan_between(HOME, HOME + np.eye(7)[0] * 2.0, 1.5, NOW), reasons.LIMIT_VELOCITY),
    'velocities lie': (raw(PLAN, velocity=0 * PLAN.velocity), reasons.RESIDUAL),
    'velocities far off': (
        raw(PLAN, velocity=with_row(PLAN.velocity, slice(5, 9), 1.5)), reasons.RESIDUAL),
    'too hard': (plan_between(HOME, HOME + np.eye(7)[1] * 0.2, 0.25, NOW),
                 reasons.LIMIT_ACCELERATION),
    'elsewhere': (plan_between(HOME + 0.2, GOAL, 1.5, NOW), reasons.DISCONTINUOUS),
    'in the middle of a motion': (
        plan_between(2 * HOME - GOAL, GOAL, 1.5, NOW - 0.75), reasons.DISCONTINUOUS),
}


@pytest.mark.parametrize('case', BAD)
def test_each_reason(case):
    plan, reason = BAD[case]
    verdict = judged(plan)
    assert (verdict.accepted, verdict.reason_code) == (False, reason), verdict.detail
    assert len(verdict.detail) <= 200


def test_every_reason_but_collision_is_in_the_table_and_documented():
    assert {reason for _, reason in BAD.values()} == set(REASONS) - {reasons.COLLISION}
    assert all(f'`{reason}`' in reasons.__doc__ for reason in REASONS)


@pytest.mark.parametrize(('distances', 'accepted'), [
    (np.r_[0.2, np.full(47, 0.05)], True),
    (np.r_[0.2, np.full(47, -0.01)], False),
    (np.r_[-0.02, np.full(47, -0.015)], True),
    (np.r_[-0.02, np.full(47, -0.03)], False)])
def test_collision_unless_it_leads_out_of_a_contact(distances, accepted):
    robot = fake_robot()
    robot.collision = Free(distances)
    verdict = judged(PLAN, robot=robot)
    assert verdict.reason_code == (ADMITTED if accepted else reasons.COLLISION)


def test_a_plan_in_motion_is_compared_where_it_starts():
    moving = plan_between(HOME, GOAL, 1.5, NOW - 0.5)
    there = moving.sample(NOW + 0.2)
    times = np.array([0.0, 0.6])
    on = Trajectory(
        NOW + 0.2, times, np.array([there.position, there.position + 0.3 * there.velocity]),
        np.array([there.velocity, 0 * HOME]), np.zeros((2, 7)), NAMES)
    assert judged(on, committed=moving).accepted
    off = replace(on, position=on.position + 0.4)
    assert judged(off, committed=moving).reason_code == reasons.DISCONTINUOUS
    assert judged(off, committed=None).accepted, 'nothing to compare with'


def test_real_obstacles_of_a_real_arm():
    arm = robots.load('panda')
    home = np.asarray(arm.home_rad)
    start, end = home.copy(), home.copy()
    start[0], end[0] = -0.8, 0.8
    s = np.linspace(0, 1, 30)[:, None]
    plan = Trajectory(
        NOW + 0.1, s[:, 0] * 3.0, start + (10 * s**3 - 15 * s**4 + 6 * s**5) * (end - start),
        (30 * s**2 - 60 * s**3 + 30 * s**4) / 3.0 * (end - start), np.zeros((30, 7)),
        arm.joint_names)
    admission = PlanAdmission(arm)
    middle, _ = arm.tool_pose(home)
    block = Obstacle('sphere', (0.08,), middle)
    aside = Obstacle('sphere', (0.08,), middle + np.array([0.0, 0.0, 1.5]))
    passing = replace(block, position_m=middle + np.array([0.6, 0.0, 0.0]),
                      velocity_m_s=np.array([-0.4, 0.0, 0.0]), may_move=True)
    stand = Trajectory(NOW - 1, np.array([0.0]), start[None], 0 * start[None], 0 * start[None],
                       arm.joint_names)
    assert admission.judge(plan, NOW, stand, (aside,)).accepted
    assert admission.judge(plan, NOW, stand, (block,)).reason_code == reasons.COLLISION
    assert admission.judge(plan, NOW, stand, (passing,)).reason_code == reasons.COLLISION
    leaving = replace(passing, velocity_m_s=np.array([0.4, 0.0, 0.0]))
    assert admission.judge(plan, NOW, stand, (leaving,)).accepted
    assert admission.counts == {ADMITTED: 2, reasons.COLLISION: 2}


class Untouchable:
    """Rows that must not be looked at."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        raise AssertionError('an oversized plan was read')

    __iter__ = __array__ = __getitem__


def test_a_huge_plan_is_refused_by_its_length_alone():
    rows = Untouchable(100_000)
    verdict = judged(PlanArrays(NOW, rows, rows, rows, NAMES))
    assert verdict.reason_code == reasons.MALFORMED and '100000' in verdict.detail


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 12))
def test_what_is_admitted_keeps_the_limits_and_nothing_raises(seed, points):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.02, 0.6, points))
    position = HOME + rng.uniform(-1, 1, (points, 7)) * rng.choice([0.01, 0.3, 3.0])
    velocity = rng.normal(size=(points, 7)) * rng.choice([0.0, 0.1, 3.0])
    if rng.random() < 0.7:
        position[0], velocity[-1] = HOME, 0.0
    plan = PlanArrays(NOW + rng.uniform(-1.5, 2.5), times, position, velocity, NAMES)
    verdict = PlanAdmission(fake_robot()).judge(plan, NOW, STAND)
    assert verdict.accepted or verdict.reason_code in REASONS
    if verdict.plan is not None:
        at = np.linspace(verdict.plan.start_s, verdict.plan.end_s, 500)
        q, v, a = verdict.plan.sample_many(at)
        assert (q >= LIMITS.lower_rad - 0.02).all() and (q <= LIMITS.upper_rad + 0.02).all()
        assert (np.abs(v) <= 1.1 * LIMITS.velocity_rad_s).all()
        assert (np.abs(a) <= 1.26 * LIMITS.acceleration_rad_s2).all()


def test_parameters_are_checked():
    with pytest.raises(ConfigurationError, match='admission'):
        PlanAdmission(fake_robot(), max_plan_age_s=-1.0)
