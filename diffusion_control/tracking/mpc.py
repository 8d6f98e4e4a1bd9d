# SPDX-License-Identifier: Apache-2.0
"""Joint-space linear model predictive control.

    minimise    sum_k W_q |q_k - r_k|^2 + W_v |v_k - r'_k|^2 + W_u |a_k|^2 + W_s |a_k - a_k^last|^2
    subject to  the double integrator of `prediction.py` from C(tau), a_N = 0,
                |v_k| <= V, |a_k| <= A, |a_k - a_{k-1}| <= jerk dt, lower <= q_k + T v_k <= upper,
                |M a_k + h| <= torque (softened); all limits times `limits_scale`.

The term to the last solution is a proximal one: at each tick the solution moves towards the
optimum without it, so that it quietens the command and leaves no lag. W_u does leave one and is
therefore small.

Warm start: the plan's accelerations; the last solution shifted to now (for an active-set method
the set that it ended with); nothing; or the better of the first two. Those two are compared, by
predicted cost among those that keep the velocity limits, where another plan begins and the last
solution may be wrong; in all other ticks it is the last solution, if there is one.

Originals: D. Q. Mayne, J. B. Rawlings et al., "Constrained model predictive control: stability
and optimality", Automatica 36, 2000; warm start by shifting: M. Diehl et al., "Real-time
optimization and nonlinear model predictive control", Journal of Process Control 12, 2002.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.tracking.cost import TrackingCost
from diffusion_control.tracking.formulation import Formulation, HorizonSolution
from diffusion_control.tracking.guess_kernels import first_is_better
from diffusion_control.tracking.prediction import HorizonProblem, Prediction
from diffusion_control.tracking.reference import ReferenceWindow

Array = NDArray[np.float64]


class MpcPolicy:
    """Choose accelerations by optimisation.

    Args:
        prediction: The prediction maps.
        cost: The tracking cost.
        limits: Scaled limits.
        formulation: Poses and solves the problem.
        warm_start: `best`, `plan`, `shifted` or `cold`.
    """

    def __init__(
        self, prediction: Prediction, cost: TrackingCost, limits: JointLimits,
        formulation: Formulation, warm_start: str,
    ) -> None:
        self._prediction, self._cost = prediction, cost
        self._formulation, self._warm_start = formulation, warm_start
        self.solver_name = formulation.solver_name
        self._bounds = limits.acceleration_rad_s2.copy(), limits.velocity_rad_s.copy()
        self._maps = prediction.speed_map.copy(), cost.hessian.copy()
        self._load(len(limits.velocity_rad_s))

    def choose(
        self, problem: HorizonProblem, window: ReferenceWindow, shifted: Array | None
    ) -> tuple[HorizonSolution, str]:
        """Return the solution and the warm start that was used; see `Policy.choose`."""
        choice = self._choice(problem, window, shifted)
        if choice == 'cold':
            return self._formulation.solve(problem, None), choice
        if choice == 'plan':
            return self._formulation.solve(problem, self._clip(window.acceleration[1:-1])), choice
        guess = None if self._formulation.keeps or shifted is None else self._clip(shifted)
        return self._formulation.solve(problem, guess, keep=True), choice

    def _choice(
        self, problem: HorizonProblem, window: ReferenceWindow, shifted: Array | None
    ) -> str:
        """Return `plan`, `shifted` or `cold`."""
        wanted = self._warm_start
        if wanted == 'best':
            if shifted is None:
                return 'plan'
            return self._better(problem, window, shifted) if window.changed else 'shifted'
        return 'cold' if wanted == 'shifted' and shifted is None else wanted

    def _better(self, problem: HorizonProblem, window: ReferenceWindow, shifted: Array) -> str:
        """Return `plan` or `shifted`."""
        _, velocity = self._prediction.free(problem)
        plan = first_is_better(
            np.ascontiguousarray(window.acceleration[1:-1]), np.ascontiguousarray(shifted),
            *self._bounds, velocity, *self._maps, self._cost.linear(problem))
        return 'plan' if plan else 'shifted'

    def _load(self, joints: int) -> None:
        """Run the kernel once: reading it from the cache in a tick would make that tick late."""
        speeds, inputs = self._maps[0].shape
        nothing = np.zeros((inputs, joints))
        first_is_better(
            nothing, nothing, *self._bounds, np.zeros((speeds, joints)), *self._maps, nothing)

    def _clip(self, acceleration: Array) -> Array:
        bound = self._bounds[0]
        return np.minimum(np.maximum(acceleration, -bound), bound)
