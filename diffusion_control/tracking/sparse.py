# SPDX-License-Identifier: Apache-2.0
"""The sparse formulation: states and accelerations of all joints at once, for splitting solvers.

Variables in units of the knot time, so that all are of one size: q [rad], v dt [rad], a dt^2
[rad], one position slack per joint and one torque slack. Rows: the double integrator (equalities),
stopping inside the position limits, jerk, torque. The same problem as the condensed one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from diffusion_control.robots.limits import JointLimits
from diffusion_control.tracking.bounds import HorizonBounds
from diffusion_control.tracking.cost import TrackingCost
from diffusion_control.tracking.formulation import HorizonSolution
from diffusion_control.tracking.prediction import HorizonProblem, Prediction
from diffusion_control.tracking.solvers.osqp import OsqpSolver
from diffusion_control.tracking.solvers.protocol import QuadraticProgram, Solver

Array = NDArray[np.float64]
SLACK_WEIGHT = 1e3


class SparseFormulation:
    """Pose the horizon problem in states and accelerations.

    Args:
        prediction: The prediction maps.
        cost: The tracking cost.
        limits: Scaled limits.
        bounds: Their bounds over the horizon.
        max_iterations: Cap of each solve, in tens (one iteration of a splitting method is small).
        solver: The sparse solver's class.
    """

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
        self._size = 2 * self._knots + self._inputs + self._joints + 1
        self._unit = prediction.dt_s**2
        self._fixed = self._fixed_rows()
        rows = self._rows(np.ones((self._joints, self._joints)))
        self._solver = solver(
            QuadraticProgram(sparse.diags_array(self._hessian(), format='csc'), rows),
            max_iterations=10 * max_iterations)
        self.solver_name = self._solver.name

    def solve(self, problem: HorizonProblem, guess: Array | None) -> HorizonSolution:
        """Return the accelerations; see `Formulation.solve`."""
        self._solver.replace_rows(self._rows(problem.mass))
        lower, upper = self._bounds_of(problem)
        start = None if guess is None else self._point(problem, guess)
        solution = self._solver.solve(self._linear(problem), lower, upper, guess=start)
        acceleration = solution.x[2 * self._knots:2 * self._knots + self._inputs].reshape(
            -1, self._joints) / self._unit
        near = np.abs(solution.multipliers) > 1e-6
        active = self._active(near)
        slack = float(solution.x[-self._joints - 1:-1].max(initial=0.0))
        return HorizonSolution(
            acceleration, solution.status, solution.iterations, active,
            bool(near[-2 * self._inputs:].any()), max(slack, 0.0))

    def _hessian(self) -> Array:
        weights, dt = self._weights, self._prediction.dt_s
        return 2 * np.concatenate((
            np.full(self._knots, weights.position),
            np.full(self._knots, weights.velocity / dt**2),
            np.full(self._inputs, (weights.input + weights.smooth) / dt**4),
            np.full(self._joints + 1, weights.position / 2)))

    def _linear(self, problem: HorizonProblem) -> Array:
        weights, dt = self._weights, self._prediction.dt_s
        penalty = SLACK_WEIGHT * weights.position
        return np.concatenate((
            -2 * weights.position * problem.reference_position.ravel(),
            -2 * weights.velocity / dt * problem.reference_velocity.ravel(),
            -2 * weights.smooth / dt**2 * problem.anchor.ravel(),
            np.full(self._joints, penalty), [penalty]))

    def _point(self, problem: HorizonProblem, acceleration: Array) -> Array:
        position, velocity, _ = self._prediction.motion(problem, acceleration)
        return np.concatenate((
            position[1:].ravel(), velocity[1:].ravel() * self._prediction.dt_s,
            acceleration.ravel() * self._unit, np.zeros(self._joints + 1)))

    def _fixed_rows(self) -> Any:
        """Return all rows but the torque rows, as one sparse matrix."""
        steps, joints = self._steps, self._joints
        one, back = sparse.eye_array(steps), sparse.eye_array(steps, k=-1)
        now = sparse.eye_array(steps, steps - 1)
        before = sparse.eye_array(steps, steps - 1, k=-1)
        stop = self._bounds.stop_time_s / self._prediction.dt_s
        none = sparse.csc_array((steps, steps - 1))
        grid = [
            [one - back, -back, -(now / 6 + before / 3)],
            [0 * one, one - back, -(now + before) / 2],
            [one, stop * one, none],
            [one, stop * one, none],
            [0 * one, 0 * one, now - before],
        ]
        body = sparse.kron(sparse.block_array(grid), sparse.eye_array(joints))
        slack = sparse.csc_array(np.vstack((
            np.zeros((2 * steps * joints, joints)),
            -np.tile(np.eye(joints), (steps, 1)), np.tile(np.eye(joints), (steps, 1)),
            np.zeros((steps * joints, joints)))))
        rest = sparse.csc_array((5 * steps * joints, 1))
        return sparse.hstack([body, slack, rest], format='csc')

    def _rows(self, mass: Array) -> sparse.csc_array:
        """Return A with the torque rows of a mass matrix."""
        torque = sparse.kron(
            sparse.eye_array(self._steps - 1), sparse.coo_array(self._dense(mass)))
        before = sparse.csc_array((self._inputs, 2 * self._knots))
        between = sparse.csc_array((self._inputs, self._joints))
        one = sparse.csc_array(np.ones((self._inputs, 1)))
        return sparse.csc_array(sparse.vstack([
            self._fixed,
            sparse.hstack([before, torque / self._unit, between, -one]),
            sparse.hstack([before, torque / self._unit, between, one])], format='csc'))

    @staticmethod
    def _dense(mass: Array) -> Array:
        """Return M with zeros replaced by something tiny, so that the pattern never changes."""
        return np.where(np.abs(mass) < 1e-12, 1e-12, mass)

    def _bounds_of(self, problem: HorizonProblem) -> tuple[Array, Array]:
        steps, joints, dt = self._steps, self._joints, self._prediction.dt_s
        low_v, high_v = self._bounds.velocity(problem)
        box = self._bounds.acceleration(problem.acceleration).ravel() * self._unit
        free = np.full(self._knots, np.inf)
        step_q, step_v = np.zeros((2, steps, joints))
        step_q[0] = (
            problem.position + dt * problem.velocity + self._unit / 3 * problem.acceleration)
        step_v[0] = dt * problem.velocity + self._unit / 2 * problem.acceleration
        jerk_low, jerk_high = self._jerk(problem)
        room = np.tile(self._limits.torque_nm - problem.bias, steps - 1)
        floor = np.tile(-self._limits.torque_nm - problem.bias, steps - 1)
        open_rows = np.full(self._inputs, np.inf)
        lower = np.concatenate((
            -free, low_v.ravel() * dt, -box, np.zeros(joints + 1), step_q.ravel(),
            step_v.ravel(), -free, np.tile(self._limits.lower_rad, steps), jerk_low,
            -open_rows, floor))
        upper = np.concatenate((
            free, high_v.ravel() * dt, box, np.full(joints + 1, np.inf), step_q.ravel(),
            step_v.ravel(), np.tile(self._limits.upper_rad, steps), free, jerk_high,
            room, open_rows))
        return lower, upper

    def _jerk(self, problem: HorizonProblem) -> tuple[Array, Array]:
        step = self._bounds.jerk_step
        room = np.tile(step, (self._steps, 1))
        first = np.maximum(
            step, np.abs(problem.acceleration) - self._limits.acceleration_rad_s2)
        low, high = -room, room.copy()
        low[0], high[0] = problem.acceleration - first, problem.acceleration + first
        return low.ravel() * self._unit, high.ravel() * self._unit

    def _active(self, near: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the joints with an active velocity, acceleration, position or jerk bound."""
        free = near.copy()
        free[:self._knots] = False
        at = 2 * self._knots + self._inputs
        boxes = free[:at].reshape(-1, self._joints).any(axis=0)
        rows = free[self._size + 2 * self._knots:-2 * self._inputs]
        answer: NDArray[np.bool_] = boxes | rows.reshape(-1, self._joints).any(axis=0)
        return answer
