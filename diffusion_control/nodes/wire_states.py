# SPDX-License-Identifier: Apache-2.0
"""What a simulated robot says of itself and its obstacles, straight into the wire format.

A message of rclpy is a tree of Python objects: to build and serialize an Odometry costs a quarter
of a millisecond on a slow core, 200 times a second. Format as in `wire.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import serialize_message
from visualization_msgs.msg import MarkerArray

from diffusion_control.nodes.wire import ENCAPSULATION, STAMP, WORD, preamble, stamp_of
from diffusion_control.nodes.wire_messages import places_of_markers

Array = NDArray[np.float64]
ODOMETRY = struct.Struct('<7d288x6d288x')
PLACE = struct.Struct('<3d')


def encode_odometry(
    stamp_s: float, frame_id: str, child_frame_id: str, pose: Sequence[float],
    twist: Sequence[float],
) -> bytes:
    """Return a serialized Odometry with covariances of 0.

    Args:
        stamp_s: ROS time [s].
        frame_id: Frame of the pose.
        child_frame_id: Frame of the twist.
        pose: Position, quaternion x y z w, length 7.
        twist: Linear and angular, length 6.
    """
    return (ENCAPSULATION + stamp_of(stamp_s) + _frames(frame_id, child_frame_id)
            + ODOMETRY.pack(*pose, *twist))


def encode_joint_state(
    stamp_s: float, names: tuple[str, ...], position: Array, velocity: Array
) -> bytes:
    """Return a serialized JointState without effort, positions and velocities of shape [n]."""
    head = stamp_of(stamp_s) + preamble(names, '')
    return b''.join((
        ENCAPSULATION, head, _doubles(position, len(head)), _doubles(velocity, 0), WORD.pack(0)))


class MovedMarkers:
    """A set of markers that is serialized once; then only stamps and places are written.

    Args:
        message: The set.
    """

    def __init__(self, message: MarkerArray) -> None:
        """Serialize the set."""
        self._data = bytearray(serialize_message(message))
        self._places = places_of_markers(bytes(self._data))

    def at(self, places: Iterable[Sequence[float]], stamp_s: float) -> bytes:
        """Return the set with its centres at places [m], one each, at a ROS time [s]."""
        stamp = stamp_of(stamp_s)
        for (head, centre), place in zip(self._places, places, strict=True):
            self._data[head:head + len(stamp)] = stamp
            PLACE.pack_into(self._data, centre, *place)
        return bytes(self._data)


@lru_cache(maxsize=8)
def _frames(frame_id: str, child_frame_id: str) -> bytes:
    """Return everything between the stamp and the pose of an Odometry."""
    body = b''
    for name in (frame_id, child_frame_id):
        text = name.encode() + b'\x00'
        body += b'\x00' * (-len(body) % 4) + WORD.pack(len(text)) + text
    return body + b'\x00' * (-(STAMP.size + len(body)) % 8)


def _doubles(values: Array, place: int) -> bytes:
    """Return a sequence of doubles whose length stands at `place`, a multiple of 4."""
    return (WORD.pack(len(values)) + b'\x00' * (-(place + WORD.size) % 8)
            + np.ascontiguousarray(values, dtype='<f8').tobytes())
