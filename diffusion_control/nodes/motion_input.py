# SPDX-License-Identifier: Apache-2.0
"""The newest motion of a topic, checked on arrival, and where it will have the robot."""

from __future__ import annotations

from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes.convert import message_to_trajectory
from diffusion_control.nodes.mailbox import Mailbox
from diffusion_control.nodes.qos import STANDARD
from diffusion_control.trajectory.trajectory import Sample, Trajectory

FRESH_S = 0.2


class MotionInput:
    """Hold the newest well-formed trajectory of a topic; count the malformed ones."""

    def __init__(self, node: Node, topic: str, names: tuple[str, ...]) -> None:
        """Subscribe to `topic`."""
        self.box: Mailbox[Trajectory] = Mailbox()
        self.rejected = 0
        self.last_error = ''
        self._node, self._topic, self._names = node, topic, names
        node.create_subscription(JointTrajectory, topic, self._receive, STANDARD)

    def predict(self, ros_time_s: float) -> Sample | None:
        """Return the sample at a ROS time [s], or None without a fresh motion."""
        motion = self.box.look()
        if motion is None or self.box.age_s() > FRESH_S:
            return None
        return motion.sample(ros_time_s)

    def _receive(self, message: JointTrajectory) -> None:
        now = self._node.get_clock().now().nanoseconds * 1e-9
        try:
            self.box.put(message_to_trajectory(message, self._names, now, self._topic))
        except ConfigurationError as error:
            self.rejected += 1
            self.last_error = str(error)
