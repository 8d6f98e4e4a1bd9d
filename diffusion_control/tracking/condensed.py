# SPDX-License-Identifier: Apache-2.0
"""The condensed formulation: accelerations only, one small programme per joint.

Without torque rows the joints are independent, so the problem falls into n programmes of N-1
variables. First the unconstrained optimum of all joints by one matrix product; joints whose
optimum respects all bounds are done. The others are solved by an active-set method with a constant
factor; its active set survives from tick to tick (`keep`), since half a knot later mostly the same
bounds are active. Only if the torques M a_k + h of the result exceed the limits are the joints
solved together (`coupled.py`). Each step is exact: where the later rows are satisfied, the optimum
without them is the optimum with them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.solvers.daqp import DaqpSolver
from diffusion_control.solvers.protocol import (
    USABLE,
    QuadraticProgram,
    Solution,
    Solver,
)
from diffusion_control.tracking.bounds import HorizonBounds
from diffusion_control.tracking.cost import TrackingCost
from diffusion_control.tracking.coupled import CoupledTorque, TorqueRows
from diffusion_control.tracking.formulation import UNCONSTRAINED, HorizonSolution
from diffusion_control.tracking.prediction import HorizonProblem, Prediction

Array = NDArray[np.float64]
SolverClass = Callable[..., Solver]
TOLERANCE = 1e-9
TORQUE_TOLERANCE_NM = 1e-6


class CondensedFormulation:
    """Solve the horizon problem joint by joint, and together where torque limits bind.

    The rows of a joint are: control points of the velocity (N), stopping inside the position
    limits (N), and jerk (N) where it can bind.

    Args:
        prediction: The prediction maps.
        cost: The tracking cost.
        limits: Scaled limits.
        bounds: Their bounds over the horizon.
        max_iterations: Cap of each solve.
        solver: The dense solver's class.
    """

    keeps = True

    def __init__(
        self, prediction: Prediction, cost: TrackingCost, limits: JointLimits,
        bounds: HorizonBounds, *, max_iterations: int = 200, solver: SolverClass = DaqpSolver,
    ) -> None:
        self._prediction, self._cost, self._bounds = prediction, cost, bounds
        self._torque, steps = limits.torque_nm, prediction.steps
        self._inputs = steps - 1
        self._scale = 1.0 / float(np.diag(cost.hessian).max())
        hessian = self._scale * cost.hessian
        stop = prediction.position_map + bounds.stop_time_s * prediction.velocity_map
        difference = np.eye(steps, steps - 1) - np.eye(steps, steps - 1, -1)
        self._rows = np.concatenate((prediction.speed_map, stop, difference))
        self._lengths = np.where(bounds.jerk_binds, 3 * steps, 2 * steps).tolist()
        self._checked = np.arange(3 * steps)[:, None] < np.array(self._lengths)
        self._solvers = [
            solver(
                QuadraticProgram(hessian, self._rows[:length]), max_iterations=max_iterations)
            for length in self._lengths]
        self._coupled = CoupledTorque(
            hessian, [self._rows[:length] for length in self._lengths], self._torque,
            max_iterations=max_iterations, solver=solver)
        self.solver_name = self._solvers[0].name
        self._kept = np.zeros(len(self._solvers), dtype=np.bool_)

    def solve(
        self, problem: HorizonProblem, guess: Array | None, *, keep: bool = False
    ) -> HorizonSolution:
        """Return the accelerations; see `Formulation.solve`."""
        self._kept &= keep
        position, velocity = self._prediction.free(problem)
        linear = self._cost.linear(problem)
        box, lower, upper = self._limit(problem, position, velocity)
        acceleration = -self._cost.gain @ linear
        values = self._rows @ acceleration
        wrong = ((values < lower - TOLERANCE) | (values > upper + TOLERANCE)) & self._checked
        outside: NDArray[np.bool_] = np.logical_or(
            wrong.any(axis=0), (np.abs(acceleration) > box + TOLERANCE).any(axis=0))
        iterations, status = 0, UNCONSTRAINED
        asked = self._asked(linear, box, lower, upper) if outside.any() else ()
        for joint in np.flatnonzero(outside).tolist():
            solution = self._solve_joint(joint, asked, guess)
            acceleration[:, joint] = solution.x
            iterations += solution.iterations
            if status == UNCONSTRAINED or status in USABLE:
                status = solution.status
        if self._fits(problem, acceleration) or not (status == UNCONSTRAINED or status in USABLE):
            return HorizonSolution(acceleration, status, iterations, outside)
        return self._together(
            problem, linear, (box, lower, upper), acceleration, iterations, outside)

    def _fits(self, problem: HorizonProblem, acceleration: Array) -> bool:
        """Return whether the torques of accelerations [N-1, n] are inside their limits."""
        torque = acceleration @ problem.mass.T + problem.bias
        return bool((np.abs(torque) <= self._torque + TORQUE_TOLERANCE_NM).all())

    def _limit(
        self, problem: HorizonProblem, position: Array, velocity: Array
    ) -> tuple[Array, Array, Array]:
        """Return the bound of |a| [N-1, n] and the bounds of all rows [3N, n] each."""
        bounds = self._bounds
        slowest, fastest, low, high = bounds.motion(problem)
        stop = position + bounds.stop_time_s * velocity
        jerk = bounds.jerk(problem.acceleration)
        first = np.zeros_like(jerk)
        first[0] = problem.acceleration
        lower = np.concatenate((slowest - velocity, low - stop, first - jerk))
        upper = np.concatenate((fastest - velocity, high - stop, first + jerk))
        return bounds.acceleration(problem.acceleration), lower, upper

    def _asked(
        self, linear: Array, box: Array, lower: Array, upper: Array
    ) -> tuple[Array, ...]:
        """Return f, lower and upper bounds of all programmes, one joint a row."""
        return tuple(np.ascontiguousarray(rows.T) for rows in (
            self._scale * linear, np.concatenate((-box, lower)), np.concatenate((box, upper))))

    def _solve_joint(
        self, joint: int, of_all: tuple[Array, ...], guess: Array | None
    ) -> Solution:
        count, kept = self._inputs + self._lengths[joint], bool(self._kept[joint])
        asked = (of_all[0][joint], of_all[1][joint, :count], of_all[2][joint, :count])
        solution = self._solvers[joint].solve(
            *asked, guess=None if guess is None or kept else guess[:, joint], keep=kept)
        if kept and not solution.accepted:
            solution = self._solvers[joint].solve(*asked)
        self._kept[joint] = solution.accepted
        return solution

    def _together(
        self, problem: HorizonProblem, linear: Array, limit: tuple[Array, Array, Array],
        acceleration: Array, iterations: int, outside: NDArray[np.bool_],
    ) -> HorizonSolution:
        rows = TorqueRows(
            np.kron(problem.mass, self._coupled.to_a).astype(float, copy=False),
            np.repeat(problem.bias, self._prediction.steps - 1))
        solution = self._coupled.solve(rows, self._scale * linear, *limit, acceleration)
        coupled, slack = self._coupled.unpack(solution.x)
        moved = (np.abs(coupled - acceleration) > TOLERANCE).any(axis=0)
        return HorizonSolution(
            coupled, solution.status, iterations + solution.iterations, outside | moved, True,
            slack)
