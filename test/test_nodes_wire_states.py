# SPDX-License-Identifier: Apache-2.0
"""What the simulator writes itself is what the middleware would write."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from geometry_msgs.msg import Twist, TwistStamped
from hypothesis import given, settings
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import JointState
from test_nodes_wire import markers
from visualization_msgs.msg import MarkerArray

from diffusion_control.nodes.convert import to_time
from diffusion_control.nodes.wire_base import decode_twist
from diffusion_control.nodes.wire_messages import places_of_markers
from diffusion_control.nodes.wire_states import MovedMarkers, encode_joint_state, encode_odometry

TEXT = st.text('abcdefg', min_size=0, max_size=12)
STAMP_S = 1.7e9 + 0.123


@settings(max_examples=40, deadline=None)
@given(frame=TEXT, child=TEXT)
def test_odometry(frame: str, child: str) -> None:
    pose, twist = np.arange(1.0, 8.0), np.arange(11.0, 17.0)
    message = Odometry(child_frame_id=child)
    message.header.frame_id, message.header.stamp = frame, to_time(STAMP_S)
    place, turn = message.pose.pose.position, message.pose.pose.orientation
    place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w = pose.tolist()
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = twist.tolist()
    data = encode_odometry(STAMP_S, frame, child, pose.tolist(), twist.tolist())
    assert deserialize_message(data, Odometry) == message


@settings(max_examples=40, deadline=None)
@given(joints=st.integers(1, 9), name=TEXT)
def test_joint_states(joints: int, name: str) -> None:
    names = tuple(f'{name}{k}' for k in range(joints))
    position, velocity = np.arange(joints) + 0.5, -np.arange(joints) - 0.25
    message = JointState(
        name=list(names), position=position.tolist(), velocity=velocity.tolist())
    message.header.stamp = to_time(STAMP_S)
    data = encode_joint_state(STAMP_S, names, position, velocity)
    assert deserialize_message(data, JointState) == message


@settings(max_examples=30, deadline=None)
@given(count=st.integers(0, 12), namespace=TEXT)
def test_markers_move_and_keep_the_rest(count: int, namespace: str) -> None:
    message = markers(count, namespace=namespace)
    kept = MovedMarkers(message)
    for shift in (0.0, 3.0):
        places = (np.arange(3 * count).reshape(count, 3) + shift).tolist()
        for marker, place in zip(message.markers, places, strict=True):
            marker.header.stamp = to_time(STAMP_S + shift)
            spot = marker.pose.position
            spot.x, spot.y, spot.z = place
        wanted = serialize_message(message)  # its padding is not defined
        assert deserialize_message(kept.at(places, STAMP_S + shift), MarkerArray) == (
            deserialize_message(wanted, MarkerArray))


def test_markers_with_a_text_are_not_taken() -> None:
    message = markers(2)
    message.markers[1].text = 'hello'
    with pytest.raises(ValueError, match='plain'):
        places_of_markers(bytes(serialize_message(message)))


@settings(max_examples=40, deadline=None)
@given(frame=TEXT, cut=st.integers(1, 60))
def test_twists(frame: str, cut: int) -> None:
    twist = Twist()
    twist.linear.x, twist.linear.y, twist.angular.z = 0.5, -0.25, 1.5
    stamped = TwistStamped(twist=twist)
    stamped.header.frame_id, stamped.header.stamp = frame, to_time(12.5)
    for message, stamp_s in ((twist, 0.0), (stamped, 12.5)):
        data = bytes(serialize_message(message))
        is_stamped = message is stamped
        assert decode_twist(data, stamped=is_stamped) == (
            stamp_s, (0.5, -0.25, 0.0, 0.0, 0.0, 1.5))
        assert decode_twist(data[:-min(cut, len(data))], stamped=is_stamped) is None
        assert decode_twist(b'\x00\x00' + data[2:], stamped=is_stamped) is None
