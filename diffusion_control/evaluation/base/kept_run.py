# SPDX-License-Identifier: Apache-2.0
"""A closed loop of a base left as a run folder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.kept_run import (
    MOTION_TOPICS,
    KeptRun,
    header_message,
    pose_message,
    time_message,
)
from diffusion_control.robots.base import Base
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.planar import quaternion_of, turned
from diffusion_control.robots.state import RobotState
from diffusion_control.safety.outputs import CommandSample
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
TYPES = {
    'odom': 'nav_msgs/msg/Odometry', 'map': 'nav_msgs/msg/OccupancyGrid',
    'map_to_odom': 'geometry_msgs/msg/TransformStamped',
    **dict.fromkeys(MOTION_TOPICS, 'trajectory_msgs/msg/MultiDOFJointTrajectory')}


class KeptBaseRun(KeptRun):
    """As `KeptRun`; goals, obstacles and the map are written in `map`, motions in `odom`."""

    kind = 'base'
    own_types = TYPES
    command_type = 'geometry_msgs/msg/TwistStamped'
    _robot: Base

    def notes(self) -> dict[str, Any]:
        """Return what a reader must know of the command."""
        return {'command_type': 'twist_stamped', 'profile': 'diff_drive',
                'receiver_timeout_s': self._robot.receiver_timeout_s}

    @property
    def obstacle_frame(self) -> str:
        """Frame of the obstacles that are written."""
        return self._robot.map_frame

    def motion(self, topic: str, motion: Trajectory, now_s: float) -> None:
        """Write a motion under a topic."""
        points = [
            {'transforms': [_transform(q)], 'velocities': [_twist(v)], 'accelerations': [],
             'time_from_start': time_message(at)}
            for at, q, v in zip(motion.times_s, motion.position, motion.velocity, strict=True)]
        self.write(topic, {
            'header': header_message(motion.stamp_s, motion.frame_id), 'joint_names': ['base'],
            'points': points}, now_s)

    def command(self, motion: Trajectory, sample: CommandSample | None, now_s: float) -> None:
        """Write what is committed, and the twist that the monitor sends."""
        self.motion('safety/committed', motion, now_s)
        if sample is not None:
            self.twist(sample.velocity, now_s)

    def twist(self, twist: Array, now_s: float) -> None:
        """Write a twist that is sent."""
        self.write(self._command, {
            'header': header_message(now_s, self._robot.body_frame), 'twist': _twist(twist)},
            now_s)

    def joints(self, state: RobotState, now_s: float) -> None:
        """Write the odometry."""
        body = turned(np.array([0.0, 0.0, -state.position[2]]), state.velocity)
        covariance = [0.0] * 36
        self.write('odom', {
            'header': header_message(state.stamp_s, self._robot.base_frame),
            'child_frame_id': self._robot.body_frame,
            'pose': {'pose': _pose(state.position), 'covariance': covariance},
            'twist': {'twist': _twist(body), 'covariance': covariance}}, now_s)

    def goal(self, goal: Goal, now_s: float) -> None:
        """Write a goal, which is given in `map`."""
        header = header_message(now_s, self._robot.map_frame)
        if goal.joints_rad is not None:
            pose = _pose(goal.joints_rad)
        else:
            turn = np.zeros(4) if goal.quaternion is None else goal.quaternion
            pose = pose_message(np.asarray(goal.position_m), turn)
        self.write('goal_pose', {'header': header, 'pose': pose}, now_s)

    def place(self, known: OccupancyMap, now_s: float) -> None:
        """Write the map, which is given in `map`."""
        rows, columns = known.cells.shape
        self.write('map', {
            'header': header_message(now_s, self._robot.map_frame),
            'info': {
                'map_load_time': time_message(0.0), 'resolution': known.resolution_m,
                'width': columns, 'height': rows, 'origin': _pose(known.origin)},
            'data': known.cells.ravel().tolist()}, now_s)

    def odom_in_map(self, pose: Array, now_s: float) -> None:
        """Write where `odom` lies in `map`."""
        self.write('map_to_odom', {
            'header': header_message(now_s, self._robot.map_frame),
            'child_frame_id': self._robot.base_frame, 'transform': _transform(pose)}, now_s)


def _pose(pose: Array) -> dict[str, Any]:
    """Return a Pose message of x, y, yaw."""
    return pose_message(np.array([pose[0], pose[1], 0.0]), quaternion_of(float(pose[2])))


def _transform(pose: Array) -> dict[str, Any]:
    """Return a Transform message of x, y, yaw."""
    message = _pose(pose)
    return {'translation': message['position'], 'rotation': message['orientation']}


def _twist(values: Array) -> dict[str, Any]:
    """Return a Twist message of vx, vy, yaw rate."""
    return {'linear': {'x': float(values[0]), 'y': float(values[1]), 'z': 0.0},
            'angular': {'x': 0.0, 'y': 0.0, 'z': float(values[2])}}
