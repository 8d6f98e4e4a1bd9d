# SPDX-License-Identifier: Apache-2.0
"""Candidates: what may be sent is complete, legal and as short as the contract says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_safety_verify import ARM, FREE, PARAMETERS, swing

from diffusion_control.robots import Arm, Obstacle, ObstacleArrays
from diffusion_control.safety.candidates import Candidates, slow_down
from diffusion_control.safety.committed import at, rest_of, stand
from diffusion_control.safety.verify import (
    Surroundings,
    Verifier,
    moving_until,
    on_grid,
    segment_extremes,
)


@pytest.fixture(scope='module')
def arm() -> Arm:
    return ARM


def test_slow_down_is_what_it_says() -> None:
    times, along, rate, change = slow_down(0.4)
    assert rate[0] == 1.0 and abs(rate[-1]) < 1e-12 and change[0] == 0.0 == abs(change[-1])
    assert (np.diff(rate) <= 1e-12).all() and abs(along[-1] - 0.2) < 1e-12
    fine = np.linspace(0, 0.4, 4001)
    np.testing.assert_allclose(
        np.interp(fine, times, along)[-1], np.trapezoid(np.interp(fine, times, rate), fine),
        atol=2e-3)


@pytest.mark.parametrize('hardest', [False, True])
def test_a_brake_takes_no_longer_than_the_contract_says(arm: Arm, hardest: bool) -> None:
    candidates = Candidates(arm.limits, PARAMETERS)
    share = 0.995 if hardest else 0.75
    committed = swing(arm, np.array([1.9, 0.0, 1.9, 0.0, -1.9, 0.0, 2.2]), hold_s=0.5)
    now_s = 100.45
    velocity = np.abs(at(committed, now_s)[1])
    stop = candidates.brake(committed, now_s, hardest=hardest)
    acceleration = share * arm.limits.acceleration_rad_s2
    bound = (velocity / acceleration + acceleration / (share * arm.limits.jerk_rad_s3)).max()
    assert moving_until(stop) <= bound + 1e-3
    start, end, _ = segment_extremes(stop)
    assert (np.maximum(np.abs(start), np.abs(end)) <= acceleration * 1.01).all()


def test_a_stop_along_the_path_stays_on_it(arm: Arm) -> None:
    candidates = Candidates(arm.limits, PARAMETERS)
    motion = swing(arm, np.array([0.8, -0.4, 0.6, 0.3, -0.5, 0.4, 0.7]), hold_s=0.6)
    stop = candidates.brake_along(motion, motion, 100.3)
    assert not isinstance(stop, str)
    assert Verifier(arm, PARAMETERS).verify(stop, FREE).ok
    path = motion.sample_many(np.linspace(100.3, 100.9, 6001))[0]
    for row in stop.position:
        assert np.abs(path - row).max(axis=1).min() < 1e-3
    assert len(stop.times_s) <= 40 and (stop.velocity[-1] == 0).all()


def test_the_set_points_way_back_is_legal(arm: Arm) -> None:
    candidates = Candidates(arm.limits, PARAMETERS)
    committed = stand(arm.home_rad, 100.0, tuple(arm.joint_names), '')
    target = arm.home_rad + np.array([0.2, -0.1, 0.0, 0.05, 0.0, 0.01, -0.3])
    motion = candidates.approach(committed, target, 100.0)
    assert Verifier(arm, PARAMETERS).verify(motion, FREE).ok
    np.testing.assert_allclose(motion.position[-1], target)


UNIT = st.floats(-1.0, 1.0, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(UNIT, min_size=7, max_size=7), st.lists(UNIT, min_size=7, max_size=7),
       st.floats(0.0, 0.25), st.floats(0.1, 1.0))
def test_every_candidate_is_complete_and_legal(
    direction: list[float], other: list[float], after_s: float, share: float
) -> None:
    arm = ARM
    candidates = Candidates(arm.limits, PARAMETERS)
    verifier = Verifier(arm, PARAMETERS)
    committed = swing(arm, np.array(direction) * arm.limits.velocity_rad_s * 0.9)
    now_s = 100.0 + after_s
    pushed = swing(arm, np.array(other), stamp_s=now_s)
    made = [candidates.brake(committed, now_s), candidates.brake(committed, now_s, hardest=True),
            candidates.towards(
                committed, share * at(pushed, now_s + 0.06)[1], now_s, 0.06, gently=share > 0.5),
            rest_of(committed, now_s)]
    if not candidates.refusal(committed, committed, now_s):
        made.append(candidates.full(committed, committed, now_s))
    for motion in made:
        assert len(motion.times_s) <= 40 and (motion.velocity[-1] == 0.0).all()
        assert motion.stamp_s == now_s and motion.times_s[0] == 0.0
        np.testing.assert_allclose(motion.position[0], at(committed, now_s)[0], atol=1e-9)
        np.testing.assert_allclose(motion.velocity[0], at(committed, now_s)[1], atol=1e-6)
        reason, _ = verifier.limits(motion, on_grid(motion, moving_until(motion))[1])
        assert reason in ('', 'position_limit')


@pytest.mark.parametrize('seed', range(10))
def test_a_check_that_gives_up_early_says_the_same(arm: Arm, seed: int) -> None:
    rng = np.random.default_rng(seed)
    motion = swing(arm, rng.uniform(-0.9, 0.9, 7) * arm.limits.velocity_rad_s, hold_s=0.3)
    tool = arm.tool_pose(on_grid(motion, moving_until(motion))[1][len(motion.times_s)])[0]
    ball = Obstacle('sphere', (0.06,), tool + rng.normal(size=3) * 0.06)
    around = Surroundings(ObstacleArrays.pack((ball,)), 0.0)
    verifier = Verifier(arm, PARAMETERS)
    whole, short = verifier.verify(motion, around), verifier.verify(motion, around, complete=False)
    assert (whole.ok, whole.clearance_m, whole.moving_s) == (
        short.ok, short.clearance_m, short.moving_s)
    assert short.h_min >= whole.h_min and (not whole.ok or short.h_min == whole.h_min)


@pytest.mark.parametrize('seed', range(20))
def test_what_is_left_of_the_hardest_stop_keeps_the_limits_whenever_it_is_cut(seed: int) -> None:
    """A cut just before a switch of the jerk must not leave the switch out."""
    random = np.random.default_rng(seed)
    velocity = 0.5 * random.uniform(-1, 1, ARM.dof) * ARM.limits.velocity_rad_s
    moving = swing(ARM, velocity)
    stop = Candidates(ARM.limits, PARAMETERS).brake(moving, 100.09, hardest=True)
    verifier, none = Verifier(ARM, PARAMETERS), np.zeros((0, ARM.dof))
    assert verifier.limits(stop, none) == ('', 0)
    switches = stop.times_s[1:-1]
    for before_s in (3e-4, 1.5e-4, 5e-5, 1e-5, 1e-6, 1e-7):
        for switch in switches[switches > before_s]:
            left = rest_of(stop, stop.stamp_s + float(switch) - before_s)
            assert verifier.limits(left, none) == ('', 0), before_s
