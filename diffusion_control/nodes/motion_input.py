# SPDX-License-Identifier: Apache-2.0
"""Trajectories from a topic: size checked before they are decoded, then read or refused."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from trajectory_msgs.msg import JointTrajectory

from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes.convert import message_to_trajectory
from diffusion_control.nodes.mailbox import Mailbox
from diffusion_control.nodes.qos import STANDARD
from diffusion_control.nodes.taps import Arrival, Taps
from diffusion_control.trajectory.trajectory import Sample, Trajectory

FRESH_S = 0.2
MAX_BYTES = 65_536


def subscribe_trajectories(
    taps: Taps,
    topic: str,
    receive: Callable[[JointTrajectory, Arrival], None],
    refuse: Callable[[str], None],
    qos: QoSProfile = STANDARD,
) -> None:
    """Subscribe to a topic of trajectories without decoding what is too large to be one.

    Decoding 1e5 points would hold the interpreter for half a second and with it the control
    thread; 40 points of 16 joints take less than 64 KiB.

    Args:
        taps: Subscribes.
        topic: Its name.
        receive: Gets the decoded message.
        refuse: Gets a text when a message is too large or cannot be decoded.
        qos: What is asked of the publisher.
    """
    def take(data: bytes, arrival: Arrival) -> None:
        if len(data) > MAX_BYTES:
            refuse(f'{len(data)} bytes; at most {MAX_BYTES}')
            return
        try:
            message = deserialize_message(data, JointTrajectory)
        except RuntimeError as error:
            refuse(str(error))
            return
        receive(message, arrival)
    taps.subscribe(JointTrajectory, topic, take, qos, raw=True)


class MotionInput:
    """Hold the newest well-formed trajectory of a topic; count the malformed ones."""

    def __init__(
        self, node: Node, taps: Taps, topic: str, names: tuple[str, ...],
        qos: QoSProfile = STANDARD,
    ) -> None:
        """Subscribe to `topic`."""
        self.box: Mailbox[Trajectory] = Mailbox()
        self.rejected = 0
        self.last_error = ''
        self._node, self._topic, self._names = node, topic, names
        subscribe_trajectories(taps, topic, self._receive, self._refuse, qos)

    def predict(self, ros_time_s: float) -> Sample | None:
        """Return the sample at a ROS time [s], or None without a fresh motion."""
        motion = self.box.look()
        if motion is None or self.box.age_s() > FRESH_S:
            return None
        return motion.sample(ros_time_s)

    def _receive(self, message: JointTrajectory, arrival: Arrival) -> None:
        now = self._node.get_clock().now().nanoseconds * 1e-9
        try:
            self.box.put(
                message_to_trajectory(message, self._names, now, self._topic), arrival.age_s)
        except ConfigurationError as error:
            self._refuse(str(error))

    def _refuse(self, text: str) -> None:
        self.rejected += 1
        self.last_error = text
