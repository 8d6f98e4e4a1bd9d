# SPDX-License-Identifier: Apache-2.0
"""The time-varying formulation: derivatives, torques along the whole horizon, same answers."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tracking_world import fake_robot

from diffusion_control import robots, tracking
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.bench_tracking_world import (
    Follower,
    quintic_plan,
    random_goal,
    resting,
)
from diffusion_control.tracking.torque import TorqueFormulation

ARM = robots.load('panda')


def weak(share: float) -> Any:
    """Return the arm with drives of less torque."""
    robot: Any = copy.copy(ARM)
    robot.limits = replace(ARM.limits, torque_nm=share * ARM.limits.torque_nm)
    return robot


def followed(name: str, robot: Any, ticks: int, share: float) -> Follower:
    rng, plan = np.random.default_rng(3), None
    follower = Follower(tracking.make(name, robot=robot), robot)
    for _ in range(ticks):
        if plan is None or follower.now_s > plan.end_s + 0.1:
            plan = quintic_plan(
                robot, follower.ahead(0.05), follower.now_s + 0.05, random_goal(robot, rng), share)
        follower.reports = [*getattr(follower, 'reports', []), follower.tick(plan).report]
    return follower


def test_the_slopes_are_those_of_the_inverse_dynamics() -> None:
    rng = np.random.default_rng(0)
    state = [ARM.home_rad + rng.normal(0, 0.3, 7), rng.normal(0, 1, 7), rng.normal(0, 3, 7)]
    torque, *slopes = ARM.torque_slopes(*state)
    np.testing.assert_allclose(torque, ARM.inverse_dynamics(*state), atol=1e-12)
    np.testing.assert_allclose(slopes[2], ARM.mass_matrix(state[0]), atol=1e-12)
    for part, slope in enumerate(slopes):
        for joint in range(7):
            step = [value.copy() for value in state]
            step[part][joint] += 1e-6
            measured = (ARM.inverse_dynamics(*step) - torque) / 1e-6
            np.testing.assert_allclose(measured, slope[:, joint], atol=2e-4)


def test_where_no_torque_binds_it_is_the_condensed_formulation() -> None:
    one, other = (followed(name, ARM, 80, 1.2) for name in ('mpc', 'mpc_torque'))
    for mine, theirs in zip(one.sent, other.sent, strict=True):
        np.testing.assert_array_equal(mine.position, theirs.position)


def torque_share(follower: Follower) -> float:
    """Return the largest torque along all predicted horizons over its limit."""
    worst = 0.0
    for motion in follower.sent[5:]:
        for k in range(1, 20):
            torque = follower.robot.inverse_dynamics(
                motion.position[k], motion.velocity[k], motion.acceleration[k])
            worst = max(worst, float((np.abs(torque) / follower.robot.limits.torque_nm).max()))
    return worst


def test_predicted_motions_keep_their_torque_to_the_end_of_the_horizon() -> None:
    """With drives of 45 % the frozen rows are wrong at the end of the horizon, these are not."""
    robot = weak(0.45)
    frozen, varying = (followed(name, robot, 160, 2.0) for name in ('mpc', 'mpc_torque'))
    assert any(report.torque_active for report in varying.reports)
    assert all(report.solve_ok for report in varying.reports)
    assert torque_share(varying) < 0.95 < torque_share(frozen)


def test_a_drive_that_cannot_hold_the_arm_is_relaxed_not_refused() -> None:
    robot = weak(0.15)
    tracker = tracking.make('mpc_torque', robot=robot)
    follower = Follower(tracker, robot)
    plan = quintic_plan(robot, resting(robot.home_rad), 1000.05, robot.home_rad + 0.2, 0.5)
    report = [follower.tick(plan).report for _ in range(20)][-1]
    assert report.torque_active and report.slack_nm > 0.0


def test_a_robot_without_dynamics_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='dynamics of an arm'):
        tracking.make('mpc_torque', robot=fake_robot())
    assert TorqueFormulation.__doc__
