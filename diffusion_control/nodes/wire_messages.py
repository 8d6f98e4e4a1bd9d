# SPDX-License-Identifier: Apache-2.0
"""JointState and MarkerArray read from the wire format; what looks unusual is left to rclpy.

A control loop reads two joint states a tick and a set of obstacles every fourth: decoding them
into Python objects would take as long as deciding. Format as in `wire.py`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.nodes.wire import ENCAPSULATION, STAMP, WORD, Array, read_string

POSE_AND_SCALE = struct.Struct('<10d')
KIND = struct.Struct('<iii')
BYTES_AFTER_SCALE = 16 + 8 + 1
MOST_MARKERS = 4096


@dataclass(frozen=True)
class JointStateRow:
    """A joint state in the sender's order; an empty velocity means that none was sent."""

    stamp_s: float
    names: bytes
    position: Array
    velocity: Array


@dataclass(frozen=True)
class MarkerRow:
    """What counts of a marker: identity, kind, pose (position, quaternion x y z w) and scale."""

    stamp_s: float
    frame_id: str
    namespace: str
    index: int
    kind: int
    action: int
    numbers: tuple[float, ...]


def decode_joint_state(data: bytes) -> JointStateRow | None:
    """Return a joint state, or None if rclpy has to decode it.

    The names stay the bytes they are on the wire (see `joint_names`), so that a receiver maps
    them once and compares afterwards.
    """
    try:
        return _joint_state(data)
    except (struct.error, ValueError, IndexError):
        return None


def joint_names(section: bytes) -> tuple[str, ...]:
    """Return the names of a section of names.

    Raises:
        ValueError: The section is not one.
    """
    (count,) = WORD.unpack_from(section, 0)
    names, place = [], 4
    for _ in range(count):
        name, place = read_string(section, place + -place % 4)
        names.append(name)
    return tuple(names)


def decode_markers(data: bytes) -> list[MarkerRow] | None:
    """Return the markers of an array, or None if one carries points, a mesh, a text or a texture.

    None also for another byte order or a message cut short.
    """
    try:
        return _markers(data)
    except (struct.error, ValueError, IndexError):
        return None


def places_of_markers(data: bytes) -> list[tuple[int, int]]:
    """Return where stamp and position of each marker stand in what `decode_markers` reads.

    Raises:
        ValueError: It is another array.
    """
    found: list[tuple[int, int]] = []
    if _markers(data, found) is None:
        raise ValueError('not an array of plain markers')
    return found


def _joint_state(data: bytes) -> JointStateRow | None:
    if data[:4] != ENCAPSULATION:
        return None
    view = memoryview(data)[4:]
    sec, nanosec = STAMP.unpack_from(view, 0)
    (length,) = WORD.unpack_from(view, 8)
    place = 12 + length
    place += -place % 4
    begin = place
    (count,) = WORD.unpack_from(view, place)
    if not 0 < count <= 256:
        return None
    place += 4
    for _ in range(count):
        place += -place % 4
        place += 4 + WORD.unpack_from(view, place)[0]
    end = place
    place += -place % 4
    position, place = _doubles(view, place)
    velocity, place = _doubles(view, place)
    return JointStateRow(sec + nanosec * 1e-9, bytes(view[begin:end]), position, velocity)


def _doubles(view: memoryview, place: int) -> tuple[Array, int]:
    (count,) = WORD.unpack_from(view, place)
    place += 4
    if not count:
        return np.zeros(0), place
    place += -place % 8
    values: NDArray[np.float64] = np.frombuffer(view, '<f8', count, place)
    return values, place + 8 * count


def _markers(
    data: bytes, places: list[tuple[int, int]] | None = None
) -> list[MarkerRow] | None:
    """Return the markers, and add to `places` where stamp and position of each stand."""
    if data[:4] != ENCAPSULATION:
        return None
    view = memoryview(data)[4:]
    (count,) = WORD.unpack_from(view, 0)
    if count > MOST_MARKERS:
        return None
    rows: list[MarkerRow] = []
    place = 4
    for _ in range(count):
        begin = place + -place % 4
        row, pose, place = _marker(view, begin)
        if row is None:
            return None
        rows.append(row)
        if places is not None:
            places.append((4 + begin, 4 + pose))
    return rows


def _marker(view: memoryview, place: int) -> tuple[MarkerRow | None, int, int]:
    """Return a marker, where its pose stands, and where it ends."""
    sec, nanosec = STAMP.unpack_from(view, place)
    frame_id, place = read_string(view, place + STAMP.size)
    namespace, place = read_string(view, place + -place % 4)
    place += -place % 4
    index, kind, action = KIND.unpack_from(view, place)
    place += KIND.size
    place += -place % 8
    pose, numbers = place, POSE_AND_SCALE.unpack_from(view, place)
    place += POSE_AND_SCALE.size + BYTES_AFTER_SCALE
    row = MarkerRow(
        sec + nanosec * 1e-9, frame_id, namespace, index, kind, action, numbers)
    end = _plain_rest(view, place)
    return (None, pose, place) if end is None else (row, pose, end)


def _plain_rest(view: memoryview, place: int) -> int | None:
    """Return the end of a marker that has only empty sequences and strings left, else None.

    Left are: points, colours, texture name, texture (stamp, frame, format, data), texture
    coordinates, text, mesh name, mesh file (name, data), and a flag.
    """
    words: tuple[Any, ...]
    for layout in ('empty', 'empty', 'text', 'stamp', 'text', 'text', 'empty', 'empty', 'text',
                   'text', 'text', 'empty'):
        place += -place % 4
        if layout == 'stamp':
            place += STAMP.size
            continue
        words = WORD.unpack_from(view, place)
        if words[0] > (1 if layout == 'text' else 0):
            return None
        place += 4 + words[0]
    return place + 1
