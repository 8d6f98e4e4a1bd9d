# SPDX-License-Identifier: Apache-2.0
"""The motions that the monitor of a base may commit: as for an arm, but along the body's axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.safety.base.arc import body_twist, integrate, stop
from diffusion_control.safety.candidates import HARDEST, Candidates
from diffusion_control.safety.committed import Piece, cut, join, stand
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]


class ArcCandidates(Candidates):
    """Build candidate motions of a base; stops keep the arc.

    Args:
        robot: The base.
        parameters: Braking fraction, lead and accepted jumps.
    """

    def __init__(self, robot: Base, parameters: SafetyParameters) -> None:
        """Remember what the drive can do."""
        super().__init__(robot.limits, parameters)
        self._drive, self._share = robot.drive, parameters.braking_fraction
        self._position_jump, self._velocity_jump = 0.02, np.full(3, 0.05)

    def towards(
        self, committed: Trajectory, velocity: Array, now_s: float, ahead_s: float, *,
        gently: bool = False,
    ) -> Trajectory:
        """Return a change of the twist towards that of a velocity [3], and then a stop."""
        start = cut(committed, now_s, now_s, now_s)
        twist = body_twist(start.position[0, 2], start.velocity[0])
        wanted = body_twist(start.position[0, 2], velocity)
        drive = self._drive
        most = np.array([drive.acceleration_max_m_s2, drive.acceleration_max_m_s2,
                         drive.yaw_acceleration_max_rad_s2]) * self._share * ahead_s
        reached = twist + np.clip(wanted - twist, -most, most)
        piece = integrate(
            start.position[0], np.array([0.0, ahead_s]), np.stack([twist, reached]))
        return self._stopped(piece, committed, now_s)

    def brake(self, committed: Trajectory, now_s: float, *, hardest: bool = False) -> Trajectory:
        """Return a stop from C that begins now."""
        start = cut(committed, now_s, now_s, now_s)
        share = HARDEST if hardest else self._share
        twist = body_twist(start.position[0, 2], start.velocity[0])
        return self._finish(
            stop(start.position[0], twist, self._drive, share), committed, now_s)

    def approach(self, committed: Trajectory, target: Array, now_s: float) -> Trajectory:
        """Return standing where the robot is: it is driven by twists, so no way leads there."""
        return stand(target, now_s, committed.names, committed.frame_id)

    def _stopped(self, piece: Piece, committed: Trajectory, now_s: float) -> Trajectory:
        last = piece.position[-1]
        twist = body_twist(last[2], piece.velocity[-1])
        tail = stop(last, twist, self._drive, self._share, float(piece.times_s[-1]))
        return self._finish(join(piece, tail), committed, now_s)
