# SPDX-License-Identifier: Apache-2.0
"""What a planar laser saw, and which of it neither map nor known obstacles explain."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scan:
    """One sweep, as in sensor_msgs/LaserScan, with the sensor's pose at its time.

    Attributes:
        stamp_s: ROS time [s].
        angle_min_rad: Direction of the first ray in the sensor's frame [rad].
        angle_step_rad: From ray to ray [rad].
        ranges_m: Shape [R] [m]; what is not in [least, most] saw nothing.
        least_m: Shortest range that counts [m].
        most_m: Longest range that counts [m].
        pose: x, y, yaw of the sensor in `odom` when it measured, shape [3].
    """

    stamp_s: float
    angle_min_rad: float
    angle_step_rad: float
    ranges_m: Array
    least_m: float
    most_m: float
    pose: Array = field(default_factory=lambda: np.zeros(3))

    @property
    def finite(self) -> bool:
        """Whether pose, angles and limits are numbers; ranges need not be."""
        numbers = [self.stamp_s, self.angle_min_rad, self.angle_step_rad, self.least_m,
                   self.most_m, *self.pose]
        return bool(np.isfinite(numbers).all())

    def points(self) -> Array:
        """Return what was hit, in `odom`, shape [P, 2] [m]; rays that hit nothing are left out."""
        ranges = np.asarray(self.ranges_m, dtype=float)
        with np.errstate(invalid='ignore'):
            good = np.isfinite(ranges) & (ranges >= self.least_m) & (ranges <= self.most_m)
        angles = self.pose[2] + self.angle_min_rad + self.angle_step_rad * np.flatnonzero(good)
        found = ranges[good]
        return np.stack([self.pose[0] + found * np.cos(angles),
                         self.pose[1] + found * np.sin(angles)], axis=1)
