# SPDX-License-Identifier: Apache-2.0
"""What a robot's joints can do."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DROOP_RAD = 8e-3
"""How far inside the position limits set-points stay: a drive sags below them, or runs past."""


@dataclass(frozen=True)
class JointLimits:
    """Limits of n joints, each of shape [n], in the robot's joint order.

    Attributes:
        lower_rad: Lowest position [rad].
        upper_rad: Highest position [rad].
        velocity_rad_s: Highest absolute velocity [rad/s].
        acceleration_rad_s2: Highest absolute acceleration [rad/s^2].
        jerk_rad_s3: Highest absolute jerk [rad/s^3].
        torque_nm: Highest absolute torque of the drive [Nm].
    """

    lower_rad: Array
    upper_rad: Array
    velocity_rad_s: Array
    acceleration_rad_s2: Array
    jerk_rad_s3: Array
    torque_nm: Array

    def scaled(self, factor: float) -> JointLimits:
        """Return limits with velocity, acceleration, jerk and torque times `factor` in (0, 1].

        Positions stay as they are: a position limit is where the joint ends.
        """
        return replace(
            self,
            velocity_rad_s=self.velocity_rad_s * factor,
            acceleration_rad_s2=self.acceleration_rad_s2 * factor,
            jerk_rad_s3=self.jerk_rad_s3 * factor,
            torque_nm=self.torque_nm * factor,
        )

    def inset(self, by_rad: float) -> JointLimits:
        """Return limits whose position range begins and ends `by_rad` inside this one."""
        return replace(
            self, lower_rad=self.lower_rad + by_rad, upper_rad=self.upper_rad - by_rad)
