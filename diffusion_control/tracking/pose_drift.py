# SPDX-License-Identifier: Apache-2.0
"""Where a base really is, beside the pose it was commanded to.

A base is driven by twists, so slip, a motor's lag and a wheel's wrong radius add up: the measured
pose leaves the commanded one, and nothing but feedback brings it back. The drift

    e(t) = C(t - delay) - measured(t)    (yaw to the nearest turn),    c' = (e - c) / T

is not corrected in the command but in what the command goes to: the robot at C - c executes the
twist of C, so the reference is seen from there (`unicycle_kernels.described`). e does not
depend on where C goes, so this does not oscillate; and as it is the drift as measured and no sum
of errors, it does not wind up. While the drift is larger than `ignore_m` (the base is held, or
was carried away) the estimate rests.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.planar import unwrapped

Array = NDArray[np.float64]
LONGEST_S = 0.1


class PoseDrift:
    """Low-pass the difference between commanded and measured pose.

    Args:
        enabled: False keeps the correction at zero.
        time_constant_s: T [s], > 0.
        ignore_m: Drift beyond this is none [m]; a radian counts `yaw_arm_m`.
        yaw_arm_m: Metres that a radian counts [m].
    """

    def __init__(
        self, *, enabled: bool, time_constant_s: float, ignore_m: float, yaw_arm_m: float
    ) -> None:
        self._enabled, self._time_constant = enabled, time_constant_s
        self._ignore, self._scale = ignore_m, np.array([1.0, 1.0, yaw_arm_m])
        self.correction = np.zeros(3)

    def reset(self) -> None:
        """Forget the drift."""
        self.correction = np.zeros(3)

    def error(self, commanded: Array, measured: Array) -> Array:
        """Return the drift, its yaw in metres, shape [3]."""
        error: Array = self._scale * _drift(commanded, measured)
        return error

    def update(
        self, commanded: Array, velocity: Array, measured: Array, elapsed_s: float
    ) -> Array:
        """Return the correction, x, y, yaw, shape [3], after one more measurement.

        Args:
            commanded: C(t - delay), shape [3].
            velocity: C'(t - delay), shape [3]; not used.
            measured: Measured pose, shape [3].
            elapsed_s: Since the last call [s]; more than 0.1 s counts as 0.1 s.
        """
        drift = _drift(commanded, measured)
        if self._enabled and float(np.abs(self._scale * drift).max()) <= self._ignore:
            share = -np.expm1(-min(max(elapsed_s, 0.0), LONGEST_S) / self._time_constant)
            self.correction = self.correction + share * (drift - self.correction)
        return self.correction


def _drift(commanded: Array, measured: Array) -> Array:
    drift: Array = commanded - measured
    if abs(drift[2]) > np.pi:
        drift[2] = unwrapped(float(drift[2]), 0.0)
    return drift
