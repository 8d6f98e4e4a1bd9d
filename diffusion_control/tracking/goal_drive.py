# SPDX-License-Identifier: Apache-2.0
"""The way of a base to a goal without a plan: turn to it, drive straight on, turn as it asks.

From where the command is, a law is rolled out over the horizon, anew in each tick, with d and beta
the distance and the bearing of the goal, alpha = beta - yaw, and P(v, a, e) the speed with which
an error e is closed, P = min(v, sqrt(2 a e), K e):

    d > NEAR:   omega -> P(alpha),  u -> P(d) max(0, 1 - |alpha| / AIM)
    d <= NEAR:  omega -> P(yaw_goal - yaw),  u -> K (what is ahead of it of the way left)

so that the distance never grows once the base faces its goal. Speeds change by at most half of
what the limits allow: the MPC, which keeps all limits and the jerk, can follow.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.robots.planar import wrapped
from diffusion_control.tracking.prediction import Prediction
from diffusion_control.tracking.reference import ReferenceWindow
from diffusion_control.tracking.twist_limits import TwistLimits
from diffusion_control.tracking.unicycle_kernels import body_of
from diffusion_control.trajectory.trajectory import Sample

Array = NDArray[np.float64]
NEAR_M, AIM_RAD, GAIN_HZ = 0.05, 0.3, 2.0
SHARE = 0.5


class GoalDrive:
    """Make the reference of a base that has a goal and no plan.

    Args:
        drive: Of the base.
        limits: Scaled limits of its twist.
        prediction: The horizon.
    """

    def __init__(self, drive: Any, limits: TwistLimits, prediction: Prediction) -> None:
        half = 0.5 * drive.wheel_separation_m
        travel = drive.wheel_speed_max_rad_s * drive.wheel_radius_m
        self._most: Array = np.array([
            min(drive.speed_max_m_s, travel), min(drive.yaw_rate_max_rad_s, travel / half),
            min(drive.reverse_max_m_s, travel)]) * limits.scale
        self._change: Array = SHARE * np.array([
            min(limits.faster[0], limits.slower[0]), limits.faster[-1]])
        self._steps, self._dt_s, self._omni = prediction.steps, prediction.dt_s, limits.omni

    def window(self, goal: Array, here: Sample) -> ReferenceWindow:
        """Return the reference over the horizon.

        Args:
            goal: x, y, yaw; a yaw that is not a number is free.
            here: Where the base is when its command is the committed one.
        """
        twist = body_of(
            here.position[None], here.velocity[None], here.acceleration[None], self._omni)[0, 0]
        rows = drive_to(
            np.asarray(goal, dtype=np.float64), here.position, twist, self._most, self._change,
            self._dt_s, self._steps)
        left = float(np.hypot(*(goal - here.position)[:2]))
        return ReferenceWindow(rows[0], rows[1], rows[2], 0.0, 1.0, left)


@kernel()
def drive_to(
    goal: Any, pose: Any, twist: Any, most: Any, change: Any, dt: float, steps: int
) -> Any:
    """Return poses, velocities and accelerations in the world at knots 0..N, [3, N+1, 3].

    Args:
        goal: x, y, yaw.
        pose: x, y, yaw at knot 0.
        twist: u, w, omega of the body there; w fades within a step.
        most: Largest speed, yaw rate and reverse speed, shape [3].
        change: Largest change of speed and yaw rate [1/s], shape [2].
        dt: Step [s].
        steps: N.
    """
    out = np.zeros((3, steps + 1, 3))
    x, y, yaw, u, r = pose[0], pose[1], pose[2], twist[0], twist[2]
    for k in range(steps + 1):
        speed, rate = _law(goal, x, y, yaw, most, change)
        du = min(max(speed - u, -change[0] * dt), change[0] * dt)
        dr = min(max(rate - r, -change[1] * dt), change[1] * dt)
        c, s = math.cos(yaw), math.sin(yaw)
        out[0, k, 0], out[0, k, 1], out[0, k, 2] = x, y, yaw
        out[1, k, 0], out[1, k, 1], out[1, k, 2] = u * c, u * s, r
        out[2, k, 0], out[2, k, 1] = (du * c) / dt - u * s * r, (du * s) / dt + u * c * r
        out[2, k, 2] = dr / dt
        half = yaw + 0.5 * dt * (r + 0.25 * dr)
        way = dt * (u + 0.5 * du)
        x, y = x + way * math.cos(half), y + way * math.sin(half)
        yaw, u, r = yaw + dt * (r + 0.5 * dr), u + du, r + dr
    return out


@kernel()
def _law(goal: Any, x: float, y: float, yaw: float, most: Any, change: Any) -> Any:
    """Return the speed and the yaw rate that are wanted at a pose."""
    dx, dy = goal[0] - x, goal[1] - y
    away = math.hypot(dx, dy)
    if away > NEAR_M:
        turn = wrapped(math.atan2(dy, dx) - yaw)
        facing = max(0.0, 1.0 - abs(turn) / AIM_RAD)
        speed = facing * _closing(most[0], change[0], away)
    else:
        turn = 0.0 if math.isnan(goal[2]) else wrapped(goal[2] - yaw)
        ahead = dx * math.cos(yaw) + dy * math.sin(yaw)
        speed = min(max(GAIN_HZ * ahead, -most[2]), most[0])
    return speed, math.copysign(_closing(most[1], change[1], abs(turn)), turn)


@kernel()
def _closing(most: float, change: float, error: float) -> float:
    """Return P(v, a, e)."""
    return min(most, min(math.sqrt(2.0 * change * error), GAIN_HZ * error))
