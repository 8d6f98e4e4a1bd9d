# SPDX-License-Identifier: Apache-2.0
"""How a robot's state, surroundings, goals and motions travel: one class for each kind."""

from __future__ import annotations

from typing import Any, Protocol

from rclpy.node import Node
from rclpy.qos import QoSProfile

from diffusion_control.nodes.base_goal import BaseGoalInput
from diffusion_control.nodes.frames import Frames
from diffusion_control.nodes.inputs import MAX_SPEED_M_S, GoalInput, JointStateInput
from diffusion_control.nodes.mailbox import Mailbox
from diffusion_control.nodes.motions import BaseMotions, JointMotions, Motions
from diffusion_control.nodes.odom_input import OdometryInput
from diffusion_control.nodes.qos import SENSOR
from diffusion_control.nodes.taps import Taps
from diffusion_control.nodes.world import ArmWorld, Asked, BaseWorld, WorldInput
from diffusion_control.robots.base import Base
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.state import RobotState


class StateInput(Protocol):
    """The measured state of a robot."""

    box: Mailbox[RobotState]
    rejected: int


class Goals(Protocol):
    """The goal that was set last."""

    rejected: int

    def look(self) -> Goal | None:
        """Return the goal in the base frame, or None without one."""
        ...


class RobotIo(Protocol):
    """What a node subscribes to, whatever its robot; one per loop."""

    @property
    def state_topic(self) -> str:
        """Name of the topic of the measured state."""
        ...

    @property
    def states(self) -> StateInput:
        """The measured state."""
        ...

    @property
    def motions(self) -> Motions:
        """Codec of plans and motions."""
        ...

    def world(
        self, settings: dict[str, Any], max_speed_m_s: float = MAX_SPEED_M_S
    ) -> WorldInput:
        """Subscribe to what surrounds the robot.

        Args:
            settings: Parameters of the node; `NAME.required` says what it cannot go without.
            max_speed_m_s: Published bound of the obstacles' speed [m/s].
        """
        ...

    def goals(self) -> Goals:
        """Subscribe to goals."""
        ...


class ArmIo:
    """An arm: joint states, obstacles in the base frame, JointTrajectory.

    Args:
        node: The node.
        taps: Subscriptions of its loop.
        robot: The arm.
        qos: Of the state.
    """

    state_topic = 'joint_states'

    def __init__(self, node: Node, taps: Taps, robot: Robot, qos: QoSProfile) -> None:
        """Subscribe to `joint_states`."""
        self._node, self._taps, self._robot = node, taps, robot
        self.states = JointStateInput(taps, robot.joint_names, qos)
        self.motions = JointMotions(robot.joint_names)

    def world(
        self, settings: dict[str, Any], max_speed_m_s: float = MAX_SPEED_M_S
    ) -> WorldInput:
        """Subscribe to `obstacles`."""
        return ArmWorld(self._node, self._taps, self._robot, max_speed_m_s)

    def goals(self) -> Goals:
        """Subscribe to `goal_pose` and `goal_joints`."""
        return GoalInput(self._node, self._taps, self._robot)


class BaseIo:
    """A base: odometry, frames, obstacles, map, scan, MultiDOFJointTrajectory.

    Args:
        node: The node.
        taps: Subscriptions of its loop.
        robot: The base.
        qos: Of the state.
    """

    state_topic = 'odom'

    def __init__(self, node: Node, taps: Taps, robot: Base, qos: QoSProfile) -> None:
        """Subscribe to `odom` and to what says where `map` lies."""
        self._node, self._taps, self._robot = node, taps, robot
        self.states = self._odometry = OdometryInput(taps, robot, qos)
        self.motions = BaseMotions(
            robot.joint_names, robot.base_frame, lambda: self._odometry.yaw)
        self.frames = Frames(taps, robot, self._odometry)

    def world(
        self, settings: dict[str, Any], max_speed_m_s: float = MAX_SPEED_M_S
    ) -> WorldInput:
        """Subscribe to `obstacles`, `map` and `scan`."""
        return BaseWorld(
            self._node, self._taps, self._robot, self.frames, self._odometry,
            asked=Asked.of(settings), max_speed_m_s=max_speed_m_s)

    def goals(self) -> Goals:
        """Subscribe to `goal_pose` and `goal_joints`."""
        return BaseGoalInput(self._node, self._taps, self._robot, self.frames)


def robot_io(node: Node, taps: Taps, robot: Any, qos: QoSProfile = SENSOR) -> RobotIo:
    """Return the inputs and codecs of a robot, subscribed to its measured state."""
    if robot.kind == 'base':
        return BaseIo(node, taps, robot, qos)
    return ArmIo(node, taps, robot, qos)
