# SPDX-License-Identifier: Apache-2.0
"""Prediction of a double integrator whose acceleration is linear between knots.

With knots t_k = k dt, a_0 given (the acceleration of the committed motion) and a_N = 0:

    v_{k+1} = v_k + dt (a_k + a_{k+1}) / 2
    q_{k+1} = q_k + dt v_k + dt^2 (2 a_k + a_{k+1}) / 6

The position is cubic between knots, so the cubic Hermite interpolation of `Trajectory` (and of a
ros2_control JointTrajectoryController) reproduces it exactly, acceleration is continuous, its
bounds at the knots hold between them, and the tail to rest starts with acceleration 0 (all joints
in one phase, four knots at most).

The velocity is quadratic between knots and lies in the convex hull of its control points v_k,
m_k = v_k + dt a_k / 2 and v_{k+1} (Bernstein form; Farouki, CAGD 29 (2012)). From knot 1 on the
knots are themselves means of control points, so bounds on v_1 and m_1..m_{N-1} hold everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HorizonProblem:
    """What one tick's optimisation is given; n joints, N steps.

    Attributes:
        position: C(tau) [rad], shape [n].
        velocity: C'(tau) [rad/s], shape [n].
        acceleration: C''(tau) [rad/s^2], shape [n].
        reference_position: At knots 1..N [rad], shape [N, n].
        reference_velocity: At knots 1..N [rad/s], shape [N, n].
        anchor: Accelerations that the smoothness term pulls to, at knots 1..N-1, shape [N-1, n].
        mass: M at the start [kg m^2], shape [n, n].
        bias: Gravity, Coriolis and centrifugal torque at the start [Nm], shape [n].
    """

    position: Array
    velocity: Array
    acceleration: Array
    reference_position: Array
    reference_velocity: Array
    anchor: Array
    mass: Array
    bias: Array


class Prediction:
    """The maps from accelerations at knots 1..N-1 to velocities and positions at knots 1..N.

    Args:
        steps: N >= 2.
        dt_s: Time between knots [s].

    Attributes:
        velocity_map: V, shape [N, N-1]: v = v_0 + velocity_start a_0 + V a.
        speed_map: W, shape [N, N-1]: (v_1, m_1..m_{N-1}) = v_0 + dt a_0 / 2 + W a.
        position_map: Q, shape [N, N-1]: q = q_0 + t v_0 + position_start a_0 + Q a.
        times_s: t_1..t_N [s], shape [N].
    """

    def __init__(self, steps: int, dt_s: float) -> None:
        self.steps, self.dt_s = steps, dt_s
        velocity, position = np.zeros((steps + 1, steps + 1)), np.zeros((steps + 1, steps + 1))
        for k in range(steps):
            velocity[k + 1] = velocity[k]
            velocity[k + 1, k:k + 2] += dt_s / 2
            position[k + 1] = position[k] + dt_s * velocity[k]
            position[k + 1, k] += dt_s**2 / 3
            position[k + 1, k + 1] += dt_s**2 / 6
        self.velocity_start, self.velocity_map = velocity[1:, 0].copy(), velocity[1:, 1:-1].copy()
        middle = np.eye(steps, steps - 1, -1) * (dt_s / 2)
        self.speed_map = self.velocity_map[[0, *range(steps - 1)]] + middle
        self.position_start, self.position_map = position[1:, 0].copy(), position[1:, 1:-1].copy()
        self.times_s: Array = dt_s * np.arange(1, steps + 1, dtype=float)
        self._times, self._v_start = self.times_s[:, None], self.velocity_start[:, None]
        self._q_start = self.position_start[:, None]
        self._seen: tuple[HorizonProblem, Array, Array] | None = None

    def free(self, problem: HorizonProblem) -> tuple[Array, Array]:
        """Return positions and velocities at knots 1..N for a = 0 from knot 1 on, [N, n] each.

        The answer for the last problem is kept: each stage of a tick asks for it.
        """
        if self._seen is None or self._seen[0] is not problem:
            velocity = problem.velocity + self._v_start * problem.acceleration
            position = (
                problem.position + self._times * problem.velocity
                + self._q_start * problem.acceleration)
            self._seen = (problem, position, velocity)
        return self._seen[1:]

    def motion(self, problem: HorizonProblem, acceleration: Array) -> tuple[Array, Array, Array]:
        """Return q, v, a at knots 0..N, each [N+1, n], for accelerations [N-1, n]."""
        free_position, free_velocity = self.free(problem)
        position = free_position + self.position_map @ acceleration
        velocity = free_velocity + self.velocity_map @ acceleration
        rest = np.zeros((1, acceleration.shape[1]))
        return (
            np.concatenate((problem.position[None], position)),
            np.concatenate((problem.velocity[None], velocity)),
            np.concatenate((problem.acceleration[None], acceleration, rest)))
