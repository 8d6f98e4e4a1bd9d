# SPDX-License-Identifier: Apache-2.0
"""The near time-optimal drive of a differential base along a way: turn, drive, turn.

Along the way with curvature k(s) the speed keeps v <= v_max, |k| v <= omega_max and
v (1 + |k| w / 2) <= the wheels' speed; it grows and falls within the drive's limits by one pass
forward and one back (J. Bobrow, S. Dubowsky, J. Gibson, Int. J. Robotics Research 4, 1985), and
half of the yaw acceleration is left to the change of curvature, half to that of speed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from diffusion_control.robots.base import Base
from diffusion_control.robots.base_config import BaseDrive
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
KNOT_S = 0.04
SHARE = 0.95
LEAST_TURN_RAD = 0.01
STEP_M = 0.02
SPLINE_M = 0.3


def fast_drive(
    robot: Base, start: Array, points: Array, yaw_rad: float | None, stamp_s: float
) -> Trajectory:
    """Return the drive from rest at a pose to rest at the end of a way.

    Args:
        robot: The base.
        start: x, y, yaw, shape [3].
        points: The way, from x, y on, shape [k, 2] [m].
        yaw_rad: Heading at its end; None leaves it free.
        stamp_s: ROS time at which it begins [s].
    """
    drive, poses, times = robot.drive, [start[None]], [np.zeros(1)]
    way, heading = curve(points)
    yaw = float(start[2])
    if len(way) > 2:
        heading += start[2] + _wrapped(heading[0] - start[2]) - heading[0]
        _turn(poses, times, float(heading[0]), drive)
        at = _times(way, heading, drive)
        poses.append(np.column_stack([way, heading])[1:])
        times.append(times[-1][-1] + at[1:])
        yaw = float(heading[-1])
    if yaw_rad is not None:
        _turn(poses, times, yaw + _wrapped(yaw_rad - yaw), drive)
    if len(poses) == 1:
        poses.append(start[None])
        times.append(np.array([KNOT_S]))
    return _knots(np.concatenate(poses), np.concatenate(times), robot, stamp_s)


def curve(points: Array) -> tuple[Array, Array]:
    """Return points about 2 cm apart on a cubic spline along a way, and its heading there.

    Source of the spline's knots: points of the way 0.3 m apart. A way of less than 2 cm is one
    point.
    """
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    if length[-1] < STEP_M:
        return points[:1], np.zeros(1)
    knots = np.linspace(0.0, length[-1], max(2, int(np.ceil(length[-1] / SPLINE_M)) + 1))
    rows = np.column_stack([np.interp(knots, length, points[:, k]) for k in range(2)])
    spline = CubicSpline(knots, rows, bc_type='natural')
    at = np.linspace(0.0, length[-1], max(3, int(length[-1] / STEP_M) + 1))
    slope = spline(at, 1)
    return spline(at), np.unwrap(np.arctan2(slope[:, 1], slope[:, 0]))


def _turn(poses: list[Array], times: list[Array], target_rad: float, drive: BaseDrive) -> None:
    """Append a turn on the spot, as fast as rate and acceleration allow."""
    here = poses[-1][-1]
    angle = target_rad - here[2]
    if abs(angle) < LEAST_TURN_RAD:
        return
    rate = SHARE * drive.yaw_rate_max_rad_s
    growth = SHARE * drive.yaw_acceleration_max_rad_s2
    top = min(rate, float(np.sqrt(abs(angle) * growth)))
    ramp, total = top / growth, abs(angle) / top + top / growth
    at = np.linspace(0.0, total, max(3, int(np.ceil(total / KNOT_S)) + 1))
    turned = np.where(at < ramp, growth * at**2 / 2, top * (at - ramp / 2))
    left = total - at
    turned = np.where(left < ramp, abs(angle) - growth * left**2 / 2, turned)
    rows = np.repeat(here[None], len(at), axis=0)
    rows[:, 2] += np.sign(angle) * turned
    poses.append(rows[1:])
    times.append(times[-1][-1] + at[1:])


def _times(way: Array, heading: Array, drive: BaseDrive) -> Array:
    """Return when each point of a way is passed, the first one at 0 [s]."""
    step = np.linalg.norm(np.diff(way, axis=0), axis=1)
    at = np.concatenate([[0.0], np.cumsum(step)])
    bend = np.gradient(heading, at)
    change = np.abs(np.gradient(bend, at))
    bend = np.abs(bend)
    yaw_share = SHARE * drive.yaw_acceleration_max_rad_s2 / 2
    most = np.minimum.reduce([
        np.full(len(at), SHARE * drive.speed_max_m_s),
        SHARE * drive.yaw_rate_max_rad_s / np.maximum(bend, 1e-9),
        SHARE * drive.wheel_travel_max_m_s / (1.0 + bend * drive.wheel_separation_m / 2),
        np.sqrt(yaw_share / np.maximum(change, 1e-9))])
    most[0] = most[-1] = 0.0
    grows = np.minimum(SHARE * drive.acceleration_max_m_s2, yaw_share / np.maximum(bend, 1e-9))
    falls = np.minimum(SHARE * drive.braking_max_m_s2, yaw_share / np.maximum(bend, 1e-9))
    for k in range(1, len(most)):
        most[k] = min(most[k], np.sqrt(most[k - 1]**2 + 2 * grows[k - 1] * step[k - 1]))
    for k in range(len(most) - 2, -1, -1):
        most[k] = min(most[k], np.sqrt(most[k + 1]**2 + 2 * falls[k + 1] * step[k]))
    return np.concatenate([[0.0], np.cumsum(2 * step / np.maximum(most[1:] + most[:-1], 1e-3))])


def _knots(poses: Array, times: Array, robot: Base, stamp_s: float) -> Trajectory:
    """Return a trajectory with even knots; its velocities go along the headings."""
    at = np.linspace(0.0, times[-1], max(2, int(np.ceil(times[-1] / KNOT_S)) + 1))
    rows = np.column_stack([np.interp(at, times, poses[:, k]) for k in range(3)])
    velocity = np.gradient(rows, at, axis=0)
    speed = velocity[:, 0] * np.cos(rows[:, 2]) + velocity[:, 1] * np.sin(rows[:, 2])
    velocity[:, 0], velocity[:, 1] = speed * np.cos(rows[:, 2]), speed * np.sin(rows[:, 2])
    velocity[0] = velocity[-1] = 0.0
    return Trajectory(stamp_s, at, rows, velocity, np.gradient(velocity, at, axis=0),
                      robot.joint_names, robot.base_frame)


def _wrapped(angle_rad: float) -> float:
    return float((angle_rad + np.pi) % (2 * np.pi) - np.pi)
