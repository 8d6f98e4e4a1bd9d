# SPDX-License-Identifier: Apache-2.0
"""What the network sees of the joints: noisy, and sometimes nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.state import RobotState

Array = NDArray[np.float64]
VELOCITY_WINDOW_S = 0.02


class JointSensor:
    """Measure positions with white noise, velocities with the noise of a filtered difference.

    Position noise is drawn per measurement with standard deviation s. A driver takes velocities
    from the same encoder, over a window W = 20 ms of many samples; what is left of the noise is
    modelled as white with standard deviation s / W, its lag (about W / 2 in reality) as none.

    Args:
        noise_rad: s [rad].
        drop_rate: Share of measurements that are lost.
        seed: Seed of noise and losses.
    """

    def __init__(self, noise_rad: float, drop_rate: float, seed: int) -> None:
        self._drop_rate, self._seed = drop_rate, seed
        self._spread = np.array([[noise_rad], [noise_rad / VELOCITY_WINDOW_S]])
        self._random = np.random.default_rng([seed, 0x5E2])
        self._last: RobotState | None = None

    def reset(self) -> None:
        """Start the noise anew."""
        self._random = np.random.default_rng([self._seed, 0x5E2])
        self._last = None

    def measure(self, position: Array, velocity: Array, time_s: float) -> RobotState:
        """Return the measured state; a lost measurement returns the one before, with its stamp.

        Args:
            position: True positions [rad], shape [n].
            velocity: True velocities [rad/s], shape [n].
            time_s: ROS time [s].
        """
        measured = self._random.standard_normal((2, len(position)))
        lost = self._random.random() < self._drop_rate
        if lost and self._last is not None:
            return self._last
        measured *= self._spread
        measured[0] += position
        measured[1] += velocity
        self._last = RobotState(measured[0], measured[1], time_s)
        return self._last
