# SPDX-License-Identifier: Apache-2.0
"""Trajectories from a topic: size checked before they are decoded, then read or refused."""

from __future__ import annotations

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from trajectory_msgs.msg import JointTrajectory

from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes import wire
from diffusion_control.nodes.convert import message_to_plan, message_to_trajectory
from diffusion_control.nodes.mailbox import Mailbox
from diffusion_control.nodes.qos import STANDARD
from diffusion_control.nodes.taps import Arrival, Taps
from diffusion_control.tracking.admission import PlanArrays
from diffusion_control.trajectory.trajectory import Sample, Trajectory

FRESH_S = 0.2
MAX_BYTES = 65_536


def read_trajectory(
    data: bytes, names: tuple[str, ...], now_s: float, where: str
) -> Trajectory:
    """Return the trajectory of a serialized message, in the robot's joint order.

    Raises:
        ConfigurationError: It is too large, cannot be decoded, or is no motion of these joints.
    """
    if len(data) > MAX_BYTES:
        raise ConfigurationError(
            'the message is too large', where=where, value=len(data),
            allowed=f'at most {MAX_BYTES} bytes')
    fast = wire.decode(data)
    if fast is not None and fast[2] == names:
        stamp, frame_id, _, times, position, velocity = fast
        return Trajectory(
            stamp if stamp > 0.0 else now_s, times, position, velocity,
            np.zeros_like(position), names, frame_id)
    try:
        message = deserialize_message(data, JointTrajectory)
    except RuntimeError as error:
        raise ConfigurationError('the message cannot be decoded', where=where,
                                 value=str(error)) from error
    return message_to_trajectory(message, names, now_s, where)


def read_plan(data: bytes, names: tuple[str, ...], now_s: float) -> PlanArrays | None:
    """Return what a serialized plan holds, unchecked; None if it is too large or broken.

    Decoding 1e5 points would hold the interpreter for half a second and with it the control
    thread; 40 points of 16 joints take less than 64 KiB.
    """
    if len(data) > MAX_BYTES:
        return None
    fast = wire.decode(data)
    if fast is not None and fast[2] == names:
        stamp, _, _, times, position, velocity = fast
        return PlanArrays(stamp if stamp > 0.0 else now_s, times, position, velocity, names)
    try:
        return message_to_plan(deserialize_message(data, JointTrajectory), names, now_s)
    except RuntimeError:
        return None


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
        taps.subscribe(JointTrajectory, topic, self._receive, qos, raw=True)

    def predict(self, ros_time_s: float) -> Sample | None:
        """Return the sample at a ROS time [s], or None without a fresh motion."""
        motion = self.box.look()
        if motion is None or self.box.age_s() > FRESH_S:
            return None
        return motion.sample(ros_time_s)

    def _receive(self, data: bytes, arrival: Arrival) -> None:
        now = self._node.get_clock().now().nanoseconds * 1e-9
        try:
            self.box.put(read_trajectory(data, self._names, now, self._topic), arrival.age_s)
        except ConfigurationError as error:
            self.rejected += 1
            self.last_error = str(error)
