# SPDX-License-Identifier: Apache-2.0
"""A simulated base on the wire: odometry, scan, map and where it lies out, twists in."""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np
from geometry_msgs.msg import Transform, TransformStamped, Twist, TwistStamped
from nav_msgs.msg import OccupancyGrid, Odometry
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import LaserScan

from diffusion_control.nodes.arm_wires import HandOver
from diffusion_control.nodes.convert import from_time, to_time
from diffusion_control.nodes.frames import tf_message
from diffusion_control.nodes.outputs import MESSAGE_TYPES
from diffusion_control.nodes.qos import LATCHED, STANDARD
from diffusion_control.nodes.taps import Taps
from diffusion_control.nodes.wire_base import decode_twist
from diffusion_control.nodes.wire_states import encode_odometry
from diffusion_control.robots.base import Base
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.planar import quaternion_of
from diffusion_control.robots.scan import Scan
from diffusion_control.robots.state import RobotState
from diffusion_control.simulation.receivers.messages import TwistMessage

Array = NDArray[np.float64]


class BaseWires:
    """What the drivers of a base and its localisation publish, and the commands that it takes.

    Args:
        node: The simulator.
        robot: The base.
        settings: Parameters of the simulator.
    """

    profile = 'diff_drive'

    def __init__(self, node: Node, robot: Base, settings: dict[str, Any]) -> None:
        """Create the publishers."""
        self.frame = robot.map_frame
        self.kind = settings['command_type'] or robot.controller.command_type
        self._robot, self._settings = robot, settings
        self._odom = node.create_publisher(Odometry, 'odom', STANDARD)
        self._scan = node.create_publisher(LaserScan, 'scan', STANDARD)
        self._map = node.create_publisher(OccupancyGrid, 'map', LATCHED)
        self._place = node.create_publisher(TransformStamped, 'map_to_odom', LATCHED)
        message = tf_message()
        self._tf = None if message is None else node.create_publisher(message, 'tf', STANDARD)
        self._shown: OccupancyMap | None = None
        self._due_s = {'scan': -math.inf, 'place': -math.inf}

    def subscribe(self, taps: Taps, topic: str, hand_over: HandOver) -> None:
        """Take twists, stamped or not."""
        read = stamped_twist_of if self.kind == 'twist_stamped' else twist_of
        taps.subscribe(
            MESSAGE_TYPES[self.kind], topic,
            lambda data, arrival: hand_over(read(data), arrival), STANDARD, raw=True)

    def publish_state(self, state: RobotState) -> None:
        """Publish what the wheels say: pose in `odom`, twist of the body."""
        (x, y, yaw), (vx, vy, rate) = state.position.tolist(), state.velocity.tolist()
        cosine, sine = float(np.cos(-yaw)), float(np.sin(-yaw))
        self._odom.publish(encode_odometry(
            state.stamp_s, self._robot.base_frame, self._robot.body_frame,
            (x, y, 0.0, *quaternion_of(yaw).tolist()),
            (cosine * vx - sine * vy, sine * vx + cosine * vy, 0.0, 0.0, 0.0, rate)))

    def publish_sensors(self, simulation: Any, tick: int) -> None:
        """Publish the map once, and scan and localisation when they are due."""
        now_s = simulation.time_s
        if simulation.map is not None and simulation.map is not self._shown:
            self._shown = simulation.map
            self._map.publish(map_message(simulation.map, self._robot.map_frame, now_s))
        if self._due('scan', now_s, self._settings['scan_rate_hz']):
            self._scan.publish(scan_message(simulation.scan(), self._robot))
        if self._due('place', now_s, self._settings['map_to_odom_rate_hz']):
            self._publish_place(simulation.map_to_odom(), now_s)

    def _due(self, name: str, now_s: float, rate_hz: float) -> bool:
        if self._due_s[name] <= now_s + 1.0 and now_s < self._due_s[name]:
            return False
        self._due_s[name] = max(self._due_s[name], now_s - 1.0 / rate_hz) + 1.0 / rate_hz
        return True

    def _publish_place(self, pose: Array, now_s: float) -> None:
        message = TransformStamped(child_frame_id=self._robot.base_frame)
        message.header.frame_id, message.header.stamp = self._robot.map_frame, to_time(now_s)
        message.transform = transform_of(pose)
        self._place.publish(message)
        if self._tf is not None:
            self._tf.publish(tf_message()(transforms=[message]))


def transform_of(pose: Array) -> Transform:
    """Return the transform of a pose x, y, yaw."""
    transform = Transform()
    transform.translation.x, transform.translation.y = float(pose[0]), float(pose[1])
    _, _, transform.rotation.z, transform.rotation.w = quaternion_of(float(pose[2])).tolist()
    return transform


def scan_message(scan: Scan, robot: Base) -> LaserScan:
    """Return a scan in the frame of the robot's laser."""
    message = LaserScan(
        angle_min=float(scan.angle_min_rad), angle_increment=float(scan.angle_step_rad),
        angle_max=float(scan.angle_min_rad + scan.angle_step_rad * (len(scan.ranges_m) - 1)),
        range_min=float(scan.least_m), range_max=float(scan.most_m))
    message.header.frame_id, message.header.stamp = (
        robot.config.scan.frame, to_time(scan.stamp_s))
    message.ranges = array('f', np.asarray(scan.ranges_m, dtype=np.float32).tobytes())
    return message


def map_message(known: OccupancyMap, frame_id: str, now_s: float) -> OccupancyGrid:
    """Return a map as an OccupancyGrid."""
    message = OccupancyGrid()
    message.header.frame_id, message.header.stamp = frame_id, to_time(now_s)
    info = message.info
    info.map_load_time = message.header.stamp
    info.resolution = float(known.resolution_m)
    info.height, info.width = known.cells.shape
    info.origin.position.x, info.origin.position.y = (
        float(known.origin[0]), float(known.origin[1]))
    _, _, info.origin.orientation.z, info.origin.orientation.w = quaternion_of(
        float(known.origin[2])).tolist()
    message.data = array('b', np.ascontiguousarray(known.cells, dtype=np.int8).tobytes())
    return message


def stamped_twist_of(data: bytes) -> TwistMessage:
    """Return the content of a serialized TwistStamped."""
    read = decode_twist(data, stamped=True)
    if read is None:
        message = deserialize_message(data, TwistStamped)
        return TwistMessage(_planar(message.twist), from_time(message.header.stamp))
    stamp_s, twist = read
    return TwistMessage(np.array([twist[0], twist[1], twist[5]]), stamp_s)


def twist_of(data: bytes) -> TwistMessage:
    """Return the content of a serialized Twist, which carries no time."""
    read = decode_twist(data, stamped=False)
    if read is None:
        return TwistMessage(_planar(deserialize_message(data, Twist)))
    _, twist = read
    return TwistMessage(np.array([twist[0], twist[1], twist[5]]))


def _planar(twist: Twist) -> Array:
    return np.array([twist.linear.x, twist.linear.y, twist.angular.z])
