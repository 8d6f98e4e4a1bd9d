# SPDX-License-Identifier: Apache-2.0
"""The goals of a scene, published one after the other, and judged by the ground truth."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from sensor_msgs.msg import JointState

from diffusion_control.nodes.convert import to_time
from diffusion_control.nodes.qos import STANDARD
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.planar import quaternion_of
from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.state import RobotState

HOLD_S = 0.3
PATIENCE_S = 20.0
REPEAT_S = 0.5
CHECK_S = 0.02


class GoalSequence:
    """Publish goals in order, for ever; a goal counts when the truth is there for 0.3 s.

    A goal open for 20 s counts as attempted and missed, and the next one follows. The one that
    is open at the end is left out.
    """

    def __init__(
        self, node: Node, robot: Robot, goals: tuple[Goal, ...], frame_id: str
    ) -> None:
        """Publish on `goal_pose` and `goal_joints`, poses in a frame."""
        self._robot, self._goals, self._frame = robot, goals, frame_id
        self._pose = node.create_publisher(PoseStamped, 'goal_pose', STANDARD)
        self._joints = node.create_publisher(JointState, 'goal_joints', STANDARD)
        self._index = 0
        self._set_s: float | None = None
        self._there_s: float | None = None
        self._published_s = self._checked_s = -float('inf')
        self._state, self._fallback = '', False
        self._now_s = 0.0
        self._times: list[float] = []
        self._reached = self._by_planner = self._attempted = 0

    def safety_state(self, state: str) -> None:
        """Take the safety monitor's state; FALLBACK taints the open goal."""
        self._state = state
        self._fallback = self._fallback or state == 'FALLBACK'

    def update(
        self, state: RobotState, now_s: float, events: list[dict[str, Any]]
    ) -> None:
        """Judge the open goal and publish it again from time to time."""
        if not self._goals or now_s - self._checked_s < CHECK_S:
            return
        self._checked_s = self._now_s = now_s
        goal = self._goals[self._index % len(self._goals)]
        if self._set_s is None:
            if self._state in ('', 'HOLD'):
                return
            self._set_s, self._fallback = now_s, self._state == 'FALLBACK'
        if now_s - self._published_s >= REPEAT_S:
            self._publish(goal, now_s)
        if not goal.reached(self._robot, state):
            self._there_s = None
        elif self._there_s is None:
            self._there_s = now_s
        elif now_s - self._there_s >= HOLD_S:
            self._finish(now_s, True, events)
            return
        if now_s - self._set_s >= PATIENCE_S:
            self._finish(now_s, False, events)

    def summary(self) -> dict[str, Any]:
        """Return reached, reached_by_planner, attempted, mean time, time of the open goal."""
        mean = sum(self._times) / len(self._times) if self._times else None
        return {
            'reached': self._reached, 'reached_by_planner': self._by_planner,
            'attempted': self._attempted, 'time_mean_s': mean,
            'open_s': None if self._set_s is None else self._now_s - self._set_s}

    def _finish(self, now_s: float, reached: bool, events: list[dict[str, Any]]) -> None:
        assert self._set_s is not None
        taken = now_s - self._set_s
        self._attempted += 1
        if reached:
            self._reached += 1
            self._by_planner += not self._fallback
            self._times.append(taken)
        events.append({
            'event': 'goal_reached' if reached else 'goal_missed', 'index': self._index,
            'time_s': taken, 'by_planner': reached and not self._fallback})
        self._index += 1
        self._there_s, self._published_s = None, -float('inf')
        self._set_s, self._fallback = now_s, self._state == 'FALLBACK'
        self._publish(self._goals[self._index % len(self._goals)], now_s)

    def _publish(self, goal: Goal, now_s: float) -> None:
        self._published_s = now_s
        if goal.joints_rad is not None and self._robot.kind == 'arm':
            message = JointState(name=list(self._robot.joint_names))
            message.header.stamp = to_time(now_s)
            message.position = array('d', goal.joints_rad.tobytes())
            self._joints.publish(message)
            return
        pose = PoseStamped()
        pose.header.frame_id, pose.header.stamp = self._frame, to_time(now_s)
        place, turn = pose.pose.position, pose.pose.orientation
        position, quaternion = pose_of(goal, self._robot)
        place.x, place.y, place.z = (float(x) for x in position)
        turn.x, turn.y, turn.z, turn.w = (float(x) for x in quaternion)
        self._pose.publish(pose)


def pose_of(goal: Goal, robot: Robot) -> tuple[Sequence[float], Sequence[float]]:
    """Return position and quaternion of a goal as messages carry them.

    The goal of a base that leaves the yaw free has a quaternion of all zeros.
    """
    if goal.position_m is None:
        assert goal.joints_rad is not None
        x, y, yaw = goal.joints_rad.tolist()
        return (x, y, 0.0), quaternion_of(yaw).tolist()
    if goal.quaternion is not None:
        return goal.position_m.tolist(), goal.quaternion.tolist()
    free = (0.0, 0.0, 0.0, 0.0 if robot.kind == 'base' else 1.0)
    return goal.position_m.tolist(), free
