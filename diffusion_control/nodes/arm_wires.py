# SPDX-License-Identifier: Apache-2.0
"""A simulated arm on the wire: joint states out, trajectories or set-points in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from diffusion_control.nodes import wire
from diffusion_control.nodes.convert import from_time
from diffusion_control.nodes.outputs import MESSAGE_TYPES
from diffusion_control.nodes.qos import STANDARD
from diffusion_control.nodes.taps import Arrival, Taps
from diffusion_control.nodes.wire_states import encode_joint_state
from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.state import RobotState
from diffusion_control.simulation.receivers.messages import (
    Message,
    SampleMessage,
    TrajectoryMessage,
)

HandOver = Callable[[Message, Arrival], None]
PROFILE_MESSAGES = {
    'jtc': 'joint_trajectory', 'gz': 'joint_trajectory', 'isaac': 'joint_state',
    'forward_position': 'float64_multi_array', 'forward_velocity': 'float64_multi_array'}


class ArmWires:
    """What a driver of an arm publishes, and the commands that it takes.

    Args:
        node: The simulator.
        robot: The arm.
        settings: Parameters of the simulator.
    """

    profile = 'jtc'

    def __init__(self, node: Node, robot: Robot, settings: dict[str, Any]) -> None:
        """Create the publisher; joints are sent in an order of their own."""
        self.frame = robot.base_frame
        self.kind = PROFILE_MESSAGES[settings['profile'] or 'jtc']
        self._states = node.create_publisher(JointState, 'joint_states', STANDARD)
        self._order = np.random.default_rng(settings['seed']).permutation(robot.dof)
        self._names = tuple(robot.joint_names[k] for k in self._order)

    def subscribe(self, taps: Taps, topic: str, hand_over: HandOver) -> None:
        """Take the commands of the profile."""
        readers: dict[str, Callable[[Any], Message]] = {
            'joint_trajectory': trajectory_of, 'joint_state': joint_state_of,
            'float64_multi_array': array_of}
        read = readers[self.kind]
        taps.subscribe(
            MESSAGE_TYPES[self.kind], topic,
            lambda message, arrival: hand_over(read(message), arrival), STANDARD,
            raw=self.kind == 'joint_trajectory')

    def publish_state(self, state: RobotState) -> None:
        """Publish what the encoders say."""
        self._states.publish(encode_joint_state(
            state.stamp_s, self._names, state.position[self._order],
            state.velocity[self._order]))

    def publish_sensors(self, simulation: Any, tick: int) -> None:
        """Publish nothing more: an arm sees obstacles alone."""


def trajectory_of(data: bytes) -> TrajectoryMessage:
    """Return the content of a serialized JointTrajectory."""
    fast = wire.decode(data)
    if fast is not None:
        stamp, _, names, times, position, velocity = fast
        return TrajectoryMessage(names, stamp, times, position, velocity)
    message = deserialize_message(data, JointTrajectory)
    points = message.points
    has_acceleration = bool(points) and all(len(p.accelerations) for p in points)
    has_velocity = bool(points) and all(len(p.velocities) for p in points)
    return TrajectoryMessage(
        tuple(message.joint_names), from_time(message.header.stamp),
        [p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in points],
        [p.positions for p in points],
        [p.velocities for p in points] if has_velocity else None,
        [p.accelerations for p in points] if has_acceleration else None)


def joint_state_of(message: JointState) -> SampleMessage:
    """Return the set-point of a JointState."""
    return SampleMessage(np.array(message.position), tuple(message.name))


def array_of(message: Float64MultiArray) -> SampleMessage:
    """Return the set-point of a Float64MultiArray."""
    return SampleMessage(np.array(message.data))
