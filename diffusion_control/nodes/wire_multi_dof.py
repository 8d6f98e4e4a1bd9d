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

from diffusion_control.nodes.wire import ENCAPSULATION, NANO, WORD, preamble, read_head, stamp_of
from diffusion_control.robots.jit import kernel
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
JOINTS = ('base',)
MOST_JOINTS = 16
TURN = 2.0 * math.pi
POINT = np.dtype([  # of a point whose first length ends at a multiple of 8 bytes
    ('transforms_n', '<u4'), ('place', '<f8', (3,)), ('turn', '<f8', (4,)),
    ('velocities_n', '<u4'), ('pad', '<u4'), ('linear', '<f8', (3,)), ('angular', '<f8', (3,)),
    ('accelerations_n', '<u4'), ('sec', '<i4'), ('nanosec', '<u4')])
COLUMNS = POINT.itemsize // 8
ONE = b'\x01\x00\x00\x00'
VELOCITIES_N, ACCELERATIONS_N, SEC, NANOSEC, NEXT_TRANSFORMS_N = 14, 28, 29, 30, 31
"""Words of a point that is read from its second word on: the next one's first is its last."""


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
    head = stamp_of(motion.stamp_s)
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
    stamp_s: float, frame_id: str, joints: tuple[str, ...], times_s: Array, rows: Array
) -> PlanarMotion:
    """Return the motion in the plane of poses and velocities in space.

    Args:
        stamp_s: Of the header [s].
        frame_id: Likewise.
        joints: Names in the message.
        times_s: Of the points, shape [T] [s].
        rows: Place, quaternion x y z w, a column that does not count, linear and angular
            velocity, and more columns that do not count, shape [T, `COLUMNS`].
    """
    return PlanarMotion(stamp_s, frame_id, joints, times_s, *_planar(times_s, rows))


@kernel()
def _planar(times: Any, rows: Any) -> Any:
    """Return poses and velocities [T, 3], yaw continuous.

    The turn between two knots is taken nearest to h (w_0 + w_1) / 2, what the rates say, so that
    knots may be more than half a turn apart.
    """
    position, velocity = np.empty((len(times), 3)), np.empty((len(times), 3))
    turned, before = 0.0, 0.0
    for k in range(len(times)):
        x, y, z, w = rows[k, 3:7]
        yaw = math.atan2(2.0 * (w * z + x * y), w * w + x * x - y * y - z * z)
        velocity[k, 0], velocity[k, 1], velocity[k, 2] = rows[k, 8], rows[k, 9], rows[k, 13]
        if k > 0:
            said = 0.5 * (times[k] - times[k - 1]) * (velocity[k - 1, 2] + velocity[k, 2])
            step = yaw - before
            turned += step + TURN * np.rint((said - step) / TURN)
        before = yaw
        position[k, 0], position[k, 1] = rows[k, 0], rows[k, 1]
        position[k, 2] = yaw if k == 0 else position[0, 2] + turned
    return position, velocity


@kernel()
def _times(words: Any) -> Any:
    """Return the times of points [T] [s], none if one of them is not of the plain layout."""
    count = len(words)
    times = np.empty(count)
    for k in range(count):
        transforms = 1 if k == 0 else words[k - 1, NEXT_TRANSFORMS_N]
        if transforms != 1 or words[k, VELOCITIES_N] != 1 or words[k, ACCELERATIONS_N] != 0:
            return times[:0]
        times[k] = np.int32(words[k, SEC]) + words[k, NANOSEC] * 1e-9
    return times


def warm_up() -> None:
    """Compile the kernels."""
    rest = np.zeros((2, 3))
    decode(encode(Trajectory(0.0, np.array([0.0, 0.1]), rest, rest, rest, ('x', 'y', 'yaw'))))


def _decode(data: bytes) -> PlanarMotion | None:
    head = read_head(data, MOST_JOINTS)
    if head is None or not head.points:
        return None
    raw = bytes(head.view[head.place:])
    if head.place % 8 == 0:
        raw = raw[:4] + raw[8:]
    size = head.points * POINT.itemsize
    if len(raw) < size or raw[:4] != ONE:
        return None
    # behind the first word a point is 13 doubles in line, and the next one's first word
    rows = np.frombuffer(raw[4:size] + ONE, dtype='<f8').reshape(-1, COLUMNS).copy()
    times = _times(rows.view('<u4'))
    return planar(head.stamp_s, head.frame_id, head.names, times, rows) if len(times) else None
