# SPDX-License-Identifier: Apache-2.0
"""Time-varying model predictive control of a base (unicycle, or omnidirectional).

    minimise    the cost of `unicycle_problem.py`
    subject to  x' = u cos yaw - w sin yaw, y' = u sin yaw + w cos yaw, yaw' = omega from C(tau),
                body accelerations linear between knots, a_N = 0, and `twist_limits.py`.

Twist and yaw are linear in the accelerations, so every limit is exact; only x and y are not. They
are linearised about the better of the shifted last solution and the plan (by the true cost), the
quadratic programme is solved, and a step towards its solution is kept if it lowers the true cost
(1, 1/2, 1/4, 1/8 of it: both ends keep the linear limits, so all of these do). The real-time
iteration makes one or two such steps per tick and goes on in the next.

Originals: M. Diehl, H. G. Bock, J. P. Schloeder, "A real-time iteration scheme for nonlinear
optimization in optimal feedback control", SIAM J. Control Optim. 43, 2005; G. Klancar,
I. Skrjanc, "Tracking-error model-based predictive control for mobile robots in real time",
Robotics and Autonomous Systems 55, 2007.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.solvers.daqp import DaqpSolver
from diffusion_control.solvers.protocol import USABLE, QuadraticProgram, Solution
from diffusion_control.tracking.formulation import UNCONSTRAINED, HorizonSolution
from diffusion_control.tracking.reference import ReferenceWindow
from diffusion_control.tracking.twist_limits import TwistLimits
from diffusion_control.tracking.unicycle_kernels import sensitivity
from diffusion_control.tracking.unicycle_parameters import BaseTrackerParameters
from diffusion_control.tracking.unicycle_problem import TERMINAL, Horizon, UnicycleProblem

Array = NDArray[np.float64]
TOLERANCE = 1e-9
SAME = 1e-3
SHARES = (1.0, 0.5, 0.25, 0.125)


@dataclass(frozen=True)
class _Point:
    """Accelerations [N-1, m], the motion they make [4, N+1, 3], and its cost."""

    inputs: Array
    rolled: Array
    cost: float


class UnicycleMpc:
    """Choose body accelerations by optimisation.

    Args:
        horizon: The maps.
        limits: Scaled limits.
        parameters: Weights, warm start, caps.
    """

    def __init__(
        self, horizon: Horizon, limits: TwistLimits, parameters: BaseTrackerParameters
    ) -> None:
        self._horizon, self._limits = horizon, limits
        self._warm_start, self._rounds = parameters.warm_start, parameters.sqp_steps
        prediction = horizon.prediction
        self._steps, self._dt = prediction.steps, prediction.dt_s
        self._speed, self._place = prediction.velocity_map, prediction.position_map
        share = np.ones(self._steps)
        share[-1] = TERMINAL
        self._place_weights: Array = parameters.weight_position * share
        self._yaw_weights: Array = parameters.weight_yaw * share
        inputs = limits.inputs
        size = np.array([1.0] * (inputs - 1) + [parameters.yaw_arm_m**2])
        self._speed_weights: Array = parameters.weight_velocity * size
        self._input_weights: Array = parameters.weight_input * size
        self._smooth_weights: Array = parameters.weight_smooth * size
        self._constant = self._constant_hessian()
        self._rows = self._make_rows()
        program = QuadraticProgram(self._constant, self._rows)
        self._solver = DaqpSolver(program, max_iterations=parameters.max_iterations)
        self.solver_name = self._solver.name

    def _constant_hessian(self) -> Array:
        """Return the part of H that does not depend on the pose, shape [m(N-1), m(N-1)]."""
        count, inputs = self._steps - 1, self._limits.inputs
        out = np.zeros((inputs, count, inputs, count))
        for j in range(inputs):
            out[j, :, j] = 2 * (
                self._speed_weights[j] * self._speed.T @ self._speed
                + (self._input_weights[j] + self._smooth_weights[j]) * np.eye(count))
        out[-1, :, -1] += 2 * self._place.T @ (self._yaw_weights[:, None] * self._place)
        hessian = out.reshape(inputs * count, inputs * count)
        if np.linalg.eigvalsh(hessian)[0] <= 1e-12 * np.abs(hessian).max():
            raise ConfigurationError(
                'the tracker needs a weight on inputs', allowed='input + smooth > 0',
                where='mpc.weight_input, mpc.weight_smooth',
                value=[float(self._input_weights[0]), float(self._smooth_weights[0])])
        return hessian

    def _make_rows(self) -> Array:
        """Return the twist's rows at the control points, then the changes of the inputs."""
        steps, count = self._steps, self._steps - 1
        twist = np.kron(self._limits.rows, self._horizon.prediction.speed_map)
        change = np.eye(steps, count) - np.eye(steps, count, -1)
        return np.concatenate((twist, np.kron(np.eye(self._limits.inputs), change)))

    def choose(
        self, problem: UnicycleProblem, window: ReferenceWindow, shifted: Array | None
    ) -> tuple[HorizonSolution, str]:
        """Return the solution and the warm start that was used; see `Policy.choose`."""
        start = problem.twist[self._horizon.columns]
        rate = problem.acceleration[self._horizon.columns]
        point, choice = self._begin(problem, shifted)
        rows = self._bounds(start, rate)
        iterations, status, active = 0, UNCONSTRAINED, np.zeros(len(start), dtype=np.bool_)
        for _ in range(self._rounds):
            box = self._limits.box(self._twist(point), rate, self._dt)
            wanted, status, used, active = self._solve(problem, point, box, rows)
            iterations += used
            if status != UNCONSTRAINED and status not in USABLE:
                break
            before, point = point, self._towards(problem, point, wanted)
            if self._limits.runs_away(self._twist(point), point.inputs, rate, self._dt):
                box = self._limits.box(0.0 * self._twist(point), rate, self._dt)
                wanted, status, used, active = self._solve(problem, before, box, rows)
                iterations += used
                point = self._point(problem, wanted)
            if np.abs(point.inputs - before.inputs).max() < SAME:
                break
        return HorizonSolution(point.inputs, status, iterations, active), choice

    def _begin(self, problem: UnicycleProblem, shifted: Array | None) -> tuple[_Point, str]:
        """Return what to linearise about: the plan, the shifted solution, or standing still."""
        low, high = -self._limits.slower, self._limits.slower
        guesses: dict[str, Array] = {}
        if self._warm_start in ('plan', 'best'):
            guesses['plan'] = np.clip(problem.reference_acceleration, low, high)
        if self._warm_start in ('shifted', 'best') and shifted is not None:
            guesses['shifted'] = np.clip(shifted, low, high)
        if not guesses:
            return self._point(problem, np.zeros_like(problem.reference_acceleration)), 'cold'
        points = {name: self._point(problem, guess) for name, guess in guesses.items()}
        choice = min(points, key=lambda name: self._rank(points[name]))
        return points[choice], choice

    def _twist(self, point: _Point) -> Array:
        twist: Array = point.rolled[1][:, self._horizon.columns]
        return twist

    def _rank(self, point: _Point) -> tuple[bool, float]:
        over = self._limits.over(self._twist(point)).max()
        return bool(over > 1e-3), point.cost

    def _point(self, problem: UnicycleProblem, inputs: Array) -> _Point:
        rolled = self._horizon.roll(problem, inputs)
        error = rolled[0, 1:] - problem.reference_pose
        slip = (rolled[1, 1:] - problem.reference_twist)[:, self._horizon.columns]
        cost = float(
            self._place_weights @ (error[:, 0]**2 + error[:, 1]**2)
            + self._yaw_weights @ error[:, 2]**2 + (slip**2).sum(axis=0) @ self._speed_weights
            + (inputs**2).sum(axis=0) @ self._input_weights
            + ((inputs - problem.anchor)**2).sum(axis=0) @ self._smooth_weights)
        return _Point(inputs, rolled, cost)

    def _towards(self, problem: UnicycleProblem, point: _Point, wanted: Array) -> _Point:
        """Return the first step towards the solution that lowers the cost, or the last tried.

        A point that lies beyond the limits (a plan that asks for too much) is left at once.
        """
        if self._rank(point)[0]:
            return self._point(problem, wanted)
        for share in SHARES:
            there = self._point(problem, point.inputs + share * (wanted - point.inputs))
            if there.cost <= point.cost:
                break
        return there

    def _solve(
        self, problem: UnicycleProblem, point: _Point, box: tuple[Array, Array],
        rows: tuple[Array, Array],
    ) -> tuple[Array, str, int, NDArray[np.bool_]]:
        """Return inputs [N-1, m], status, iterations, and which inputs have an active limit."""
        hessian, linear = self._quadratic(problem, point)
        inputs, count = self._limits.inputs, self._steps - 1
        free = np.asarray(np.linalg.solve(hessian, -linear), dtype=np.float64)
        low, high = box[0].T.ravel(), box[1].T.ravel()
        values = self._rows @ free
        inside = bool(((free >= low - TOLERANCE) & (free <= high + TOLERANCE)).all() and (
            (values >= rows[0] - TOLERANCE) & (values <= rows[1] + TOLERANCE)).all())
        if inside:
            inner: Array = free.reshape(inputs, count).T.copy()
            return inner, UNCONSTRAINED, 0, np.zeros(inputs, dtype=np.bool_)
        scale = 1.0 / float(np.diag(hessian).max())
        self._solver.replace_hessian(scale * hessian)
        solution = self._solver.solve(
            scale * linear, np.concatenate((low, rows[0])), np.concatenate((high, rows[1])),
            guess=point.inputs.T.ravel())
        return (solution.x.reshape(inputs, count).T.copy(), solution.status,
                solution.iterations, self._active(solution))

    def _active(self, solution: Solution) -> NDArray[np.bool_]:
        inputs, count = self._limits.inputs, self._steps - 1
        pushed = np.abs(solution.multipliers) > 1e-9
        at_row = pushed[inputs * count:] @ np.abs(self._rows).reshape(
            len(self._rows), inputs, count).sum(axis=2)
        at_box = np.any(pushed[:inputs * count].reshape(inputs, count), axis=1)
        active: NDArray[np.bool_] = np.logical_or(at_box, at_row > 0)
        return active

    def _bounds(self, start: Array, rate: Array) -> tuple[Array, Array]:
        """Return lower and upper bounds of the rows, less what the start contributes."""
        low, high = self._limits.bounds(start, rate, self._steps, self._dt)
        free = (self._limits.rows @ (start + self._dt / 2 * rate))[:, None]
        least, most = self._limits.jerk_rows(rate, self._steps, self._dt)
        return (np.concatenate(((low - free).ravel(), least.T.ravel())),
                np.concatenate(((high - free).ravel(), most.T.ravel())))

    def _quadratic(self, problem: UnicycleProblem, point: _Point) -> tuple[Array, Array]:
        """Return H and f of the cost with x, y linearised about a point."""
        jacobian = sensitivity(
            self._dt, point.rolled, self._horizon.full(problem, point.inputs),
            self._horizon.speed_at, self._horizon.yaw_at, self._limits.omni)
        weights = np.concatenate((self._place_weights, self._place_weights))
        weighted = weights[:, None] * jacobian
        hessian = self._constant + 2.0 * (weighted.T @ jacobian)
        flat = point.inputs.T.ravel()
        error = point.rolled[0, 1:] - problem.reference_pose
        slip = (point.rolled[1, 1:] - problem.reference_twist)[:, self._horizon.columns]
        gradient = self._speed.T @ (slip * self._speed_weights)
        gradient += point.inputs * self._input_weights
        gradient += (point.inputs - problem.anchor) * self._smooth_weights
        gradient[:, -1] += self._place.T @ (self._yaw_weights * error[:, 2])
        linear = 2.0 * (gradient.T.ravel() + weighted.T @ error[:, :2].T.ravel())
        return hessian, linear - hessian @ flat
