# SPDX-License-Identifier: Apache-2.0
"""A stop, a rest, and a motion after it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.problem import Start
from diffusion_control.trajectory.stop import stop_trajectory
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
PERIOD_S = 0.01
REST_S = 0.2


def stop_first(robot: Any, start: Start, scale: float) -> Trajectory:
    """Return the jerk-limited stop from a start, with `scale` of the limits.

    A robot that stands gets one knot.
    """
    if start.at_rest:
        zero = np.zeros((1, len(start.position)))
        return Trajectory(
            start.stamp_s, np.zeros(1), start.position[None].copy(), zero, zero.copy(),
            robot.joint_names, robot.base_frame)
    times, position, velocity, acceleration = stop_trajectory(
        start.position, start.velocity, start.acceleration, robot.limits.scaled(scale),
        period_s=PERIOD_S)
    velocity[-1] = 0.0
    return Trajectory(
        start.stamp_s, times, position, velocity, acceleration, robot.joint_names,
        robot.base_frame)


def then(first: Trajectory, second: Trajectory) -> Trajectory:
    """Return two motions in a row; the second one begins where and when the first one ends."""
    if len(first.times_s) == 1:
        return second
    return Trajectory(
        first.stamp_s,
        np.concatenate([first.times_s, first.times_s[-1] + second.times_s[1:]]),
        np.concatenate([first.position, second.position[1:]]),
        np.concatenate([first.velocity, second.velocity[1:]]),
        np.concatenate([first.acceleration, second.acceleration[1:]]),
        first.names, first.frame_id)


def rest(
    position: Array, stamp_s: float, names: tuple[str, ...], frame_id: str = ''
) -> Trajectory:
    """Return the motion that stands at a configuration."""
    zero = np.zeros((2, len(position)))
    return Trajectory(
        stamp_s, np.array([0.0, REST_S]), np.stack([position, position]), zero, zero.copy(),
        names, frame_id)
