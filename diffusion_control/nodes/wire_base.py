# SPDX-License-Identifier: Apache-2.0
"""Odometry, LaserScan, OccupancyGrid and twists read from the wire format, as in `wire.py`.

A control loop reads odometry twice a tick and a scan of 360 rays every fifth or tenth; a map can
have a million cells. numpy reads all three in a few microseconds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.nodes.wire import ENCAPSULATION, STAMP, WORD, Array, read_string

POSE, TWIST, COVARIANCE_BYTES = struct.Struct('<7d'), struct.Struct('<6d'), 36 * 8
SCAN = struct.Struct('<7f')
MAP = struct.Struct('<fII')
MOST_RAYS = 65_536


@dataclass(frozen=True)
class OdometryRow:
    """Pose (position, quaternion x y z w) in `frame_id`, twist (linear, angular) in `child`."""

    stamp_s: float
    frame_id: str
    child_frame_id: str
    pose: tuple[float, ...]
    twist: tuple[float, ...]


@dataclass(frozen=True)
class ScanRow:
    """What counts of a LaserScan; `ranges` may hold NaN and infinity."""

    stamp_s: float
    frame_id: str
    angle_min: float
    angle_increment: float
    range_min: float
    range_max: float
    ranges: Array


@dataclass(frozen=True)
class MapRow:
    """What counts of an OccupancyGrid; `cells` row by row, shape [height, width]."""

    stamp_s: float
    frame_id: str
    resolution: float
    origin: tuple[float, ...]
    cells: NDArray[np.int8]


def decode_odometry(data: bytes) -> OdometryRow | None:
    """Return what an Odometry holds; None for another byte order or a message cut short."""
    try:
        view, stamp_s, frame_id, place = _header(data)
        child, place = read_string(view, place + -place % 4)
        place += -place % 8
        pose = POSE.unpack_from(view, place)
        place += POSE.size + COVARIANCE_BYTES
        twist = TWIST.unpack_from(view, place)
    except (struct.error, UnicodeDecodeError, ValueError, IndexError):
        return None
    return OdometryRow(stamp_s, frame_id, child, pose, twist)


def decode_twist(data: bytes, *, stamped: bool) -> tuple[float, tuple[float, ...]] | None:
    """Return stamp [s] (0 of a Twist) and the six numbers of a Twist or a TwistStamped.

    None for another byte order or a message cut short.
    """
    try:
        view, stamp_s, _, place = _header(data) if stamped else (
            memoryview(data)[4:], 0.0, '', 0)
        if data[:4] != ENCAPSULATION:
            return None
        return stamp_s, TWIST.unpack_from(view, place + -place % 8)
    except (struct.error, UnicodeDecodeError, ValueError, IndexError):
        return None


def decode_scan(data: bytes) -> ScanRow | None:
    """Return what a LaserScan holds; None for another byte order or a message cut short."""
    try:
        view, stamp_s, frame_id, place = _header(data)
        place += -place % 4
        first, _, step, _, _, least, most = SCAN.unpack_from(view, place)
        place += SCAN.size
        (count,) = WORD.unpack_from(view, place)
        if count > MOST_RAYS:
            return None
        ranges = np.frombuffer(view, '<f4', count, place + 4).astype(float)
    except (struct.error, UnicodeDecodeError, ValueError, IndexError):
        return None
    return ScanRow(stamp_s, frame_id, first, step, least, most, ranges)


def decode_map(data: bytes) -> MapRow | None:
    """Return what an OccupancyGrid holds; None if its lengths do not agree or it is cut short."""
    try:
        view, stamp_s, frame_id, place = _header(data)
        place += -place % 4 + STAMP.size
        resolution, width, height = MAP.unpack_from(view, place)
        place += MAP.size
        place += -place % 8
        origin = POSE.unpack_from(view, place)
        place += POSE.size
        (count,) = WORD.unpack_from(view, place)
        if count != width * height:
            return None
        cells = np.frombuffer(view, np.int8, count, place + 4).reshape(height, width).copy()
    except (struct.error, UnicodeDecodeError, ValueError, IndexError):
        return None
    return MapRow(stamp_s, frame_id, resolution, origin, cells)


def _header(data: bytes) -> tuple[memoryview, float, str, int]:
    """Return the body, stamp [s], frame and where the header ends."""
    if data[:4] != ENCAPSULATION:
        raise ValueError('another encapsulation')
    view = memoryview(data)[4:]
    sec, nanosec = STAMP.unpack_from(view, 0)
    frame_id, place = read_string(view, STAMP.size)
    return view, sec + nanosec * 1e-9, frame_id, place
