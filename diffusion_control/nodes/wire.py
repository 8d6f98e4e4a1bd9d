# SPDX-License-Identifier: Apache-2.0
"""Trajectories straight to and from the wire format, for loops that do it 100 times a second.

rclpy builds one Python object a point, which costs a millisecond for forty points when the caches
are cold: as much as the control itself. The wire format (XCDR version 1, little endian, Object
Management Group, DDS-XTypes 1.3, clause 7.4) of a point with n positions and n velocities has a
fixed layout, so that numpy writes and reads all points at once. What has another layout (points
with accelerations, other lengths) is left to rclpy.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
ENCAPSULATION = b'\x00\x01\x00\x00'
NANO = 1_000_000_000
WORD = struct.Struct('<I')
MOST_NAMES = 64
STAMP = struct.Struct('<iI')


@lru_cache(maxsize=32)
def point_type(joints: int) -> np.dtype[Any]:
    """Return the layout of a point that begins at a multiple of 8 bytes."""
    fields = [
        ('positions_n', '<u4'), ('pad_1', '<u4'), ('positions', '<f8', (joints,)),
        ('velocities_n', '<u4'), ('pad_2', '<u4'), ('velocities', '<f8', (joints,)),
        ('accelerations_n', '<u4'), ('effort_n', '<u4'), ('sec', '<i4'), ('nanosec', '<u4')]
    return np.dtype(fields)


def stamp_of(time_s: float) -> bytes:
    """Return a ROS time [s], rounded to the nanosecond."""
    nanoseconds = round(time_s * 1e9)
    return STAMP.pack(nanoseconds // NANO, nanoseconds % NANO)


@lru_cache(maxsize=32)
def preamble(names: tuple[str, ...], frame_id: str) -> bytes:
    """Return everything between the stamp and the number of points."""
    body = _string(frame_id, STAMP.size)
    body += _aligned(STAMP.size + len(body), 4) + WORD.pack(len(names))
    for name in names:
        body += _string(name, STAMP.size + len(body))
    return body + _aligned(STAMP.size + len(body), 4)


def encode(trajectory: Trajectory) -> bytes:
    """Return a serialized trajectory_msgs/JointTrajectory with positions and velocities.

    The format rounds times to nanoseconds. Between knots h apart that would change q'' by up to
    6 v 1e-9 / h^2 (a stop's knots can be 0.1 ms apart: 1 rad/s^2), so each point is moved along
    the motion to its rounded time: q + v d + a d^2 / 2 and v + a d for d = rounded - exact.
    """
    head = stamp_of(trajectory.stamp_s)
    head += preamble(trajectory.names, trajectory.frame_id)
    head += WORD.pack(len(trajectory.times_s))
    joints = len(trajectory.names)
    points = np.zeros(len(trajectory.times_s), dtype=point_type(joints))
    points['positions_n'] = points['velocities_n'] = joints
    ticks = np.rint(trajectory.times_s * 1e9).astype(np.int64)
    moved = (ticks * 1e-9 - trajectory.times_s)[:, None]
    rise = moved * trajectory.acceleration
    points['positions'] = trajectory.position + moved * (trajectory.velocity + 0.5 * rise)
    points['velocities'] = trajectory.velocity + rise
    points['sec'], points['nanosec'] = ticks // NANO, ticks % NANO
    body = points.tobytes()
    if len(head) % 8:  # the first length needs no padding behind it when it begins at 4
        body = body[:4] + body[8:]
    return ENCAPSULATION + head + body


def decode(data: bytes) -> tuple[float, str, tuple[str, ...], Array, Array, Array] | None:
    """Return stamp [s], frame, names, times [T], positions, velocities [T, n]; None if other.

    None means that rclpy has to decode the message: another byte order, no points, points without
    velocities or with accelerations or effort, lengths that differ, or a message cut short.
    """
    try:
        return _decode(data)
    except (struct.error, UnicodeDecodeError, ValueError, IndexError):
        return None


@dataclass(frozen=True)
class Head:
    """What stands before the points of a trajectory message.

    Attributes:
        view: The message without its encapsulation.
        stamp_s: Of the header [s].
        frame_id: Of the header.
        names: Of the joints.
        points: How many follow.
        place: Where they begin in `view`.
    """

    view: memoryview
    stamp_s: float
    frame_id: str
    names: tuple[str, ...]
    points: int
    place: int


def read_head(data: bytes, most_names: int) -> Head | None:
    """Return header, joint names and number of points; None if rclpy has to decode it."""
    if data[:4] != ENCAPSULATION:
        return None
    view = memoryview(data)[4:]
    sec, nanosec = STAMP.unpack_from(view, 0)
    frame_id, place = read_string(view, STAMP.size)
    place += -place % 4
    (count,) = WORD.unpack_from(view, place)
    place += 4
    if count > most_names:
        return None
    names = []
    for _ in range(count):
        name, place = read_string(view, place + -place % 4)
        names.append(name)
    place += -place % 4
    (points,) = WORD.unpack_from(view, place)
    return Head(view, sec + nanosec * 1e-9, frame_id, tuple(names), points, place + 4)


def _decode(data: bytes) -> tuple[float, str, tuple[str, ...], Array, Array, Array] | None:
    head = read_head(data, MOST_NAMES)
    if head is None or not head.points or not head.names:
        return None
    count, points_n, place = len(head.names), head.points, head.place
    layout = point_type(count)
    raw = bytes(head.view[place:])
    if place % 8:
        raw = raw[:4] + b'\x00\x00\x00\x00' + raw[4:]
    if len(raw) < points_n * layout.itemsize:
        return None
    points = np.frombuffer(raw, dtype=layout, count=points_n)
    plain = (points['positions_n'] == count) & (points['velocities_n'] == count)
    plain &= (points['accelerations_n'] == 0) & (points['effort_n'] == 0)
    if not plain.all():
        return None
    times = points['sec'] + points['nanosec'] * 1e-9
    return (
        head.stamp_s, head.frame_id, head.names, times, points['positions'].copy(),
        points['velocities'].copy())


def _string(text: str, place: int) -> bytes:
    data = text.encode() + b'\x00'
    return _aligned(place, 4) + WORD.pack(len(data)) + data


def _aligned(place: int, size: int) -> bytes:
    return b'\x00' * (-place % size)


def read_string(view: memoryview | bytes, place: int) -> tuple[str, int]:
    """Return the string that begins with its length at `place`, and where it ends."""
    (length,) = WORD.unpack_from(view, place)
    end = place + 4 + length
    return bytes(view[place + 4:end - 1]).decode(), end
