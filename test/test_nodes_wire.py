# SPDX-License-Identifier: Apache-2.0
"""The wire format against the middleware's own serialization, value for value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from visualization_msgs.msg import MarkerArray

from diffusion_control.nodes import wire
from diffusion_control.nodes.convert import (
    marker_rows,
    message_to_trajectory,
    obstacles_to_markers,
    to_time,
)
from diffusion_control.nodes.wire_messages import (
    decode_joint_state,
    decode_markers,
    joint_names,
)
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.safety.verify import segment_extremes
from diffusion_control.trajectory.trajectory import Trajectory


def motion(points: int, names: tuple[str, ...], frame_id: str, seed: int = 0) -> Trajectory:
    """Return a random trajectory."""
    rng = np.random.default_rng(seed)
    shape = (points, len(names))
    return Trajectory(
        1.7e9 + rng.random(), np.cumsum(rng.uniform(0.001, 0.1, points)), rng.normal(size=shape),
        rng.normal(size=shape), np.zeros(shape), names, frame_id)


def on_nanoseconds(trajectory: Trajectory) -> Trajectory:
    """Return a trajectory whose knots were moved along it to whole nanoseconds."""
    times = np.rint(trajectory.times_s * 1e9) * 1e-9
    shift = (times - trajectory.times_s)[:, None]
    return replace(
        trajectory, times_s=times,
        position=trajectory.position + shift * trajectory.velocity
        + shift * (0.5 * (shift * trajectory.acceleration)),
        velocity=trajectory.velocity + shift * trajectory.acceleration)


def as_message(trajectory: Trajectory) -> JointTrajectory:
    """Return what a node that builds its message point by point would send."""
    message = JointTrajectory(joint_names=list(trajectory.names))
    message.header.stamp = to_time(trajectory.stamp_s)
    message.header.frame_id = trajectory.frame_id
    for at, position, velocity in zip(
            np.rint(trajectory.times_s * 1e9).astype(int).tolist(), trajectory.position,
            trajectory.velocity, strict=True):
        message.points.append(JointTrajectoryPoint(
            positions=position.tolist(), velocities=velocity.tolist(),
            time_from_start=Duration(sec=at // 10**9, nanosec=at % 10**9)))
    return message


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
    wanted = as_message(on_nanoseconds(trajectory))
    for point, other in zip(read.points, wanted.points, strict=True):
        np.testing.assert_allclose(point.positions, other.positions, rtol=0, atol=1e-15)
        point.positions = other.positions
    assert read == wanted


def test_knots_close_together_keep_their_acceleration_on_the_wire() -> None:
    """Rounding their times alone would add more than 1 rad/s^2 to 0.03 ms between knots."""
    times = np.concatenate(([0.0], np.cumsum(np.tile([1e-4 / 3, 0.0123456789], 5))))
    jerk, speed = -300.0, 2.0
    position, velocity, acceleration = (
        np.stack([value, -value], axis=1) for value in (
            speed * times + jerk * times**3 / 6, speed + jerk * times**2 / 2, jerk * times))
    exact = Trajectory(1.7e9, times, position, velocity, acceleration, ('a', 'b'), 'base')
    read = wire.decode(wire.encode(exact))
    assert read is not None
    sent = replace(exact, times_s=read[3], position=read[4], velocity=read[5])
    start, end, _ = segment_extremes(sent)
    np.testing.assert_allclose(start, acceleration[:-1], atol=2e-3)
    np.testing.assert_allclose(end, acceleration[1:], atol=2e-3)
    rounded = segment_extremes(replace(exact, times_s=read[3]))[0]
    assert np.abs(rounded - acceleration[:-1]).max() > 1.0, 'the case is a hard one'


@settings(max_examples=40, deadline=None)
@given(points=st.integers(1, 40), joints=st.integers(1, 9), length=st.integers(1, 9))
def test_decoding_returns_what_the_middleware_would(
    points: int, joints: int, length: int
) -> None:
    names = tuple(f'{"n" * length}{k}' for k in range(joints))
    trajectory = motion(points, names, 'base')
    data = bytes(serialize_message(as_message(trajectory)))
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
    message = as_message(motion(5, ('a', 'b'), 'base'))
    message.points[3].accelerations = [0.0, 0.0]
    assert wire.decode(bytes(serialize_message(message))) is None


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, 400), byte=st.integers(0, 399), value=st.integers(0, 255))
def test_damaged_bytes_never_raise(cut: int, byte: int, value: int) -> None:
    data = bytearray(wire.encode(motion(4, ('one', 'two'), 'base')))
    data[byte % len(data)] = value
    result = wire.decode(bytes(data[:cut]) if cut < len(data) else bytes(data))
    assert result is None or len(result[3]) == len(result[4])


def markers(count: int, **changes: object) -> MarkerArray:
    """Return markers as the simulator publishes them."""
    shapes = (
        Obstacle('sphere', (0.1,), np.array([0.1, 0.2, 0.3])),
        Obstacle('box', (0.1, 0.2, 0.3), np.array([-1.0, 0.0, 2.0])),
        Obstacle('cylinder', (0.05, 0.4), np.array([0.0, 0.5, 0.25])))
    obstacles = tuple(shapes[k % 3] for k in range(count))
    return obstacles_to_markers(obstacles, 'base', 12.5, **changes)  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(count=st.integers(0, 20), namespace=st.text('abcdef', max_size=7))
def test_markers_are_read_as_the_middleware_would(count: int, namespace: str) -> None:
    message = markers(count, namespace=namespace)
    assert decode_markers(bytes(serialize_message(message))) == marker_rows(message)


def test_markers_with_points_or_text_are_left_to_the_middleware() -> None:
    for name, value in (('text', 'hello'), ('points', [Point()]), ('mesh_resource', 'file:///x')):
        message = markers(3)
        setattr(message.markers[1], name, value)
        assert decode_markers(bytes(serialize_message(message))) is None, name


@settings(max_examples=30, deadline=None)
@given(joints=st.integers(1, 9), length=st.integers(1, 9), velocity=st.booleans())
def test_joint_states_are_read_as_the_middleware_would(
    joints: int, length: int, velocity: bool
) -> None:
    names = [f'{"n" * length}{k}' for k in range(joints)]
    message = JointState(name=names, position=[float(k) for k in range(joints)])
    message.header.frame_id = 'x' * length
    message.header.stamp.sec = 7
    if velocity:
        message.velocity = [float('nan')] * joints
    row = decode_joint_state(bytes(serialize_message(message)))
    assert row is not None
    assert (row.stamp_s, joint_names(row.names)) == (7.0, tuple(names))
    assert np.array_equal(row.position, message.position)
    assert np.array_equal(row.velocity, message.velocity, equal_nan=True)


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, 900), byte=st.integers(4, 899), value=st.integers(0, 255))
def test_damaged_states_and_markers_never_raise(cut: int, byte: int, value: int) -> None:
    state = JointState(name=['a', 'b'], position=[1.0, 2.0])
    for message, decode in ((state, decode_joint_state), (markers(3), decode_markers)):
        data = bytearray(bytes(serialize_message(message)))
        data[byte % len(data)] = value
        decode(bytes(data[:max(4, cut)]))
