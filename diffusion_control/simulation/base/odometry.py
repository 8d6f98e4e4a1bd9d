# SPDX-License-Identifier: Apache-2.0
"""Where a base believes to be: its wheels' turns added up, and what goes wrong with that."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.simulation.model import PERIOD_S
from diffusion_control.simulation.plant_base import BaseDeviations

Array = NDArray[np.float64]


class Odometry:
    """Add up what moves in the body's frame, with the robot file's numbers.

    Of the wheels' ways l and r:  forward s = (l + r) / 2,  turn = (r - l) / w  with the nominal
    radius and distance w: wrong wheels, slip and skidding make it drift by themselves. On top,
    s is multiplied by 1 + `odom_drift_scale` and the turn gets `odom_drift_rad_m` |s|.

    Args:
        robot: The nominal robot.
        deviations: Drift, and where it begins.
    """

    def __init__(self, robot: Base, deviations: BaseDeviations) -> None:
        self._separation_m = robot.drive.wheel_separation_m
        self._wheels = robot.drive.kind == 'diff_drive'
        self._factor, self._bend = 1.0 + deviations.odom_drift_scale, deviations.odom_drift_rad_m
        self._from_zero = deviations.odom_from_zero
        self.pose, self.velocity = np.zeros(3), np.zeros(3)

    def reset(self, pose: Array) -> None:
        """Begin at 0, or at the true pose [3]."""
        self.pose[:] = 0.0 if self._from_zero else pose
        self.velocity[:] = 0.0

    def update(self, travel_m: Sequence[float]) -> None:
        """Take what moved in a period: two wheels, or forward, sideways and the turn."""
        if self._wheels:
            left, right = travel_m
            ahead, aside = (left + right) / 2, 0.0
            turn = (right - left) / self._separation_m
        else:
            ahead, aside, turn = travel_m
        turn += self._bend * math.hypot(ahead, aside)
        ahead, aside = ahead * self._factor, aside * self._factor
        pose, velocity = self.pose, self.velocity
        x, y, yaw = pose.tolist()
        cosine, sine = math.cos(yaw + turn / 2), math.sin(yaw + turn / 2)
        step_x, step_y = cosine * ahead - sine * aside, sine * ahead + cosine * aside
        pose[0], pose[1], pose[2] = x + step_x, y + step_y, yaw + turn
        velocity[0], velocity[1] = step_x / PERIOD_S, step_y / PERIOD_S
        velocity[2] = turn / PERIOD_S
