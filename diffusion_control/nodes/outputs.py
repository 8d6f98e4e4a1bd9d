# SPDX-License-Identifier: Apache-2.0
"""The robot's command as a message of each output type."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from geometry_msgs.msg import Twist, TwistStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from diffusion_control.nodes.convert import to_time
from diffusion_control.safety.outputs import CommandSample

OUTPUT_MESSAGES = {
    'joint_trajectory': 'trajectory_msgs/msg/JointTrajectory',
    'float64_multi_array': 'std_msgs/msg/Float64MultiArray',
    'joint_state': 'sensor_msgs/msg/JointState',
    'twist_stamped': 'geometry_msgs/msg/TwistStamped',
    'twist': 'geometry_msgs/msg/Twist',
}
MESSAGE_TYPES: dict[str, Any] = {
    'joint_trajectory': JointTrajectory,
    'float64_multi_array': Float64MultiArray,
    'joint_state': JointState,
    'twist_stamped': TwistStamped,
    'twist': Twist,
}


def sample_message(
    kind: str, sample: CommandSample, robot: Any, now_s: float, *, velocity: bool = False
) -> Any:
    """Return one set-point as a message.

    Args:
        kind: Any output type but `joint_trajectory`.
        sample: The set-point; of a base its velocity is the twist of the body: forward,
            sideways [m/s] and yaw rate [rad/s].
        robot: Names of its joints, or of its body's frame.
        now_s: ROS time [s].
        velocity: A `float64_multi_array` receiver takes velocities.
    """
    if kind in ('twist_stamped', 'twist'):
        return twist_message(kind, sample, robot.body_frame, now_s)
    if kind == 'joint_state':
        message = JointState(name=list(robot.joint_names))
        message.header.stamp = to_time(now_s)
        message.position = array('d', np.asarray(sample.position).tobytes())
        message.velocity = array('d', np.asarray(sample.velocity).tobytes())
        return message
    values = sample.velocity if velocity else sample.position
    return Float64MultiArray(data=array('d', np.asarray(values).tobytes()))


def twist_message(kind: str, sample: CommandSample, frame_id: str, now_s: float) -> Any:
    """Return the twist of the body, stamped or not."""
    message = TwistStamped()
    message.header.frame_id, message.header.stamp = frame_id, to_time(now_s)
    linear, angular = message.twist.linear, message.twist.angular
    linear.x, linear.y, angular.z = (float(value) for value in sample.velocity)
    return message if kind == 'twist_stamped' else message.twist
