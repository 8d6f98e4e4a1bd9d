# SPDX-License-Identifier: Apache-2.0
"""Twists for a receiver that holds the last one until its time-out, then brakes by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import require_known
from diffusion_control.robots.base import Base
from diffusion_control.robots.base_silence import Silence
from diffusion_control.safety.base.arc import rolled, stopping_s, then_stop, twist_at
from diffusion_control.safety.base.verify_kernels import STANDS
from diffusion_control.safety.outputs import SILENT_PERIODS, TWISTS, CommandSample
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]


class TwistOutput:
    """One twist a tick: that of C one period ahead.

    Args:
        robot: The base.
        parameters: Rate, time-out and delay.

    Raises:
        ConfigurationError: If the output type is not a twist.
    """

    def __init__(self, robot: Base, parameters: SafetyParameters) -> None:
        """Remember the times."""
        require_known(
            'a base is driven by twists', 'safety.command_out_type', parameters.command_out_type,
            TWISTS)
        self._period_s = 1.0 / parameters.rate_hz
        self._timeout_s = parameters.receiver_timeout_s
        self._delay_s = parameters.command_delay_s + robot.plant.motor_lag_s
        self._rule = Silence.of(robot.drive, parameters.receiver_timeout_s)
        self._omni = robot.drive.kind == 'omni'
        self._sent = np.zeros(3)

    def sample(self, committed: Trajectory, now_s: float, behind: Array) -> CommandSample | None:
        """Return the twist of C one period ahead; exactly 0 where C stands."""
        pose, twist = twist_at(committed, now_s + self._period_s, self._omni)
        self._sent = np.where(np.abs(twist) < STANDS, 0.0, twist)
        return CommandSample(pose, self._sent.copy())

    def tail_s(self, moving_s: float) -> float:
        """Return how long the base goes on after the last command, its own braking included."""
        if moving_s <= 0.0 or not self._sent.any():
            return 0.0
        rule = self._rule
        return rule.hold_s + self._delay_s + stopping_s(
            self._sent, rule.braking_m_s2, rule.yaw_braking_rad_s2)

    def after_silence(self, committed: Trajectory, last_s: float, now_s: float) -> Trajectory:
        """Return C; after a silence of over two periods, what the receiver did meanwhile."""
        silent_s = now_s - last_s
        if silent_s <= SILENT_PERIODS * self._period_s:
            return committed
        pose = twist_at(committed, last_s + self._period_s, self._omni)[0]
        rule, hold_s = self._rule, max(self._timeout_s - self._period_s, 1e-3)
        times, rows = then_stop(
            np.array([0.0, hold_s]), np.stack([self._sent, self._sent]), pose,
            rule.braking_m_s2, rule.yaw_braking_rad_s2, 0.05)
        return rolled(times, rows, committed, last_s + self._period_s)
