# SPDX-License-Identifier: Apache-2.0
"""What is asked of a base's plan: body twists in their limits, no sideways motion, its start.

| reason | here |
|---|---|
| `limit_velocity` | speed, reverse speed, yaw rate or a wheel's speed, between the knots too |
| `residual` | velocities are not the rate of the positions, or two wheels would move sideways |
| `limit_acceleration` | of the speed or the yaw rate, at both ends of each cubic |
| `discontinuous` | the pose (a radian counts 0.5 m, whole turns nothing) or the twist |

Forty knots of a plan of twenty seconds do not resolve an acceleration that changes between two of
them (the cubic overshoots by up to a half); so more tolerance than for an arm.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from diffusion_control.tracking.twist_limits import TwistLimits
from diffusion_control.tracking.unicycle_kernels import body_of
from diffusion_control.trajectory.trajectory import between, hermite

Array = NDArray[np.float64]
SIDEWAYS_M_S = 0.05
YAW_ARM_M = 0.5
STEP_M = 0.04
FEWEST, MOST = 48, 600
AXES = ('x', 'y', 'yaw')


class TwistChecks:
    """Judge plans of a base.

    Args:
        robot: Needs drive, limits and pack.
        tolerances: How much a plan may be off.
    """

    defaults = Tolerances(0.25, 0.5, 0.05, 0.6)
    own = 'a wall'

    def __init__(self, robot: Any, tolerances: Tolerances) -> None:
        self._robot, self._tolerances = robot, tolerances
        self._limits = TwistLimits(robot, 1.0)
        self._columns = slice(None) if self._limits.omni else slice(None, None, 2)

    def motion(self, case: PlanCase) -> tuple[str, str] | None:
        """Return what is wrong with rest, places and twists."""
        last = float(np.abs(case.velocity[-1]).max())
        if last > 1e-3:
            return NO_REST, f'last velocity {last:.4f} m/s or rad/s'
        limits = self._robot.limits
        position, velocity, acceleration = hermite(
            case.times, case.position, case.velocity, between(case.times, 4))
        over = np.maximum(position - limits.upper_rad, limits.lower_rad - position).max(axis=0)
        if over.max() > 1e-6:
            return LIMIT_POSITION, worst(AXES, over, 'm or rad beyond the limit')
        twist, _ = body_of(position, velocity, acceleration, True)
        value = twist[:, self._columns] @ self._limits.rows.T
        slack = (self._tolerances.fast - 1.0) * self._limits.upper
        beyond = np.maximum(value - self._limits.upper, self._limits.lower - value) - slack
        if beyond.max() > 0.0:
            where = worst(self._limits.names, beyond.max(axis=0) + slack, 'over the limit')
            return LIMIT_VELOCITY, where
        if not self._limits.omni and np.abs(twist[:, 1]).max() > SIDEWAYS_M_S:
            aside = float(np.abs(twist[:, 1]).max())
            return RESIDUAL, f'sideways: {aside:.4f} m/s; at most {SIDEWAYS_M_S}'
        return None

    def dynamics(self, case: PlanCase) -> tuple[str, str] | None:
        """Return whether velocities disagree with positions, or the twist changes too fast.

        As for an arm; in the world an acceleration is at most that of the speed and u omega.
        """
        if len(case.times) == 1:
            return None
        limits, drive = self._limits, self._robot.drive
        bend = drive.speed_max_m_s * drive.yaw_rate_max_rad_s
        bound = np.array([limits.slower[0] + bend] * 2 + [limits.slower[-1]])
        width = np.diff(case.times)[:, None]
        rate = np.diff(case.position, axis=0) / width
        residual = np.abs(rate - (case.velocity[:-1] + case.velocity[1:]) / 2)
        excess = (residual - self._tolerances.hard * bound * width / 6 - 1e-3).max(axis=0)
        if excess.max() > 0:
            return RESIDUAL, worst(AXES, excess, 'm/s or rad/s too much')
        velocity = np.array(case.velocity)
        before, after = velocity[:-1], velocity[1:]
        pose = np.array(case.position)
        first = (6 * rate - 4 * before - 2 * after) / width
        last = (2 * before + 4 * after - 6 * rate) / width
        hardest = np.maximum(limits.slower, limits.faster)
        share = np.zeros(self._limits.inputs)
        for here, speed, change in ((pose[:-1], before, first), (pose[1:], after, last)):
            _, push = body_of(here, speed, change, self._limits.omni)
            share = np.maximum(share, np.abs(push[:, self._columns]).max(axis=0) / hardest)
        if share.max() > self._tolerances.hard:
            return LIMIT_ACCELERATION, worst(self._axes, share, 'of the limit')
        return None

    def continuity(self, case: PlanCase) -> tuple[str, str] | None:
        """Compare pose and twist with the committed motion at the start, or now.

        One that starts later is given what C may still do: |C'(now)| (t - now).
        """
        if case.committed is None:
            return None
        at = np.array([max(case.start_s, case.now_s)])
        ahead = max(float(at[0]) - case.now_s, 0.0)
        moving = self._size(case.committed.sample(case.now_s).velocity)
        there, speed, _ = case.committed.sample_many(at)
        position, velocity, _ = hermite(
            case.times, case.position, case.velocity, at - case.stamp_s)
        away = position[0] - there[0]
        away[2] = (away[2] + math.pi) % (2 * math.pi) - math.pi
        jump = self._size(away) - moving * ahead
        if jump > self._tolerances.position_jump:
            return DISCONTINUOUS, f'{jump:.4f} m; at most {self._tolerances.position_jump}'
        mine = body_of(position, velocity, velocity, True)[0, 0]
        given = body_of(there, speed, speed, True)[0, 0]
        change = self._size(mine - given) - (moving if ahead > 0 else 0.0)
        if change > self._tolerances.velocity_jump:
            return DISCONTINUOUS, f'{change:.4f} m/s; at most {self._tolerances.velocity_jump}'
        return None

    def samples(self, case: PlanCase) -> int:
        """Return at how many instants a plan is held against obstacles: every 4 cm or so."""
        way = float(np.hypot(*np.diff(case.position[:, :2], axis=0).T).sum())
        return int(np.clip(math.ceil(way / STEP_M), FEWEST, MOST))

    def pack(self, obstacles: tuple[Obstacle, ...]) -> ObstacleArrays:
        """Return obstacles as the footprint reads them."""
        packed: ObstacleArrays = self._robot.pack(obstacles)
        return packed

    @property
    def _axes(self) -> tuple[str, ...]:
        return ('forward', 'left', 'yaw') if self._limits.omni else ('forward', 'yaw')

    @staticmethod
    def _size(motion: Array) -> float:
        """Return how far a pose or a twist [3] is from none, a radian being 0.5 m."""
        return max(float(np.hypot(motion[0], motion[1])), YAW_ARM_M * abs(float(motion[2])))
