# SPDX-License-Identifier: Apache-2.0
"""The wire format against the middleware's own serialization, value for value."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from trajectory_msgs.msg import JointTrajectory

from diffusion_control.nodes import wire
from diffusion_control.nodes.convert import message_to_trajectory, trajectory_to_message
from diffusion_control.trajectory.trajectory import Trajectory


def motion(points: int, names: tuple[str, ...], frame_id: str, seed: int = 0) -> Trajectory:
    """Return a random trajectory."""
    rng = np.random.default_rng(seed)
    shape = (points, len(names))
    return Trajectory(
        1.7e9 + rng.random(), np.cumsum(rng.uniform(0.001, 0.1, points)), rng.normal(size=shape),
        rng.normal(size=shape), np.zeros(shape), names, frame_id)


@settings(max_examples=60, deadline=None)
@given(
    points=st.integers(1, 40), joints=st.integers(1, 9), frame=st.text('abc_/', max_size=9),
    length=st.integers(1, 9), seed=st.integers(0, 99))
def test_the_middleware_reads_what_was_encoded(
    points: int, joints: int, frame: str, length: int, seed: int
) -> None:
    names = tuple(f'{"j" * length}{k}' for k in range(joints))
    trajectory = motion(points, names, frame, seed)
    read = deserialize_message(wire.encode(trajectory), JointTrajectory)
    assert read == trajectory_to_message(trajectory)


@settings(max_examples=40, deadline=None)
@given(points=st.integers(1, 40), joints=st.integers(1, 9), length=st.integers(1, 9))
def test_decoding_returns_what_the_middleware_would(
    points: int, joints: int, length: int
) -> None:
    names = tuple(f'{"n" * length}{k}' for k in range(joints))
    trajectory = motion(points, names, 'base')
    data = bytes(serialize_message(trajectory_to_message(trajectory)))
    read = wire.decode(data)
    assert read is not None
    stamp, frame, given_names, times, position, velocity = read
    message = deserialize_message(data, JointTrajectory)
    slow = message_to_trajectory(message, names, 0.0, 'test')
    assert (stamp, frame, given_names) == (slow.stamp_s, 'base', names)
    assert np.array_equal(times, slow.times_s)
    assert np.array_equal(position, slow.position)
    assert np.array_equal(velocity, slow.velocity)


def test_points_with_accelerations_are_left_to_the_middleware() -> None:
    message = trajectory_to_message(motion(5, ('a', 'b'), 'base'))
    message.points[3].accelerations = [0.0, 0.0]
    assert wire.decode(bytes(serialize_message(message))) is None


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, 400), byte=st.integers(0, 399), value=st.integers(0, 255))
def test_damaged_bytes_never_raise(cut: int, byte: int, value: int) -> None:
    data = bytearray(wire.encode(motion(4, ('one', 'two'), 'base')))
    data[byte % len(data)] = value
    result = wire.decode(bytes(data[:cut]) if cut < len(data) else bytes(data))
    assert result is None or len(result[3]) == len(result[4])
