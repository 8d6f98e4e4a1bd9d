# SPDX-License-Identifier: Apache-2.0
"""Trajectories from a topic: size checked before they are decoded, then read or refused."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSProfile

from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes.mailbox import Mailbox
from diffusion_control.nodes.motions import Motions
from diffusion_control.nodes.qos import STANDARD
from diffusion_control.nodes.taps import Arrival, Taps
from diffusion_control.trajectory.trajectory import Sample, Trajectory

FRESH_S = 0.2


class MotionInput:
    """Hold the newest well-formed trajectory of a topic; count the malformed ones."""

    def __init__(
        self, node: Node, taps: Taps, topic: str, motions: Motions, qos: QoSProfile = STANDARD,
    ) -> None:
        """Subscribe to `topic`."""
        self.box: Mailbox[Trajectory] = Mailbox()
        self.rejected = 0
        self.last_error = ''
        self._node, self._topic, self._motions = node, topic, motions
        taps.subscribe(motions.message, topic, self._receive, qos, raw=True)

    def predict(self, ros_time_s: float) -> Sample | None:
        """Return the sample at a ROS time [s], or None without a fresh motion."""
        motion = self.box.look()
        if motion is None or self.box.age_s() > FRESH_S:
            return None
        return motion.sample(ros_time_s)

    def _receive(self, data: bytes, arrival: Arrival) -> None:
        now = self._node.get_clock().now().nanoseconds * 1e-9
        try:
            self.box.put(self._motions.read(data, now, self._topic), arrival.age_s)
        except ConfigurationError as error:
            self.rejected += 1
            self.last_error = str(error)
