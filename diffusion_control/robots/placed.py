# SPDX-License-Identifier: Apache-2.0
"""An obstacle of one planar frame, seen from the parent of that frame."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.obstacles import Obstacle


def placed(obstacle: Obstacle, pose: NDArray[np.float64]) -> Obstacle:
    """Return an obstacle of the frame with the pose x, y, yaw [3] where that frame is seen from.

    Written out in floats: every node of a base does it to every obstacle of every message.
    """
    px, py, yaw = pose.tolist()
    x, y, z = obstacle.position_m.tolist()
    vx, vy, vz = obstacle.velocity_m_s.tolist()
    i, j, k, w = obstacle.quaternion.tolist()
    c, s = math.cos(yaw), math.sin(yaw)
    half_c, half_s = math.cos(yaw / 2.0), math.sin(yaw / 2.0)
    return Obstacle(
        obstacle.shape, obstacle.size_m, np.array([px + c * x - s * y, py + s * x + c * y, z]),
        np.array([half_c * i - half_s * j, half_c * j + half_s * i, half_c * k + half_s * w,
                  half_c * w - half_s * k]),
        np.array([c * vx - s * vy, s * vx + c * vy, vz]), obstacle.key, obstacle.may_move)
