# SPDX-License-Identifier: Apache-2.0
"""The measured state of a robot at one instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RobotState:
    """Positions and velocities in the robot's joint order.

    Attributes:
        position: [rad] (a base: x, y, yaw [m, m, rad]), shape [n].
        velocity: [rad/s] (a base: vx, vy, yaw rate), shape [n].
        stamp_s: ROS time of the measurement [s].
    """

    position: Array
    velocity: Array
    stamp_s: float = 0.0
