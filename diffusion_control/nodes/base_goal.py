# SPDX-License-Identifier: Apache-2.0
"""Goals of a base, given in `map`, `odom` or the body's frame, handed out in `odom`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import JointState

from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes.frames import Frames
from diffusion_control.nodes.inputs import goal_joints
from diffusion_control.nodes.qos import STANDARD
from diffusion_control.nodes.taps import Arrival, Taps
from diffusion_control.robots.base import Base
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.planar import compose, quaternion_of, unwrapped, yaw_of

Array = NDArray[np.float64]
SAME_M, SAME_RAD = 0.01, 0.01


@dataclass(frozen=True)
class _Given:
    """A goal as it was given: x, y, yaw in a frame; yaw NaN where it is free."""

    frame_id: str
    pose: Array


class BaseGoalInput:
    """The newest valid goal; a bad one is refused with a clear message and the old one stays.

    A goal in `map` moves in `odom` as that drifts. It is handed out anew once it has moved by a
    centimetre, so that planners do not see another goal in every tick. An orientation of all
    zeros leaves the yaw free.
    """

    def __init__(self, node: Node, taps: Taps, robot: Base, frames: Frames) -> None:
        """Subscribe to `goal_pose` and `goal_joints`."""
        self.rejected = 0
        self._node, self._robot, self._frames = node, robot, frames
        self._given: _Given | None = None
        self._placed: Array | None = None
        self._goal: Goal | None = None
        taps.subscribe(PoseStamped, 'goal_pose', self._receive_pose, STANDARD)
        taps.subscribe(JointState, 'goal_joints', self._receive_joints, STANDARD)

    def look(self) -> Goal | None:
        """Return the goal in `odom`; None without one, or while nobody knows where `map` lies."""
        given = self._given
        if given is None:
            return None
        frame = self._frames.pose(given.frame_id, self._now_s())
        if frame is None:
            return None
        free = bool(np.isnan(given.pose[2]))
        pose = compose(frame, np.nan_to_num(given.pose))
        if self._goal is None or self._placed is None or far(pose, self._placed, free):
            self._placed = pose
            self._goal = Goal(
                position_m=np.array([pose[0], pose[1], 0.0]),
                quaternion=None if free else quaternion_of(float(pose[2])))
        return self._goal

    def _receive_pose(self, message: PoseStamped, arrival: Arrival) -> None:
        place, turn = message.pose.position, message.pose.orientation
        quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
        try:
            goal = Goal(
                position_m=np.array([place.x, place.y, 0.0]),
                quaternion=quaternion if quaternion.any() else None)
            yaw = np.nan if goal.quaternion is None else yaw_of(quaternion)
            self._accept(message.header.frame_id, np.array([place.x, place.y, yaw]), goal)
        except ConfigurationError as error:
            self._refuse(error)

    def _receive_joints(self, message: JointState, arrival: Arrival) -> None:
        try:
            pose = goal_joints(message, self._robot)
            self._accept(message.header.frame_id, pose, Goal(joints_rad=pose))
        except ConfigurationError as error:
            self._refuse(error)

    def _accept(self, frame_id: str, pose: Array, goal: Goal) -> None:
        """Keep a goal; one in the body's frame is fixed in `odom` now."""
        goal.check(self._robot)
        frame = self._frames.pose(frame_id, self._now_s())
        if frame_id == self._robot.body_frame:
            if frame is None:
                raise ConfigurationError(
                    'it is not known where the robot is', where='goal_pose.header.frame_id',
                    value=frame_id, remedy='wait for odom')
            pose, frame_id = compose(frame, pose), self._robot.base_frame
        before = self._given
        if before is not None and before.frame_id == frame_id and np.array_equal(
                before.pose, pose, equal_nan=True):
            return
        self._given, self._goal = _Given(frame_id, pose), None

    def _refuse(self, error: ConfigurationError) -> None:
        self.rejected += 1
        self._node.get_logger().error(f'goal refused, the old one stays: {error}')

    def _now_s(self) -> float:
        return float(self._node.get_clock().now().nanoseconds) * 1e-9


def far(one: Array, other: Array, free: bool) -> bool:
    """Tell whether two poses differ by more than a centimetre or a hundredth of a radian."""
    turn = unwrapped(float(one[2]), float(other[2])) - float(other[2])
    return bool(np.hypot(*(one - other)[:2]) > SAME_M or (not free and abs(turn) > SAME_RAD))
