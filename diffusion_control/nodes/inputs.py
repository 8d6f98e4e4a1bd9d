# SPDX-License-Identifier: Apache-2.0
"""The inputs that several nodes share: joint states, obstacles, goals."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from visualization_msgs.msg import MarkerArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes.convert import MarkerReader, marker_rows, order_of
from diffusion_control.nodes.mailbox import Mailbox
from diffusion_control.nodes.qos import SENSOR, STANDARD
from diffusion_control.nodes.taps import Arrival, Taps
from diffusion_control.nodes.wire_messages import (
    JointStateRow,
    decode_joint_state,
    decode_markers,
    joint_names,
)
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacle_observer import ObstacleObserver
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.state import RobotState

Array = NDArray[np.float64]
SPLIT_AGE_S = 0.05
MOST_NAME_MAPS = 16
MAX_SPEED_M_S = 0.5


@dataclass(frozen=True)
class _NameMap:
    """Which entries of a message are wanted (`source`), and which joints they are (`target`)."""

    count: int
    source: NDArray[np.intp]
    target: NDArray[np.intp]


class JointStateInput:
    """Measured state in the robot's joint order, merged by name over several publishers.

    A message that is older than the last one of the same joint is ignored; a position that is
    not finite makes that joint's value missing (it ages); a velocity that is not finite is normal
    for some joint_state_broadcasters and becomes 0.
    """

    def __init__(
        self, taps: Taps, names: tuple[str, ...], qos: QoSProfile = SENSOR
    ) -> None:
        """Subscribe to `joint_states`."""
        self.box: Mailbox[RobotState] = Mailbox()
        self.rejected = 0
        self._wanted = {name: k for k, name in enumerate(names)}
        self._maps: dict[bytes, _NameMap] = {}
        self._position = np.zeros(len(names))
        self._velocity = np.zeros(len(names))
        self._stamp = np.full(len(names), -np.inf)
        taps.subscribe(JointState, 'joint_states', self._receive, qos, raw=True)

    def _receive(self, data: bytes, arrival: Arrival) -> None:
        row = decode_joint_state(data)
        if row is None or len(row.position) == 0:
            self.rejected += 1
            return
        try:
            names = self._map(row.names)
        except ValueError:
            self.rejected += 1
            return
        if row.stamp_s < self._stamp.max() - 1.0:
            self._stamp[:] = -np.inf
        if names.count != len(row.position):
            self.rejected += 1
            return
        self._take(row, names, arrival)

    def _map(self, section: bytes) -> _NameMap:
        """Return where the wanted joints stand in messages with these names."""
        known = self._maps.get(section)
        if known is None:
            given = joint_names(section)
            pairs = [(k, self._wanted[n]) for k, n in enumerate(given) if n in self._wanted]
            known = _NameMap(
                len(given), np.array([k for k, _ in pairs], dtype=np.intp),
                np.array([index for _, index in pairs], dtype=np.intp))
            if len(self._maps) < MOST_NAME_MAPS:
                self._maps[section] = known
        return known

    def _take(self, row: JointStateRow, names: _NameMap, arrival: Arrival) -> None:
        position = row.position[names.source]
        velocity = (
            row.velocity[names.source] if len(row.velocity) == names.count
            else np.zeros(len(names.source)))
        usual = len(position) and math.isfinite(position.sum() + velocity.sum())
        if usual and row.stamp_s >= self._stamp.max():  # nothing to sort out
            self._position[names.target], self._velocity[names.target] = position, velocity
            self._stamp[names.target] = row.stamp_s
        elif not self._take_some(row, names, position, velocity):
            return
        if row.stamp_s - self._stamp.min() <= SPLIT_AGE_S:
            self.box.put(
                RobotState(self._position.copy(), self._velocity.copy(), row.stamp_s),
                arrival.age_s)

    def _take_some(
        self, row: JointStateRow, names: _NameMap, position: Array, velocity: Array
    ) -> bool:
        """Take over what is finite and not older than what is known; return whether any is."""
        finite = np.isfinite(position)
        self.rejected += int(len(finite) - finite.sum())
        newer = finite & (row.stamp_s >= self._stamp[names.target])
        target = names.target[newer]
        self._position[target] = position[newer]
        self._velocity[target] = np.nan_to_num(velocity[newer], posinf=0.0, neginf=0.0)
        self._stamp[target] = row.stamp_s
        return bool(newer.any())


class ObstacleInput:
    """The observed set of obstacles, with velocities, and the stamp it is of."""

    def __init__(
        self, node: Node, taps: Taps, robot: Robot, max_speed_m_s: float = MAX_SPEED_M_S
    ) -> None:
        """Subscribe to `obstacles`."""
        self.box: Mailbox[tuple[tuple[Obstacle, ...], float]] = Mailbox()
        self.rejected = 0
        self.last_error = ''
        self._node, self._reader = node, MarkerReader(robot.base_frame)
        self._observer = ObstacleObserver(max_speed_m_s)
        taps.subscribe(MarkerArray, 'obstacles', self._receive, STANDARD, raw=True)

    def _receive(self, data: bytes, arrival: Arrival) -> None:
        try:
            rows = decode_markers(data)
            if rows is None:
                rows = marker_rows(deserialize_message(data, MarkerArray))
            observed = self._reader.read(rows)
            stamps = [row.stamp_s for row in rows]
            now = self._node.get_clock().now().nanoseconds * 1e-9 - arrival.age_s
            stamp = min(max(stamps), now) if stamps and max(stamps) > 0.0 else now
            seen = self.observed(observed, stamp)
        except (ConfigurationError, RuntimeError) as error:
            self.rejected += 1
            self.last_error = str(error)
            return
        self.box.put((seen, stamp), arrival.age_s)

    def observed(
        self, obstacles: tuple[Obstacle, ...], stamp_s: float
    ) -> tuple[Obstacle, ...]:
        """Return the obstacles of one message, with velocities, in the base frame."""
        return self._observer.update(obstacles, stamp_s)


class GoalInput:
    """The newest valid goal; a bad one is refused with a clear message and the old one stays."""

    def __init__(self, node: Node, taps: Taps, robot: Robot) -> None:
        """Subscribe to `goal_pose` and `goal_joints`."""
        self.box: Mailbox[Goal] = Mailbox()
        self.rejected = 0
        self._node, self._robot = node, robot
        taps.subscribe(PoseStamped, 'goal_pose', self._receive_pose, STANDARD)
        taps.subscribe(JointState, 'goal_joints', self._receive_joints, STANDARD)

    def look(self) -> Goal | None:
        """Return the goal in the base frame, or None without one."""
        return self.box.look()

    def _receive_pose(self, message: PoseStamped, arrival: Arrival) -> None:
        position, orientation = message.pose.position, message.pose.orientation
        try:
            if message.header.frame_id not in ('', self._robot.base_frame):
                raise ConfigurationError(
                    'the goal is in another frame', where='goal_pose.header.frame_id',
                    value=message.header.frame_id, allowed=self._robot.base_frame)
            goal = Goal(
                position_m=np.array([position.x, position.y, position.z]),
                quaternion=np.array(
                    [orientation.x, orientation.y, orientation.z, orientation.w]))
            self._accept(goal)
        except ConfigurationError as error:
            self._refuse(error)

    def _receive_joints(self, message: JointState, arrival: Arrival) -> None:
        try:
            self._accept(Goal(joints_rad=goal_joints(message, self._robot)))
        except ConfigurationError as error:
            self._refuse(error)

    def _accept(self, goal: Goal) -> None:
        goal.check(self._robot)
        self.box.put(goal)

    def _refuse(self, error: ConfigurationError) -> None:
        self.rejected += 1
        self._node.get_logger().error(f'goal refused, the old one stays: {error}')


def goal_joints(message: JointState, robot: Robot) -> Array:
    """Return the positions of a `goal_joints` message in the robot's order, shape [n].

    Raises:
        ConfigurationError: Other names than the robot's, or not a position for each.
    """
    order = order_of(message.name, robot.joint_names, 'goal_joints')
    if len(message.position) != len(message.name):
        raise ConfigurationError(
            'goal_joints needs a position for each name', where='goal_joints.position',
            value=len(message.position), allowed=str(len(message.name)))
    return np.asarray(message.position, dtype=float)[order]


def same_goal(one: Goal | None, other: Goal | None) -> bool:
    """Tell whether two goals are the same to 1e-6."""
    if one is None or other is None:
        return one is other
    for name in ('joints_rad', 'position_m', 'quaternion'):
        a, b = getattr(one, name), getattr(other, name)
        if (a is None) != (b is None):
            return False
        if a is not None and not np.allclose(a, b, rtol=0.0, atol=1e-6):
            return False
    return True


def advance(obstacles: tuple[Obstacle, ...], duration_s: float) -> tuple[Obstacle, ...]:
    """Return the obstacles moved on at constant velocity for a duration [s]."""
    return tuple(
        replace(o, position_m=o.position_m + o.velocity_m_s * duration_s) if o.may_move else o
        for o in obstacles)
