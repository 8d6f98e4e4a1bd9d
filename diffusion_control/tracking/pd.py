# SPDX-License-Identifier: Apache-2.0
"""Proportional-derivative tracking with feed-forward: the plain peer of the MPC.

    a_{k+1} = clip(r''_{k+1} + K_d (r'_{k+1} - v) + K_p (r_{k+1} - q))

with q, v at knot k advanced over the step, clipped to |a| <= A, to the jerk limit and so that
|m_{k+1}| <= V, m_{k+1} = v_k + dt a_k / 2 + dt a_{k+1} the velocity's control point of
`prediction.py`. It foresees nothing: near joint limits it relies on the check and on safety.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.tracking.formulation import UNCONSTRAINED, HorizonSolution
from diffusion_control.tracking.prediction import HorizonProblem, Prediction
from diffusion_control.tracking.reference import ReferenceWindow

Array = NDArray[np.float64]


class PdPolicy:
    """Roll the feedback law out over the horizon.

    Args:
        prediction: The prediction maps.
        limits: Scaled limits.
        proportional: K_p [1/s^2].
        derivative: K_d [1/s].
    """

    solver_name = 'pd'

    def __init__(
        self, prediction: Prediction, limits: JointLimits, *, proportional: float = 400.0,
        derivative: float = 40.0,
    ) -> None:
        self._prediction, self._limits = prediction, limits
        self._proportional, self._derivative = proportional, derivative

    def choose(
        self, problem: HorizonProblem, window: ReferenceWindow, shifted: Array | None
    ) -> tuple[HorizonSolution, str]:
        """Return the rolled-out accelerations; there is no warm start (`cold`)."""
        dt, limits = self._prediction.dt_s, self._limits
        out = np.zeros((self._prediction.steps - 1, len(problem.position)))
        active = np.zeros(len(problem.position), dtype=np.bool_)
        position, velocity, last = problem.position, problem.velocity, problem.acceleration
        for k in range(len(out)):
            ahead_v = velocity + dt * last
            ahead_q = position + dt * velocity + dt**2 / 2 * last
            wanted = (
                window.acceleration[k + 1]
                + self._derivative * (problem.reference_velocity[k] - ahead_v)
                + self._proportional * (problem.reference_position[k] - ahead_q))
            bound = limits.acceleration_rad_s2
            fastest = (limits.velocity_rad_s - velocity) / dt - last / 2
            slowest = (-limits.velocity_rad_s - velocity) / dt - last / 2
            jerk = limits.jerk_rad_s3 * dt
            chosen = np.clip(wanted, slowest, fastest)
            chosen = np.clip(np.clip(chosen, last - jerk, last + jerk), -bound, bound)
            active |= np.abs(chosen - wanted) > 1e-9
            position = position + dt * velocity + dt**2 / 6 * (2 * last + chosen)
            velocity = velocity + dt / 2 * (last + chosen)
            out[k], last = chosen, chosen
        return HorizonSolution(out, UNCONSTRAINED, 0, active), 'cold'
