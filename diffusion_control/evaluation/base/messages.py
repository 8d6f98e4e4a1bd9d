# SPDX-License-Identifier: Apache-2.0
"""What the messages of a base say: motions, twists, odometry, maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.commands import Command
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.planar import yaw_of

Array = NDArray[np.float64]


def parse_motion(message: Any, sent_s: float) -> Command:
    """Return a MultiDOFJointTrajectory of one body as a command in x, y, yaw; yaw is unwrapped.

    `fault` is set where it is no motion.
    """
    stamp = _seconds(message.header.stamp) or sent_s
    points = message.points
    if not points or any(len(point.transforms) != 1 for point in points):
        return Command(sent_s, stamp, np.zeros(1), np.zeros((1, 3)), fault='points')
    position = np.array([_pose(point.transforms[0]) for point in points])
    position[:, 2] = np.unwrap(position[:, 2])
    velocity = None
    if all(len(point.velocities) == 1 for point in points):
        velocity = np.array([twist_of(point.velocities[0]) for point in points])
    times = np.array([_seconds(point.time_from_start) for point in points])
    numbers = (position, times) if velocity is None else (position, times, velocity)
    if not all(np.isfinite(array).all() for array in numbers):
        return Command(sent_s, stamp, np.zeros(1), np.zeros((1, 3)), fault='numbers')
    if (np.diff(times) <= 0).any():
        return Command(sent_s, stamp, np.zeros(1), np.zeros((1, 3)), fault='times')
    return Command(sent_s, stamp, times, position, velocity)


def twist_of(message: Any) -> Array:
    """Return vx, vy, yaw rate of a Twist or TwistStamped, shape [3]."""
    twist = getattr(message, 'twist', message)
    return np.array([twist.linear.x, twist.linear.y, twist.angular.z], dtype=float)


def parse_odometry(message: Any) -> tuple[float, Array]:
    """Return the stamp [s] and x, y, yaw of an Odometry; yaw in (-pi, pi]."""
    place, turn = message.pose.pose.position, message.pose.pose.orientation
    yaw = yaw_of(np.array([turn.x, turn.y, turn.z, turn.w]))
    return _seconds(message.header.stamp), np.array([place.x, place.y, yaw])


def parse_map(message: Any) -> OccupancyMap | None:
    """Return the map of an OccupancyGrid; None where it is malformed (the nodes refused it)."""
    info = message.info
    place, turn = info.origin.position, info.origin.orientation
    origin = np.array([place.x, place.y, yaw_of(np.array([turn.x, turn.y, turn.z, turn.w]))])
    try:
        cells = np.array(message.data, dtype=np.int8).reshape(info.height, info.width)
        return OccupancyMap(float(info.resolution), origin, cells)
    except (ValueError, ConfigurationError):
        return None


def _pose(transform: Any) -> Array:
    move, turn = transform.translation, transform.rotation
    return np.array([move.x, move.y, yaw_of(np.array([turn.x, turn.y, turn.z, turn.w]))])


def _seconds(time: Any) -> float:
    return float(time.sec) + float(time.nanosec) * 1e-9
