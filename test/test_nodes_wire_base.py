# SPDX-License-Identifier: Apache-2.0
"""The wire format of a base's messages against the middleware's own serialization."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Quaternion, Transform, Twist, Vector3
from hypothesis import given, settings
from hypothesis import strategies as st
from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import LaserScan
from trajectory_msgs.msg import MultiDOFJointTrajectory, MultiDOFJointTrajectoryPoint

from diffusion_control.nodes import wire_base, wire_multi_dof
from diffusion_control.nodes.convert import to_time
from diffusion_control.robots.planar import quaternion_of, unwrapped
from diffusion_control.trajectory.trajectory import Trajectory


def motion(points: int, frame_id: str = 'odom', seed: int = 0) -> Trajectory:
    """Return a random motion whose yaw agrees with its rate, many turns long."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(np.rint(rng.uniform(1e6, 8e8, points))) * 1e-9
    velocity = rng.normal(size=(points, 3)) * np.array([0.5, 0.5, 4.0])
    position = rng.normal(size=(points, 3))
    width = np.diff(times)
    turned = np.cumsum(width * (velocity[:-1, 2] + velocity[1:, 2]) / 2)
    position[1:, 2] = position[0, 2] + turned + rng.uniform(-1.0, 1.0, points - 1)
    return Trajectory(
        1.7e9 + 0.25, times, position, velocity, np.zeros_like(position), ('x', 'y', 'yaw'),
        frame_id)


