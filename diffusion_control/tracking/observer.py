# SPDX-License-Identifier: Apache-2.0
"""Disturbance observer of a position-controlled drive.

The drive of joint i is a stiff position loop (a ros2_control JointTrajectoryController in front
of PD + gravity compensation). A constant disturbance torque d_i (payload, friction, a wrong mass)
leaves the error e_i = d_i / k_i between the commanded and the measured position, whatever the
command is. So the disturbance is observed in units of position,

    e(t) = C(t - delay) - q_measured(t),    c' = (e - c) / T,    |c| <= bound,

(a first-order low pass with time constant T) and the *reference* of the tracker is moved by +c:
the robot then stands at r + c - e -> r. The command itself is never touched: it is the tracker's
solution for the moved reference, inside all limits. Since e does not depend on c, the correction
cannot wind up or oscillate; the bound keeps it from hiding a fault. At speed e also holds the
velocity times the error of the assumed delay, which is no disturbance: the share of each step
falls to nothing at `SLOW_RAD_S`. While |e| is larger than `ignore_rad` in any joint (the robot is
held, or was moved by hand) the estimate rests.

Original of the principle: K. Ohnishi, "A new servo method in mechatronics", Trans. Japanese
Society of Electrical Engineers 107-D, 1987.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import require_within

Array = NDArray[np.float64]
SLOW_RAD_S = 0.2


class DisturbanceObserver:
    """Estimate the constant part of the drive's position error.

    Args:
        joints: Number of joints n.
        enabled: False keeps the correction at zero.
        time_constant_s: T [s], > 0.
        bound_rad: Bound of each correction [rad], in [0, 0.05].
        ignore_rad: Errors beyond this are no disturbance [rad].
    """

    def __init__(
        self, joints: int, *, enabled: bool = True, time_constant_s: float = 0.25,
        bound_rad: float = 0.02, ignore_rad: float = 0.1,
    ) -> None:
        for name, value, low, high in (
            ('time_constant_s', time_constant_s, 0.01, 100.0), ('bound_rad', bound_rad, 0.0, 0.05),
            ('ignore_rad', ignore_rad, 0.0, 10.0)):
            require_within(f'observer.{name}', value, low, high)
        self._enabled, self._time_constant = enabled, time_constant_s
        self._bound, self._ignore = bound_rad, ignore_rad
        self.correction = np.zeros(joints)

    def reset(self) -> None:
        """Forget the disturbance."""
        self.correction = np.zeros_like(self.correction)

    def error(self, commanded: Array, measured: Array) -> Array:
        """Return commanded minus measured position [rad], shape [n]."""
        return commanded - measured

    def update(
        self, commanded: Array, velocity: Array, measured: Array, elapsed_s: float
    ) -> Array:
        """Return the correction c [rad], shape [n], after one more error.

        Args:
            commanded: C(t - delay) [rad], shape [n].
            velocity: C'(t - delay) [rad/s], shape [n].
            measured: Measured positions [rad], shape [n].
            elapsed_s: Since the last call [s]; more than 0.1 s counts as 0.1 s.
        """
        error = commanded - measured
        if not self._enabled or not (np.abs(error) <= self._ignore).all():
            return self.correction
        share = -np.expm1(-min(max(elapsed_s, 0.0), 0.1) / self._time_constant)
        slow = np.maximum(1.0 - np.abs(velocity) / SLOW_RAD_S, 0.0)
        moved = self.correction + share * slow * (error - self.correction)
        self.correction = np.clip(moved, -self._bound, self._bound)
        return self.correction
