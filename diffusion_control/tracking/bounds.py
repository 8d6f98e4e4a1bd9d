# SPDX-License-Identifier: Apache-2.0
"""Limits of the prediction as bounds that always leave something feasible.

Per joint, at knots k (limits already scaled):

* |a_k| <= A, except that a start beyond A may come back at the jerk limit;
* |v| <= V from knot 1 on, between the knots too (a bound of the control points), except that a
  start beyond V, or one whose acceleration still carries it beyond, may come back by the hardest
  braking b: the bound is max(V, v_b);
* |a_k - a_{k-1}| <= jerk dt, left out where it can never bind (jerk dt >= 2 A);
* lower <= q_k + T v_k <= upper, where T is half the duration of the longest synchronised stop with
  the braking fraction. v T is the distance in which the joint stops when all joints brake
  together, so a motion that keeps this row can always be stopped inside the position limits. A
  start that breaks it may come back by hardest braking to rest: max(upper, q_b + T v_b).

So hardest braking is feasible at every tick, whatever the start, and no slack is needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.tracking.prediction import HorizonProblem

Array = NDArray[np.float64]
MARGIN = 1e-6


class HorizonBounds:
    """Compute the bounds of one tick.

    Args:
        limits: Scaled limits of the n joints.
        steps: N.
        dt_s: Time between knots [s].
        braking_fraction: Share of these limits' acceleration and jerk that safety brakes with.

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
        self._steps_column = np.arange(steps + 1)[:, None]
        self._jerk_fall = np.tile(self.jerk_step * self._steps_column, (1, 2))
        self._lowest = -np.tile(limits.acceleration_rad_s2, 2)

    def acceleration(self, start: Array) -> Array:
        """Return the bound of |a_k| at knots 1..N-1, shape [N-1, n]."""
        coming_back = np.abs(start) - self.jerk_step * self._steps_column[1:-1]
        return np.maximum(self.limits.acceleration_rad_s2, coming_back)

    def jerk(self, start: Array) -> Array:
        """Return the bound of |a_k - a_{k-1}| at knots 1..N, shape [N, n]."""
        bound = np.repeat(self.jerk_step[None], self.steps, axis=0)
        bound[0] = np.maximum(bound[0], np.abs(start) - self.limits.acceleration_rad_s2)
        return bound

    def motion(self, problem: HorizonProblem) -> tuple[Array, Array, Array, Array]:
        """Return lower and upper bounds of the control points and of the stops, [N, n] each.

        The control points of the velocity are v_1, m_1..m_{N-1} (see `prediction`); the stops
        q_k + T v_k, at knots 1..N.
        """
        limits = self.limits
        joints, fast = len(problem.position), limits.velocity_rad_s
        if self._far(problem):
            shape = (self.steps, joints)
            return (
                np.broadcast_to(-fast, shape), np.broadcast_to(fast, shape),
                np.broadcast_to(limits.lower_rad, shape), np.broadcast_to(limits.upper_rad, shape))
        both_v, both_q = self._braking(
            np.concatenate((problem.velocity, -problem.velocity)),
            np.concatenate((problem.acceleration, -problem.acceleration)))
        up_v, down_v = both_v[:, :joints], both_v[:, joints:]
        up_q, down_q = both_q[:, :joints], both_q[:, joints:]
        return (
            -np.maximum(fast, down_v + MARGIN), np.maximum(fast, up_v + MARGIN),
            np.minimum(limits.lower_rad, problem.position - down_q - MARGIN),
            np.maximum(limits.upper_rad, problem.position + up_q + MARGIN))

    def _far(self, problem: HorizonProblem) -> bool:
        """Return whether hardest braking certainly stays inside V and the position limits.

        Until the acceleration has turned the speed grows by at most a^2 / (2 jerk) + |a| dt; then
        the joint stops within v^2 / (2 A), after the time that the acceleration takes to fall.
        """
        limits, push = self.limits, np.abs(problem.acceleration)
        speed = np.abs(problem.velocity) + push * (
            push / (2 * limits.jerk_rad_s3) + self.dt_s)
        if (speed > limits.velocity_rad_s).any():
            return False
        most = limits.acceleration_rad_s2
        turn = (push + most) / limits.jerk_rad_s3 + 2 * self.dt_s + self.stop_time_s
        way = speed * (turn + speed / (2 * most))
        room = np.minimum(
            limits.upper_rad - problem.position, problem.position - limits.lower_rad)
        return bool((way < room).all())

    def _braking(self, velocity: Array, acceleration: Array) -> tuple[Array, Array]:
        """Return v_1, m_1..m_{N-1} and (q_k - q_0) + T v_k of braking hardest from v > 0, [N, 2n].

        The acceleration falls at the jerk limit to -A; where the velocity would become negative
        it is held at 0, and the distance is bounded from above by the trapezoid.
        """
        dt = self.dt_s
        fall = np.maximum(acceleration - self._jerk_fall, self._lowest)
        fall[0] = acceleration
        hard = np.empty_like(fall)
        hard[0] = velocity
        hard[1:] = velocity + np.cumsum(fall[:-1] + fall[1:], axis=0) * (dt / 2)
        exact = dt * hard[:-1] + dt**2 / 6 * (2 * fall[:-1] + fall[1:])
        held = np.maximum(hard, 0.0)
        step = np.maximum(exact, (held[:-1] + held[1:]) * (dt / 2))
        speed = np.concatenate((hard[1:2], hard[1:-1] + fall[1:-1] * (dt / 2)))
        return speed, np.cumsum(step, axis=0) + self.stop_time_s * held[1:]
