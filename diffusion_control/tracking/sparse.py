# SPDX-License-Identifier: Apache-2.0
"""The sparse formulation: states and accelerations of all joints at once, for splitting solvers.

Variables in units of the knot time, so that all are of one size: q [rad], v dt [rad], a dt^2
[rad]. Rows: the double integrator (equalities), stopping inside the position limits, jerk, torque.
The same problem as the condensed one but for the torque rows: an exact penalty on a slack takes a
splitting method thousands of iterations, so they are hard here, and widened to the torque that
holds the arm where that is beyond the limit; if they leave nothing, there is no solution.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from diffusion_control.robots.limits import JointLimits
from diffusion_control.solvers.osqp import OsqpSolver
from diffusion_control.solvers.protocol import QuadraticProgram, Solver
from diffusion_control.tracking.bounds import HorizonBounds
from diffusion_control.tracking.cost import TrackingCost
from diffusion_control.tracking.formulation import HorizonSolution
from diffusion_control.tracking.prediction import HorizonProblem, Prediction

Array = NDArray[np.float64]
HOLDING = 1.05
MARK = 1e6
ACTIVE = 1e-5


class SparseFormulation:
    """Pose the horizon problem in states and accelerations.

    Its solver does not remember a primal point at other times: a guess is always needed.

    Args:
        prediction: The prediction maps.
        cost: The tracking cost.
        limits: Scaled limits.
        bounds: Their bounds over the horizon.
        max_iterations: Cap of each solve.
        solver: The sparse solver's class.
    """

    keeps = False

    def __init__(
        self, prediction: Prediction, cost: TrackingCost, limits: JointLimits,
        bounds: HorizonBounds, *, max_iterations: int = 200,
        solver: Callable[..., Solver] = OsqpSolver,
    ) -> None:
        self._prediction, self._bounds, self._limits = prediction, bounds, limits
        self._weights = cost.weights
        self._steps, self._joints = prediction.steps, len(limits.lower_rad)
        self._knots = self._steps * self._joints
        self._inputs = (self._steps - 1) * self._joints
        self._size = 2 * self._knots + self._inputs
        self._unit = prediction.dt_s**2
        marks = MARK + np.arange(self._joints**2, dtype=float).reshape(self._joints, -1)
        self._a = self._rows(marks)
        self._mass_entries = np.flatnonzero(self._a.data >= MARK)
        self._mass_index = (self._a.data[self._mass_entries] - MARK).astype(int)
        self._a.data[self._mass_entries] = 1.0
        self._solver = solver(
            QuadraticProgram(sparse.diags_array(self._hessian(), format='csc'), self._a.copy()),
            max_iterations=max_iterations)
        self.solver_name = self._solver.name

    def solve(
        self, problem: HorizonProblem, guess: Array | None, *, keep: bool = False
    ) -> HorizonSolution:
        """Return the accelerations; see `Formulation.solve`.

        With a guess the dual of the last solve is the first dual, `keep` or not.
        """
        rows = self._a.copy()
        rows.data[self._mass_entries] = problem.mass.ravel()[self._mass_index]
        self._solver.replace_rows(rows)
        lower, upper = self._bounds_of(problem)
        start = None if guess is None else self._point(problem, guess)
        solution = self._solver.solve(self._linear(problem), lower, upper, guess=start)
        acceleration = solution.x[2 * self._knots:].reshape(-1, self._joints) / self._unit
        near = np.abs(solution.multipliers) > ACTIVE
        return HorizonSolution(
            acceleration, solution.status, solution.iterations, self._active(near),
            bool(near[-self._inputs:].any()))

    def _hessian(self) -> Array:
        weights, dt = self._weights, self._prediction.dt_s
        return 2 * np.concatenate((
            np.full(self._knots, weights.position),
            np.full(self._knots, weights.velocity / dt**2),
            np.full(self._inputs, (weights.input + weights.smooth) / dt**4)))

    def _linear(self, problem: HorizonProblem) -> Array:
        weights, dt = self._weights, self._prediction.dt_s
        return np.concatenate((
            -2 * weights.position * problem.reference_position.ravel(),
            -2 * weights.velocity / dt * problem.reference_velocity.ravel(),
            -2 * weights.smooth / dt**2 * problem.anchor.ravel()))

    def _point(self, problem: HorizonProblem, acceleration: Array) -> Array:
        position, velocity, _ = self._prediction.motion(problem, acceleration)
        return np.concatenate((
            position[1:].ravel(), velocity[1:].ravel() * self._prediction.dt_s,
            acceleration.ravel() * self._unit))

    def _rows(self, mass: Array) -> sparse.csc_array:
        """Return A with the torque rows of a mass matrix without zeros."""
        steps = self._steps
        one, back = sparse.eye_array(steps), sparse.eye_array(steps, k=-1)
        now = sparse.eye_array(steps, steps - 1)
        before = sparse.eye_array(steps, steps - 1, k=-1)
        stop = self._bounds.stop_time_s / self._prediction.dt_s
        knot = sparse.csr_array(one)[[0, *range(steps - 1)]]
        grid = [
            [one - back, -back, -(now / 6 + before / 3)],
            [None, one - back, -(now + before) / 2],
            [None, knot, before / 2],
            [one, stop * one, None],
            [None, None, now - before],
        ]
        body = sparse.kron(sparse.block_array(grid), sparse.eye_array(self._joints))
        torque = sparse.kron(sparse.eye_array(self._steps - 1), sparse.coo_array(mass))
        before = sparse.csc_array((self._inputs, 2 * self._knots))
        return sparse.csc_array(sparse.vstack(
            [body, sparse.hstack([before, torque])], format='csc'))

    def _bounds_of(self, problem: HorizonProblem) -> tuple[Array, Array]:
        steps, joints, dt = self._steps, self._joints, self._prediction.dt_s
        slowest, fastest, low, high = (
            bound.ravel() for bound in self._bounds.motion(problem))
        box = self._bounds.acceleration(problem.acceleration).ravel() * self._unit
        free = np.full(self._knots, np.inf)
        step_q, step_v, first = np.zeros((3, steps, joints))
        step_q[0] = (
            problem.position + dt * problem.velocity + self._unit / 3 * problem.acceleration)
        step_v[0] = dt * problem.velocity + self._unit / 2 * problem.acceleration
        first[0] = problem.acceleration
        jerk = self._bounds.jerk(problem.acceleration)
        hold = np.maximum(self._limits.torque_nm, HOLDING * np.abs(problem.bias))
        room = np.tile(hold - problem.bias, steps - 1) * self._unit
        floor = np.tile(-hold - problem.bias, steps - 1) * self._unit
        dynamics = (step_q.ravel(), step_v.ravel())
        lower = np.concatenate((
            -free, -free, -box, *dynamics, slowest * dt, low,
            (first - jerk).ravel() * self._unit, floor))
        upper = np.concatenate((
            free, free, box, *dynamics, fastest * dt, high,
            (first + jerk).ravel() * self._unit, room))
        return lower, upper

    def _active(self, near: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the joints with an active velocity, acceleration, position or jerk bound."""
        boxes = near[self._knots:self._size].reshape(-1, self._joints)
        rows = near[self._size + 2 * self._knots:-self._inputs].reshape(-1, self._joints)
        answer: NDArray[np.bool_] = np.any(boxes, axis=0) | np.any(rows, axis=0)
        return answer
