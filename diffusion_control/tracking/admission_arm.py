# SPDX-License-Identifier: Apache-2.0
"""What is asked of an arm's plan: limits joint by joint, consistency, and where it starts."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.tracking.plan_case import (
    DISCONTINUOUS,
    LIMIT_ACCELERATION,
    LIMIT_POSITION,
    LIMIT_VELOCITY,
    NO_REST,
    RESIDUAL,
    PlanCase,
    Tolerances,
    worst,
)
from diffusion_control.trajectory.trajectory import between, hermite

COLLISION_SAMPLES = 48


class JointChecks:
    """Judge plans of an arm.

    Args:
        robot: Needs joint_names and limits.
        tolerances: How much a plan may be off.
    """

    defaults = Tolerances(0.1, 1.0, 0.05, 0.25)
    own = 'itself or the floor'

    def __init__(self, robot: Any, tolerances: Tolerances) -> None:
        self._limits, self._names = robot.limits, tuple(robot.joint_names)
        self._tolerances = tolerances

    def motion(self, case: PlanCase) -> tuple[str, str] | None:
        """Return what is wrong with rest, positions and velocities."""
        last = float(np.abs(case.velocity[-1]).max())
        if last > 1e-3:
            return NO_REST, f'last velocity {last:.4f} rad/s'
        limits = self._limits
        position, velocity, _ = hermite(
            case.times, case.position, case.velocity, between(case.times, 4))
        over = np.maximum(position - limits.upper_rad, limits.lower_rad - position).max(axis=0)
        if over.max() > 1e-6:
            return LIMIT_POSITION, worst(self._names, over, 'rad beyond the limit')
        fast = np.abs(velocity).max(axis=0) / limits.velocity_rad_s
        if fast.max() > self._tolerances.fast:
            return LIMIT_VELOCITY, worst(self._names, fast, 'of the limit')
        return None

    def dynamics(self, case: PlanCase) -> tuple[str, str] | None:
        """Mean velocity against the difference of positions, then the cubic's acceleration.

        On a segment of length h with accelerations a_0, a_1 and constant jerk the mean of the end
        velocities differs from the mean velocity by (a_1 - a_0) h / 12 <= a_max h / 6.
        """
        if len(case.times) == 1:
            return None
        limit = self._limits.acceleration_rad_s2
        width = np.diff(case.times)[:, None]
        rate = np.diff(case.position, axis=0) / width
        residual = np.abs(rate - (case.velocity[:-1] + case.velocity[1:]) / 2)
        excess = (residual - self._tolerances.hard * limit * width / 6 - 1e-3).max(axis=0)
        if excess.max() > 0:
            return RESIDUAL, worst(self._names, excess, 'rad/s too much')
        first = (6 * rate - 4 * case.velocity[:-1] - 2 * case.velocity[1:]) / width
        last = (2 * case.velocity[:-1] + 4 * case.velocity[1:] - 6 * rate) / width
        hard = np.maximum(np.abs(first), np.abs(last)).max(axis=0) / limit
        if hard.max() > self._tolerances.hard:
            return LIMIT_ACCELERATION, worst(self._names, hard, 'of the limit')
        return None

    def continuity(self, case: PlanCase) -> tuple[str, str] | None:
        """Compare with the committed motion; one that starts later is given what C may still do.

        Allowed: position_jump + |C'(now)| (t - now), with t the plan's start or now.
        """
        if case.committed is None:
            return None
        at = np.array([max(case.start_s, case.now_s)])
        ahead = max(float(at[0]) - case.now_s, 0.0)
        moving = np.abs(case.committed.sample(case.now_s).velocity)
        there, speed, _ = case.committed.sample_many(at)
        position, velocity, _ = hermite(
            case.times, case.position, case.velocity, at - case.stamp_s)
        jump = np.abs(position[0] - there[0]) - moving * ahead
        if jump.max() > self._tolerances.position_jump:
            most = self._tolerances.position_jump
            return DISCONTINUOUS, worst(self._names, jump, f'rad; at most {most}')
        change = np.abs(velocity[0] - speed[0]) - (moving if ahead > 0 else 0.0)
        if change.max() > self._tolerances.velocity_jump:
            most = self._tolerances.velocity_jump
            return DISCONTINUOUS, worst(self._names, change, f'rad/s; at most {most}')
        return None

    def samples(self, case: PlanCase) -> int:
        """Return at how many instants a plan is held against obstacles."""
        return COLLISION_SAMPLES

    def pack(self, obstacles: tuple[Obstacle, ...]) -> ObstacleArrays:
        """Return obstacles as the robot's shape reads them."""
        return ObstacleArrays.pack(obstacles)
