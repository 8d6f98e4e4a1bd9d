# SPDX-License-Identifier: Apache-2.0
"""Motions of a base from twists that are linear between knots.

The body's twist (u, w, omega) is forward, sideways and turning; two driven wheels have w = 0. The
pose is its integral,  x' = u cos yaw - w sin yaw,  y' = u sin yaw + w cos yaw,  yaw' = omega,  by
the midpoint rule in steps of 5 ms (error below 1e-6 m a step at 1 m/s and 4 rad/s).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.safety.cubic import fill_state
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
FINE_S = 0.005


@kernel()
def roll(times: Any, twist: Any, pose: Any) -> Any:
    """Return poses, velocities and accelerations in the world at knots, [3, T, 3].

    Args:
        times: From 0 on, shape [T] [s].
        twist: At the knots, linear between them, shape [T, 3].
        pose: At the first knot, shape [3].
    """
    out = np.zeros((3, len(times), 3))
    x, y, yaw = pose[0], pose[1], pose[2]
    for k in range(len(times)):
        c, s = math.cos(yaw), math.sin(yaw)
        u, w, r = twist[k, 0], twist[k, 1], twist[k, 2]
        out[0, k, 0], out[0, k, 1], out[0, k, 2] = x, y, yaw
        out[1, k, 0], out[1, k, 1], out[1, k, 2] = c * u - s * w, s * u + c * w, r
        if k == len(times) - 1:
            break
        width = times[k + 1] - times[k]
        a, b, e = ((twist[k + 1, 0] - u) / width, (twist[k + 1, 1] - w) / width,
                   (twist[k + 1, 2] - r) / width)
        out[2, k, 0] = c * (a - w * r) - s * (b + u * r)
        out[2, k, 1] = s * (a - w * r) + c * (b + u * r)
        out[2, k, 2] = e
        parts = max(1, int(math.ceil(width / FINE_S - 1e-9)))
        h = width / parts
        for i in range(parts):
            t = (i + 0.5) * h
            turned = yaw + 0.5 * h * (r + e * (i + 0.25) * h)
            c, s = math.cos(turned), math.sin(turned)
            ut, wt = u + a * t, w + b * t
            x += h * (c * ut - s * wt)
            y += h * (s * ut + c * wt)
            yaw += h * (r + e * t)
    return out


def rolled(times: Array, rows: Array, like: Trajectory, now_s: float) -> Trajectory:
    """Return the motion of knots [T] and rows [3, T, 3], with the names of another motion."""
    return Trajectory(now_s, times, rows[0], rows[1], rows[2], like.names, like.frame_id)


@kernel(inline=True)
def fill_twist(
    times: Any, position: Any, velocity: Any, rel: float, omni: bool, rows: Any, out: Any
) -> None:
    """Write pose, velocity and acceleration [3, 3] at a time, and the body's twist [3] there."""
    fill_state(times, position, velocity, rel, rows)
    c, s = math.cos(rows[0, 2]), math.sin(rows[0, 2])
    out[0] = c * rows[1, 0] + s * rows[1, 1]
    out[1] = c * rows[1, 1] - s * rows[1, 0] if omni else 0.0
    out[2] = rows[1, 2]


@kernel()
def _twist_at(times: Any, position: Any, velocity: Any, rel: float, omni: bool) -> Any:
    """Return pose [3] and the body's twist [3] at a time after the stamp."""
    rows, twist = np.empty((3, 3)), np.empty(3)
    fill_twist(times, position, velocity, rel, omni, rows, twist)
    return rows[0], twist


def twist_at(motion: Trajectory, time_s: float, omni: bool) -> tuple[Array, Array]:
    """Return pose [3] and the body's twist [3] of a motion at a ROS time [s]."""
    pose, twist = _twist_at(motion.times_s, motion.position, motion.velocity,
                            time_s - motion.stamp_s, omni)
    return pose, twist


@kernel()
def stopping_s(twist: Any, speed_rate: float, yaw_rate: float) -> float:
    """Return how long `slow_down` takes [s]; arguments as there."""
    needed: float = max(
        max(math.hypot(twist[0], twist[1]) / speed_rate, abs(twist[2]) / yaw_rate), 1e-3)
    return needed


@kernel()
def slow_down(twist: Any, speed_rate: float, yaw_rate: float, step_s: float) -> Any:
    """Return times [T] and twists [T, 3] of a stop along the arc.

    All parts fall to 0 in the same time, the longer of what speed and yaw rate need.

    Args:
        twist: At its beginning, shape [3].
        speed_rate: Deceleration [m/s^2].
        yaw_rate: Of the turning [rad/s^2].
        step_s: Largest gap between knots [s].
    """
    needed = stopping_s(twist, speed_rate, yaw_rate)
    last = max(1, int(math.ceil(needed / step_s)))
    times, twists = np.empty(last + 1), np.empty((last + 1, 3))
    for k in range(last + 1):
        share = 1.0 if k == last else k * (1.0 / last)
        times[k] = share * needed
        for j in range(3):
            twists[k, j] = (1.0 - share) * twist[j]
    return times, twists


@kernel()
def then_stop(
    times: Any, twists: Any, pose: Any, speed_rate: float, yaw_rate: float, step_s: float
) -> Any:
    """Return knots [T] and rows [3, T, 3] of twists [K, 3] from a pose on, and a stop."""
    later, falling = slow_down(twists[-1], speed_rate, yaw_rate, step_s)
    head, count = len(times), len(times) + len(later) - 1
    knots, every = np.empty(count), np.empty((count, 3))
    knots[:head], every[:head] = times, twists
    knots[head:], every[head:] = times[head - 1] + later[1:], falling[1:]
    return knots, roll(knots, every, pose)
