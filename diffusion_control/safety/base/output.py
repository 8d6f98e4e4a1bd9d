# SPDX-License-Identifier: Apache-2.0
"""Twists for a receiver that keeps the last one until its time-out and then brakes by itself."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.safety.base.arc import body_twist, silence, stop
from diffusion_control.safety.committed import at
from diffusion_control.safety.outputs import SILENT_PERIODS, CommandSample
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]


class TwistSample:
    """The twist of C one period ahead.

    Args:
        robot: The base.
        parameters: Rate, delay and time-out.
    """

    def __init__(self, robot: Base, parameters: SafetyParameters) -> None:
        """Remember drive and times."""
        self._drive, self._share = robot.drive, parameters.braking_fraction
        self._period_s = 1.0 / parameters.rate_hz
        self._delay_s, self._timeout_s = parameters.command_delay_s, parameters.receiver_timeout_s
        self._twist = np.zeros(3)

    def sample(self, committed: Trajectory, now_s: float, behind: Array) -> CommandSample | None:
        """Return the pose of C one period ahead, and its twist as velocity."""
        position, velocity, _ = at(committed, now_s + self._period_s)
        self._twist = body_twist(position[2], velocity)
        if self._drive.kind == 'diff_drive':
            self._twist[1] = 0.0
        return CommandSample(position, self._twist)

    def tail_s(self, moving_s: float) -> float:
        """Return the time until the robot stands if nothing more is sent [s]."""
        if moving_s == 0.0 and not self._twist.any():
            return 0.0
        linear = math.hypot(self._twist[0], self._twist[1]) / self._drive.braking_max_m_s2
        turn = float(abs(self._twist[2])) / self._drive.yaw_acceleration_max_rad_s2
        return self._timeout_s + max(linear, turn) + self._delay_s

    def after_silence(self, committed: Trajectory, last_s: float, now_s: float) -> Trajectory:
        """Return C; after a silence a stop from where the last twist has led."""
        silent_s = now_s - last_s
        if silent_s <= SILENT_PERIODS * self._period_s:
            return committed
        held = silence(at(committed, last_s)[0], self._twist, self._drive, self._timeout_s)
        led = held.trajectory(last_s, committed.names, committed.frame_id)
        position, velocity, _ = at(led, now_s)
        tail = stop(position, body_twist(position[2], velocity), self._drive, self._share)
        return tail.trajectory(now_s, committed.names, committed.frame_id)
