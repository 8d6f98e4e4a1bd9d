# SPDX-License-Identifier: Apache-2.0
"""Motions of a base to and from the wire format of trajectory_msgs/MultiDOFJointTrajectory.

One joint, `base`. A transform is the pose of the base in the header's frame (`odom`), a velocity
its rate of change in that same frame. Yaw is a quaternion on the wire and continuous here, so a
reader has to say which of the turns it means. Format and reasons as in `wire.py`.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.nodes.wire import ENCAPSULATION, NANO, STAMP, WORD, preamble, read_head
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
JOINTS = ('base',)
MOST_JOINTS = 16
TURN = 2.0 * math.pi
POINT = np.dtype([  # of a point whose first length ends at a multiple of 8 bytes
    ('transforms_n', '<u4'), ('place', '<f8', (3,)), ('turn', '<f8', (4,)),
    ('velocities_n', '<u4'), ('pad', '<u4'), ('linear', '<f8', (3,)), ('angular', '<f8', (3,)),
    ('accelerations_n', '<u4'), ('sec', '<i4'), ('nanosec', '<u4')])


@dataclass(frozen=True)
class PlanarMotion:
    """A motion as it came off the wire, its yaw continuous from a first one in -pi .. pi."""

    stamp_s: float
    frame_id: str
    joints: tuple[str, ...]
    times_s: Array
    position: Array
    velocity: Array


def encode(motion: Trajectory) -> bytes:
    """Return a serialized MultiDOFJointTrajectory with transforms and velocities.

    As in `wire.encode` each knot is moved along the motion to its time in whole nanoseconds.
    """
    nanoseconds = round(motion.stamp_s * 1e9)
    head = STAMP.pack(nanoseconds // NANO, nanoseconds % NANO)
    head += preamble(JOINTS, motion.frame_id) + WORD.pack(len(motion.times_s))
    ticks = np.rint(motion.times_s * 1e9).astype(np.int64)
    moved = (ticks * 1e-9 - motion.times_s)[:, None]
    rise = moved * motion.acceleration
    position = motion.position + moved * (motion.velocity + 0.5 * rise)
    velocity = motion.velocity + rise
    points = np.zeros(len(ticks), dtype=POINT)
    points['transforms_n'] = points['velocities_n'] = 1
    points['place'][:, :2] = position[:, :2]
    points['turn'][:, 2], points['turn'][:, 3] = (
        np.sin(0.5 * position[:, 2]), np.cos(0.5 * position[:, 2]))
    points['linear'][:, :2] = velocity[:, :2]
    points['angular'][:, 2] = velocity[:, 2]
    points['sec'], points['nanosec'] = ticks // NANO, ticks % NANO
    body = points.tobytes()
    if len(head) % 8 == 0:  # only the first point can begin at a multiple of 8
        body = body[:4] + b'\x00\x00\x00\x00' + body[4:]
    return ENCAPSULATION + head + body


def decode(data: bytes) -> PlanarMotion | None:
    """Return what a message holds; None if rclpy has to decode it (see `wire.decode`)."""
    try:
        return _decode(data)
    except (struct.error, UnicodeDecodeError, ValueError, IndexError):
        return None


def planar(
    stamp_s: float, frame_id: str, joints: tuple[str, ...], times_s: Array, place: Array,
    turn: Array, linear: Array, angular: Array,
) -> PlanarMotion:
    """Return the motion in the plane of poses and velocities in space, T rows each."""
    x, y, z, w = turn.T
    yaw = np.arctan2(2.0 * (w * z + x * y), w * w + x * x - y * y - z * z)
    velocity = np.stack([linear[:, 0], linear[:, 1], angular[:, 2]], axis=1)
    position = np.stack(
        [place[:, 0], place[:, 1], continuous(yaw, velocity[:, 2], times_s)], axis=1)
    return PlanarMotion(stamp_s, frame_id, joints, times_s, position, velocity)


def continuous(yaw: Array, rate: Array, times_s: Array) -> Array:
    """Return yaws [T] known up to whole turns as one continuous motion.

    The turn between two knots is taken nearest to h (w_0 + w_1) / 2, what the rates say, so that
    knots may be more than half a turn apart.

    Args:
        yaw: Up to whole turns [rad], shape [T].
        rate: Yaw rates [rad/s], shape [T].
        times_s: Times of the knots [s], shape [T].
    """
    with np.errstate(invalid='ignore', over='ignore'):
        said = 0.5 * np.diff(times_s) * (rate[:-1] + rate[1:])
        step = np.diff(yaw)
        step += TURN * np.round((said - step) / TURN)
        return np.concatenate((yaw[:1], yaw[0] + np.cumsum(step)))


def _decode(data: bytes) -> PlanarMotion | None:
    head = read_head(data, MOST_JOINTS)
    points = None if head is None else _points(head.view, head.place, head.points)
    if head is None or points is None:
        return None
    times = points['sec'] + points['nanosec'] * 1e-9
    return planar(
        head.stamp_s, head.frame_id, head.names, times, points['place'], points['turn'],
        points['linear'], points['angular'])


def _points(view: memoryview, place: int, count: int) -> Any:
    """Return the points, or None if there are none or one of them has another layout."""
    raw = bytes(view[place:])
    if place % 8 == 0:
        raw = raw[:4] + raw[8:]
    if not count or len(raw) < count * POINT.itemsize:
        return None
    points = np.frombuffer(raw, dtype=POINT, count=count)
    plain = (points['transforms_n'] == 1) & (points['velocities_n'] == 1)
    return points if (plain & (points['accelerations_n'] == 0)).all() else None