def as_message(trajectory: Trajectory) -> MultiDOFJointTrajectory:
    """Return what a node that builds its message point by point would send."""
    message = MultiDOFJointTrajectory(joint_names=['base'])
    message.header.stamp = to_time(trajectory.stamp_s)
    message.header.frame_id = trajectory.frame_id
    for at, position, velocity in zip(
            np.rint(trajectory.times_s * 1e9).astype(int).tolist(), trajectory.position,
            trajectory.velocity, strict=True):
        x, y, z, w = quaternion_of(position[2]).tolist()
        message.points.append(MultiDOFJointTrajectoryPoint(
            transforms=[Transform(
                translation=Vector3(x=position[0], y=position[1], z=0.0),
                rotation=Quaternion(x=x, y=y, z=z, w=w))],
            velocities=[Twist(
                linear=Vector3(x=velocity[0], y=velocity[1], z=0.0),
                angular=Vector3(x=0.0, y=0.0, z=velocity[2]))],
            time_from_start=Duration(sec=at // 10**9, nanosec=at % 10**9)))
    return message


@settings(max_examples=60, deadline=None)
@given(points=st.integers(1, 40), frame=st.text('odm_/', max_size=9), seed=st.integers(0, 99))
def test_the_middleware_reads_what_was_encoded(points: int, frame: str, seed: int) -> None:
    trajectory = motion(points, frame, seed)
    read = deserialize_message(wire_multi_dof.encode(trajectory), MultiDOFJointTrajectory)
    wanted = as_message(trajectory)
    assert len(read.points) == points
    for point, other in zip(read.points, wanted.points, strict=True):
        for name in ('translation', 'rotation'):
            ours, theirs = (getattr(p.transforms[0], name) for p in (point, other))
            for axis in ours.get_fields_and_field_types():
                assert getattr(ours, axis) == pytest.approx(getattr(theirs, axis), abs=1e-9)
        assert point.velocities == other.velocities
        point.transforms = other.transforms
    assert read == wanted


@settings(max_examples=60, deadline=None)
@given(points=st.integers(1, 40), frame=st.text('odm_/', max_size=9), seed=st.integers(0, 99))
def test_a_motion_comes_back_up_to_whole_turns(points: int, frame: str, seed: int) -> None:
    trajectory = motion(points, frame, seed)
    for data in (wire_multi_dof.encode(trajectory),
                 bytes(serialize_message(as_message(trajectory)))):
        read = wire_multi_dof.decode(data)
        assert read is not None
        assert (read.frame_id, read.joints) == (frame, ('base',))
        assert read.stamp_s == pytest.approx(trajectory.stamp_s, abs=1e-6)
        shift = unwrapped(read.position[0, 2], trajectory.position[0, 2])
        position = read.position + [0.0, 0.0, shift - read.position[0, 2]]
        np.testing.assert_allclose(position, trajectory.position, atol=1e-8)
        np.testing.assert_allclose(read.velocity, trajectory.velocity, atol=1e-12)
        np.testing.assert_allclose(read.times_s, trajectory.times_s, atol=1e-9)


def test_other_layouts_are_left_to_the_middleware() -> None:
    message = as_message(motion(5))
    message.points[2].accelerations = [Twist()]
    assert wire_multi_dof.decode(bytes(serialize_message(message))) is None
    assert wire_multi_dof.decode(bytes(serialize_message(MultiDOFJointTrajectory()))) is None


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, 600), byte=st.integers(0, 599), value=st.integers(0, 255))
def test_damaged_bytes_never_raise(cut: int, byte: int, value: int) -> None:
    grid = OccupancyGrid(data=[0] * 12)
    grid.info.width, grid.info.height = 4, 3
    for data, decode in (
            (wire_multi_dof.encode(motion(4)), wire_multi_dof.decode),
            (bytes(serialize_message(Odometry())), wire_base.decode_odometry),
            (bytes(serialize_message(LaserScan(ranges=[1.0] * 9))), wire_base.decode_scan),
            (bytes(serialize_message(grid)), wire_base.decode_map)):
        damaged = bytearray(data)
        damaged[byte % len(data)] = value
        decode(bytes(damaged[:cut]) if cut < len(damaged) else bytes(damaged))  # type: ignore[operator]


@settings(max_examples=40, deadline=None)
@given(frame=st.text('odm', max_size=9), child=st.text('bl', max_size=9), seed=st.integers(0, 9))
def test_odometry_is_read_as_the_middleware_would(frame: str, child: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    message = Odometry(child_frame_id=child)
    message.header.frame_id, message.header.stamp = frame, to_time(12.5)
    place, turn = message.pose.pose.position, message.pose.pose.orientation
    place.x, place.y, place.z = rng.normal(size=3).tolist()
    turn.x, turn.y, turn.z, turn.w = rng.normal(size=4).tolist()
    twist = message.twist.twist
    twist.linear.x, twist.linear.y, twist.angular.z = rng.normal(size=3).tolist()
    message.pose.covariance = rng.normal(size=36)
    row = wire_base.decode_odometry(bytes(serialize_message(message)))
    assert row == wire_base.OdometryRow(
        12.5, frame, child, (place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w),
        (twist.linear.x, twist.linear.y, 0.0, 0.0, 0.0, twist.angular.z))


@settings(max_examples=40, deadline=None)
@given(frame=st.text('laser', max_size=9), rays=st.integers(0, 400))
def test_a_scan_is_read_as_the_middleware_would(frame: str, rays: int) -> None:
    rng = np.random.default_rng(rays)
    ranges = rng.uniform(0.1, 9.0, rays).astype(np.float32)
    ranges[::7] = np.inf
    message = LaserScan(
        angle_min=-3.0, angle_increment=0.25, range_min=0.125, range_max=8.0,
        ranges=ranges.tolist(), intensities=[1.0] * rays)
    message.header.frame_id, message.header.stamp = frame, to_time(3.25)
    row = wire_base.decode_scan(bytes(serialize_message(message)))
    assert row is not None
    assert replace(row, ranges=np.zeros(0)).__dict__ | {'ranges': None} == {
        'stamp_s': 3.25, 'frame_id': frame, 'angle_min': -3.0, 'angle_increment': 0.25,
        'range_min': 0.125, 'range_max': 8.0, 'ranges': None}
    assert np.array_equal(row.ranges, ranges.astype(float))


@settings(max_examples=30, deadline=None)
@given(frame=st.text('map', max_size=9), width=st.integers(1, 30), height=st.integers(1, 30))
def test_a_map_is_read_as_the_middleware_would(frame: str, width: int, height: int) -> None:
    cells = np.random.default_rng(width).integers(-1, 101, (height, width)).astype(np.int8)
    message = OccupancyGrid(data=cells.ravel().tolist())
    message.header.frame_id = frame
    message.info.resolution, message.info.width, message.info.height = 0.5, width, height
    message.info.origin.position.x, message.info.origin.orientation.w = -2.0, 1.0
    row = wire_base.decode_map(bytes(serialize_message(message)))
    assert row is not None
    assert (row.frame_id, row.resolution, row.origin) == (
        frame, 0.5, (-2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    assert np.array_equal(row.cells, cells)
