# SPDX-License-Identifier: Apache-2.0
"""Odometry of a base: where it is in `odom`, how fast it goes there, and where it was before."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.qos import QoSProfile

from diffusion_control.nodes.mailbox import Mailbox
from diffusion_control.nodes.qos import SENSOR
from diffusion_control.nodes.taps import Arrival, Taps
from diffusion_control.nodes.wire_base import OdometryRow, decode_odometry
from diffusion_control.robots.base import Base
from diffusion_control.robots.planar import turned, unwrapped, yaw_of
from diffusion_control.robots.state import RobotState

Array = NDArray[np.float64]
MEMORY = 400
AHEAD_S = 0.1
CLOCK_WENT_BACK_S = 1.0


class OdometryInput:
    """Measured state x, y, yaw (continuous) and its rate of change in `odom`.

    A message in other frames, with numbers that are not finite, or older than the last one is
    refused. The twist of an odometry is in the child frame (REP 147): it is turned by the yaw.
    """

    def __init__(self, taps: Taps, robot: Base, qos: QoSProfile = SENSOR) -> None:
        """Subscribe to `odom`."""
        self.box: Mailbox[RobotState] = Mailbox()
        self.rejected = 0
        self.last_error = ''
        self._frames = (robot.base_frame, robot.body_frame)
        self._past: deque[RobotState] = deque(maxlen=MEMORY)
        taps.subscribe(Odometry, 'odom', self._receive, qos, raw=True)

    @property
    def yaw(self) -> float:
        """The yaw measured last [rad], 0 before the first one."""
        return float(self._past[-1].position[2]) if self._past else 0.0

    def pose_at(self, stamp_s: float) -> Array | None:
        """Return the pose at a ROS time [s]: between two measurements, or a little after the last.

        None before the first one that is remembered, or more than 0.1 s after the last one.
        """
        past = self._past
        if not past or stamp_s < past[0].stamp_s or stamp_s > past[-1].stamp_s + AHEAD_S:
            return None
        index = bisect_right(past, stamp_s, key=lambda state: state.stamp_s) - 1
        state = past[index]
        if index + 1 == len(past):
            return state.position + (stamp_s - state.stamp_s) * state.velocity
        after = past[index + 1]
        share = (stamp_s - state.stamp_s) / max(after.stamp_s - state.stamp_s, 1e-9)
        return state.position + share * (after.position - state.position)

    def _receive(self, data: bytes, arrival: Arrival) -> None:
        row = decode_odometry(data)
        problem = 'cannot be decoded' if row is None else self._problem(row)
        if row is None or problem:
            self.rejected += 1
            self.last_error = f'odom {problem}'
            return
        if self._past and row.stamp_s < self._past[-1].stamp_s - CLOCK_WENT_BACK_S:
            self._past.clear()
        if self._past and row.stamp_s < self._past[-1].stamp_s:
            return
        yaw = unwrapped(yaw_of(np.array(row.pose[3:])), self.yaw)
        position = np.array([row.pose[0], row.pose[1], yaw])
        velocity = turned(position, np.array([row.twist[0], row.twist[1], row.twist[5]]))
        state = RobotState(position, velocity, row.stamp_s)
        self._past.append(state)
        self.box.put(state, arrival.age_s)

    def _problem(self, row: OdometryRow) -> str:
        """Return what is wrong with a message, or an empty text."""
        for frame, wanted in zip((row.frame_id, row.child_frame_id), self._frames, strict=True):
            if frame not in ('', wanted):
                return f'is in the frame {frame}, not {wanted}'
        if not np.isfinite((*row.pose, *row.twist)).all():
            return 'has numbers that are not finite'
        return '' if np.any(row.pose[3:]) else 'has no orientation'
