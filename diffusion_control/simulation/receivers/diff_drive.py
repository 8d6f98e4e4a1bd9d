# SPDX-License-Identifier: Apache-2.0
"""A diff_drive_controller: twists in, held until the time-out, then its own braking."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from diffusion_control.robots.base_config import BaseDrive
from diffusion_control.simulation.receivers.messages import Message, TwistMessage
from diffusion_control.trajectory.trajectory import Array

STILL = (0.0, 0.0, 0.0)


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
        self._wanted = self._speed = STILL
        self._output = np.zeros(3)
        self._stamp_s = -math.inf

    def reset(self, position: Array, now_s: float) -> None:
        """Activate anew: forget all twists, stand."""
        del position, now_s
        self._wanted = self._speed = STILL
        self._output[:] = 0.0
        self._stamp_s = -math.inf

    def receive(self, message: Message, now_s: float) -> bool:
        """Take one twist: forward, sideways [m/s], yaw rate [rad/s]."""
        reason = self._refusal(message, now_s)
        self.counters[reason or 'accepted'] += 1
        if reason or not isinstance(message, TwistMessage):
            return False
        self._wanted = self._clipped(*np.asarray(message.twist, dtype=float).tolist())
        self._stamp_s = message.stamp_s or now_s
        return True

    def twist(self, now_s: float) -> Array:
        """Run one update at `now_s`; return forward, sideways and yaw rate, shape [3].

        The array belongs to the receiver and is overwritten by the next call.
        """
        if now_s - self._stamp_s > self.timeout_s:
            self._wanted = STILL
        (x, y, yaw), out = self._speed, self._output
        x, y = self._moved(x, y)
        most = self._drive.yaw_acceleration_max_rad_s2 * self.period_s
        yaw += min(max(self._wanted[2] - yaw, -most), most)
        self._speed = out[0], out[1], out[2] = x, y, yaw
        return out

    def _moved(self, x: float, y: float) -> tuple[float, float]:
        """Return the speed moved towards the wanted one, through 0 where it turns round."""
        wanted_x, wanted_y, _ = self._wanted
        change_x, change_y = wanted_x - x, wanted_y - y
        size = _length(change_x, change_y)
        if not size > 0.0:
            return x, y
        drive, speed, goal = self._drive, _length(x, y), _length(wanted_x, wanted_y)
        if x * wanted_x + y * wanted_y < 0.0:
            change_x, change_y, size, goal = -x, -y, speed, 0.0
        falls = goal < speed
        most = (drive.braking_max_m_s2 if falls else drive.acceleration_max_m_s2) * self.period_s
        share = min(1.0, most / size)
        return x + change_x * share, y + change_y * share

    def _refusal(self, message: Message, now_s: float) -> str:
        if not isinstance(message, TwistMessage):
            return 'type'
        try:
            values = np.asarray(message.twist, dtype=float)
        except (TypeError, ValueError):
            return 'size'
        if values.shape != (3,):
            return 'size'
        if not all(map(math.isfinite, (*values.tolist(), message.stamp_s))):
            return 'not_finite'
        return 'old' if message.stamp_s and now_s - message.stamp_s > self.timeout_s else ''

    def _clipped(self, x: float, y: float, yaw: float) -> tuple[float, float, float]:
        """Return a twist within the limits of speed."""
        drive = self._drive
        rate = min(max(yaw, -drive.yaw_rate_max_rad_s), drive.yaw_rate_max_rad_s)
        if not self._omni:
            return min(max(x, -drive.reverse_max_m_s), drive.speed_max_m_s), 0.0, rate
        share = min(1.0, drive.speed_max_m_s / max(_length(x, y), 1e-12))
        return x * share, y * share, rate


def _length(x: float, y: float) -> float:
    """Return the length of a vector; without a sideways part it needs no root."""
    return abs(x) if y == 0.0 else float(np.hypot(x, y))
