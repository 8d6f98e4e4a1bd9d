# SPDX-License-Identifier: Apache-2.0
"""Whether a motion of a base may be committed, and what its receiver does on silence with it.

Two motions are checked against obstacles, walls and scan: the motion itself, which the monitor
drives to its end, and the one that the receiver makes of the next twist if it hears nothing more:
that twist for `receiver_timeout_s`, then the receiver's own braking.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.safety.base.arc import body_twist, silence
from diffusion_control.safety.committed import at
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.verify import Surroundings, Verification, Verifier
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
SIDEWAYS_M_S = 0.03
SLACK = 1.05
REST = 1e-3


class BaseVerifier(Verifier):
    """Check motions of a base.

    Args:
        robot: Drive and collision shape.
        parameters: Margin, delay, time-out and bounds of the movers.
    """

    def __init__(self, robot: Base, parameters: SafetyParameters) -> None:
        """Take over limits and bounds."""
        super().__init__(robot, parameters)
        self._drive, self._timeout_s = robot.drive, parameters.receiver_timeout_s
        self._period_s = 1.0 / parameters.rate_hz

    def verify(
        self, motion: Trajectory, around: Surroundings, *, complete: bool = True
    ) -> Verification:
        """Return whether a motion that begins now may be driven, and its twist be sent."""
        check = super().verify(motion, around, complete=complete)
        if not check.ok or check.standing:
            return check
        held = self.silent(motion)
        other = super().verify(held, around, complete=complete)
        h_min = min(check.h_min, other.h_min)
        if other.ok:
            return replace(check, h_min=h_min)
        return replace(check, ok=False, reason=other.reason, h_min=h_min)

    def silent(self, motion: Trajectory) -> Trajectory:
        """Return what the receiver makes of the next twist without a further one."""
        position, velocity, _ = at(motion, motion.stamp_s + self._period_s)
        start = at(motion, motion.stamp_s)[0]
        twist = body_twist(position[2], velocity)
        return silence(start, twist, self._drive, self._timeout_s + self._period_s).trajectory(
            motion.stamp_s, motion.names, motion.frame_id)

    def limits(self, motion: Trajectory, dense: Array) -> tuple[str, int]:
        """Return the code and the index of a broken limit of twist or wheels, or ('', 0)."""
        if np.abs(motion.velocity[-1]).max() > REST:
            return 'not_at_rest', len(motion.times_s) - 1
        drive, yaw = self._drive, motion.position[:, 2]
        c, s = np.cos(yaw), np.sin(yaw)
        vx, vy, rate = motion.velocity.T
        ahead, aside = c * vx + s * vy, c * vy - s * vx
        if drive.kind == 'diff_drive':
            wheel = np.abs(ahead) + np.abs(rate) * drive.wheel_separation_m / 2
            over = ((ahead > SLACK * drive.speed_max_m_s)
                    | (ahead < -SLACK * drive.reverse_max_m_s - 0.01)
                    | (wheel > SLACK * drive.wheel_travel_max_m_s)
                    | (np.abs(aside) > SIDEWAYS_M_S))
        else:
            over = np.hypot(ahead, aside) > SLACK * drive.speed_max_m_s
        over |= np.abs(rate) > SLACK * drive.yaw_rate_max_rad_s
        if over.any():
            return 'velocity_limit', int(np.argmax(over))
        width = np.diff(motion.times_s)
        push = np.abs(np.diff(ahead)) / width
        turn = np.abs(np.diff(rate)) / width
        hard = ((push > 1.1 * max(drive.acceleration_max_m_s2, drive.braking_max_m_s2) + 0.05)
                | (turn > 1.1 * drive.yaw_acceleration_max_rad_s2 + 0.05)) & (width > 5e-3)
        if hard.any():
            return 'acceleration_limit', int(np.argmax(hard))
        return '', 0
