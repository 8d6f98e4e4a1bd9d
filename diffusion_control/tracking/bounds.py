# SPDX-License-Identifier: Apache-2.0
"""Limits of the prediction as bounds that always leave something feasible.

Per joint, at knots k (limits already scaled):

* |a_k| <= A, except that a start beyond A may come back at the jerk limit;
* |v_k| <= V, except that a start beyond V, or one whose acceleration still carries it beyond,
  may come back as fast as acceleration and jerk allow: the bound is max(V, v of hardest braking);
* |a_k - a_{k-1}| <= jerk dt, left out where it can never bind (jerk dt >= 2 A);
* lower <= q_k + T v_k <= upper, softened by one slack per joint. T is half the duration of the
  longest synchronised stop with the braking fraction: v T is then the distance in which the joint
  stops when all joints brake together, so a motion that respects the row can always be stopped
  inside the position limits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.tracking.prediction import HorizonProblem

Array = NDArray[np.float64]


class HorizonBounds:
    """Compute the bounds of one tick.

    Args:
        limits: Scaled limits of the n joints.
        steps: N.
        dt_s: Time between knots [s].
        braking_fraction: Share of the *unscaled* acceleration that safety brakes with, relative
            to the limits given here.

    Attributes:
        stop_time_s: T of the module's text [s].
        jerk_step: jerk dt [rad/s^2], shape [n].
        jerk_binds: Joints whose jerk row can bind, shape [n], bool.
    """

    def __init__(
        self, limits: JointLimits, steps: int, dt_s: float, braking_fraction: float = 0.75
    ) -> None:
        self.limits, self.steps, self.dt_s = limits, steps, dt_s
        braking = braking_fraction * limits.acceleration_rad_s2
        ramp = braking / (braking_fraction * limits.jerk_rad_s3)
        self.stop_time_s = float((limits.velocity_rad_s / braking + ramp).max() / 2)
        self.jerk_step = limits.jerk_rad_s3 * dt_s
        self.jerk_binds = self.jerk_step < 2 * limits.acceleration_rad_s2 * (1 - 1e-9)
        self._steps_column = np.arange(1, steps + 1)[:, None]

    def acceleration(self, start: Array) -> Array:
        """Return the bound of |a_k| at knots 1..N-1, shape [N-1, n]."""
        coming_back = np.abs(start) - self.jerk_step * self._steps_column[:-1]
        return np.maximum(self.limits.acceleration_rad_s2, coming_back)

    def velocity(self, problem: HorizonProblem) -> tuple[Array, Array]:
        """Return lower and upper bounds of v_k at knots 1..N, shape [N, n] each."""
        bound = self.limits.velocity_rad_s
        high = np.maximum(bound, self._hardest(problem.velocity, problem.acceleration))
        low = np.maximum(bound, self._hardest(-problem.velocity, -problem.acceleration))
        return -low, high

    def _hardest(self, velocity: Array, acceleration: Array) -> Array:
        """Return v_k under the fastest allowed fall of the acceleration, shape [N, n]."""
        fall = np.maximum(
            acceleration - self.jerk_step * np.arange(self.steps + 1)[:, None],
            -self.limits.acceleration_rad_s2)
        fall[0] = acceleration
        return velocity + np.cumsum(fall[:-1] + fall[1:], axis=0) * (self.dt_s / 2)
