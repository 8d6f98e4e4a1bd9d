# SPDX-License-Identifier: Apache-2.0
"""What the receiver of a twist does when nothing more is sent: it runs on, then it brakes.

The last twist (v, v_y, omega) is held for the receiver's time-out T; then each part goes to 0 at
the receiver's own braking: v and v_y together at `braking_max_m_s2`, omega at
`yaw_acceleration_max_rad_s2`. The pose follows  x' = R(yaw) (v, v_y), yaw' = omega  from the true
pose at the time of sending, in the simulator's world.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.commands import Command
from diffusion_control.robots.base_config import BaseDrive

Array = NDArray[np.float64]
STEP_S = 0.005
KNOT_STEPS = 4
REST = 1e-9


@dataclass(frozen=True)
class Silence:
    """The receiver's rule.

    Attributes:
        drive: Of the robot that is driven.
        timeout_s: For how long a twist is held [s].
    """

    drive: BaseDrive
    timeout_s: float

    def twists(self, twist: Array, after_s: Array) -> Array:
        """Return the twist [k, 3] that the receiver runs at times after it got `twist` [3]."""
        braking = np.maximum(after_s - self.timeout_s, 0.0)
        speed = float(np.hypot(twist[0], twist[1]))
        share = np.maximum(1.0 - self.drive.braking_max_m_s2 * braking / max(speed, REST), 0.0)
        rate = abs(float(twist[2]))
        turning = np.maximum(
            1.0 - self.drive.yaw_acceleration_max_rad_s2 * braking / max(rate, REST), 0.0)
        return np.stack([twist[0] * share, twist[1] * share, twist[2] * turning], axis=1)

    def rest_s(self, twist: Array) -> float:
        """Return how long after its receipt a twist [3] has come to rest [s]."""
        speed = float(np.hypot(twist[0], twist[1])) / self.drive.braking_max_m_s2
        turning = abs(float(twist[2])) / self.drive.yaw_acceleration_max_rad_s2
        return self.timeout_s + max(speed, turning)

    def command(self, pose: Array, twist: Array, sent_s: float) -> Command:
        """Return the motion that a twist becomes without any further one.

        Args:
            pose: True x, y, yaw when it was sent, shape [3].
            twist: vx, vy, yaw rate in the body's frame, shape [3].
            sent_s: ROS time [s].
        """
        count = int(np.ceil(self.rest_s(twist) / (KNOT_STEPS * STEP_S))) * KNOT_STEPS + 1
        times = np.arange(count, dtype=np.float64) * STEP_S
        body = self.twists(twist, times)
        middle = self.twists(twist, times[:-1] + STEP_S / 2)
        yaw = pose[2] + np.concatenate([[0.0], np.cumsum(middle[:, 2]) * STEP_S])
        half = (yaw[:-1] + yaw[1:]) / 2
        steps = turned_by(half, middle[:, :2]) * STEP_S
        place = pose[:2] + np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
        velocity = np.column_stack([turned_by(yaw, body[:, :2]), body[:, 2]])
        position = np.column_stack([place, yaw])
        knots = slice(None, None, KNOT_STEPS)
        return Command(sent_s, sent_s, times[knots], position[knots], velocity[knots])


def turned_by(yaw: Array, vectors: Array) -> Array:
    """Return vectors [k, 2] of bodies with headings `yaw` [k] in the world."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return np.stack([cosine * vectors[:, 0] - sine * vectors[:, 1],
                     sine * vectors[:, 0] + cosine * vectors[:, 1]], axis=1)
