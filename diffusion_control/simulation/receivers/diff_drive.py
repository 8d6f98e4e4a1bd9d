# SPDX-License-Identifier: Apache-2.0
"""A diff_drive_controller: twists in, held until the time-out, then its own braking."""

from __future__ import annotations

from collections import Counter

import numpy as np

from diffusion_control.robots.base_config import BaseDrive
from diffusion_control.simulation.receivers.messages import Message, TwistMessage
from diffusion_control.trajectory.trajectory import Array


class DiffDrive:
    """Follow twists as diff_drive_controller (ros2_controllers, Jazzy) does, with its limiters on.

    The last twist is wanted until `timeout_s` after its stamp (`cmd_vel_timeout`; a stamp of 0, or
    a Twist, which has none, counts from its arrival); from then on the twist 0 is wanted. A twist
    that is older than the time-out when it arrives, or not finite, is ignored. At each update of
    period P the output moves towards what is wanted, clipped to the limits of speed,

        |v' - v| <= a P,   a = acceleration_max where |v| grows, braking_max where it falls,

    the same for omega with `yaw_acceleration_max` both ways. A speed that changes its sign brakes
    to 0 first. An omnidirectional base limits the vector (v_x, v_y) in this way.

    Args:
        drive: Limits; the message's sideways speed counts for an omnidirectional base alone.
        timeout_s: `cmd_vel_timeout` [s].
        period_s: Update period P [s].
    """

    profile = 'diff_drive'

    def __init__(self, drive: BaseDrive, timeout_s: float, *, period_s: float = 0.001) -> None:
        self.counters: Counter[str] = Counter()
        self.timeout_s, self.period_s = timeout_s, period_s
        self._drive, self._omni = drive, drive.kind == 'omni'
        self._wanted, self._output = np.zeros(3), np.zeros(3)
        self._stamp_s = -np.inf

    def reset(self, position: Array, now_s: float) -> None:
        """Activate anew: forget all twists, stand."""
        del position, now_s
        self._wanted[:] = self._output[:] = 0.0
        self._stamp_s = -np.inf

    def receive(self, message: Message, now_s: float) -> bool:
        """Take one twist: forward, sideways [m/s], yaw rate [rad/s]."""
        reason = self._refusal(message, now_s)
        self.counters[reason or 'accepted'] += 1
        if reason or not isinstance(message, TwistMessage):
            return False
        self._wanted[:] = self._clipped(np.asarray(message.twist, dtype=float))
        self._stamp_s = message.stamp_s or now_s
        return True

    def twist(self, now_s: float) -> Array:
        """Run one update at `now_s`; return forward, sideways and yaw rate, shape [3].

        The array belongs to the receiver and is overwritten by the next call.
        """
        if now_s - self._stamp_s > self.timeout_s:
            self._wanted[:] = 0.0
        drive, out = self._drive, self._output
        period_s = self.period_s
        change = self._wanted[:2] - out[:2]
        size = float(np.hypot(change[0], change[1]))
        if size > 0.0:
            self._move(change, size, period_s)
        most = drive.yaw_acceleration_max_rad_s2 * period_s
        out[2] += min(max(self._wanted[2] - out[2], -most), most)
        return out

    def _move(self, change: Array, size: float, period_s: float) -> None:
        """Move the speed towards the wanted one, through 0 where it turns round."""
        drive, out, wanted = self._drive, self._output, self._wanted
        speed = float(np.hypot(out[0], out[1]))
        goal = float(np.hypot(wanted[0], wanted[1]))
        if float(out[:2] @ wanted[:2]) < 0.0:
            change, size, goal = -out[:2], speed, 0.0
        falls = goal < speed
        most = (drive.braking_max_m_s2 if falls else drive.acceleration_max_m_s2) * period_s
        out[:2] += change * min(1.0, most / size)

    def _refusal(self, message: Message, now_s: float) -> str:
        if not isinstance(message, TwistMessage):
            return 'type'
        try:
            values = np.asarray(message.twist, dtype=float)
        except (TypeError, ValueError):
            return 'size'
        if values.shape != (3,):
            return 'size'
        if not (np.isfinite(values).all() and np.isfinite(message.stamp_s)):
            return 'not_finite'
        return 'old' if message.stamp_s and now_s - message.stamp_s > self.timeout_s else ''

    def _clipped(self, twist: Array) -> Array:
        """Return a twist within the limits of speed."""
        drive = self._drive
        rate = np.clip(twist[2], -drive.yaw_rate_max_rad_s, drive.yaw_rate_max_rad_s)
        if not self._omni:
            return np.array([np.clip(twist[0], -drive.reverse_max_m_s, drive.speed_max_m_s),
                             0.0, rate])
        share = min(1.0, drive.speed_max_m_s / max(float(np.hypot(*twist[:2])), 1e-12))
        return np.array([twist[0] * share, twist[1] * share, rate])
