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
from diffusion_control.tracking.twist_kernels import within
from diffusion_control.tracking.twist_limits import TwistLimits
from diffusion_control.tracking.unicycle_kernels import (
    evaluate,
    minimum,
    quadratic,
    sensitivity,
)
from diffusion_control.tracking.unicycle_parameters import BaseTrackerParameters
from diffusion_control.tracking.unicycle_problem import TERMINAL, Horizon, UnicycleProblem

Array = NDArray[np.float64]
TOLERANCE = 1e-9
SAME = 1e-3
BEYOND = 1e-3
SHARES = (0.5, 0.25, 0.125)


@dataclass(frozen=True)
class _Point:
    """Accelerations [N+1, 3], the motion they make [4, N+1, 3], and its cost."""

    full: Array
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
        size = np.array([1.0, 1.0, parameters.yaw_arm_m**2])
        self._weights: Array = np.stack([
            weight * size for weight in (
                parameters.weight_velocity, parameters.weight_input, parameters.weight_smooth)])
        self._constant = self._constant_hessian()
        self._rows = self._make_rows()
        self._touched = np.abs(self._rows).reshape(
            len(self._rows), limits.inputs, -1).any(axis=2)
        program = QuadraticProgram(self._constant, self._rows)
        self._solver = DaqpSolver(program, max_iterations=parameters.max_iterations)
        self.solver_name = self._solver.name

    def _constant_hessian(self) -> Array:
        """Return the part of H that does not depend on the pose, shape [m(N-1), m(N-1)]."""
        count, inputs = self._steps - 1, self._limits.inputs
        out = np.zeros((inputs, count, inputs, count))
        for j, axis in enumerate(range(3)[self._horizon.columns]):
            speed, push, change = self._weights[:, axis]
            out[j, :, j] = 2 * (
                speed * self._speed.T @ self._speed + (push + change) * np.eye(count))
        out[-1, :, -1] += 2 * self._place.T @ (self._yaw_weights[:, None] * self._place)
        hessian = out.reshape(inputs * count, inputs * count)
        if np.linalg.eigvalsh(hessian)[0] <= 1e-12 * np.abs(hessian).max():
            raise ConfigurationError(
                'the tracker needs a weight on inputs', allowed='input + smooth > 0',
                where='mpc.weight_input, mpc.weight_smooth',
                value=self._weights[1:, 0].tolist())
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
        limits, columns = self._limits, self._horizon.columns
        rate = problem.acceleration[columns]
        point, choice = self._begin(problem, shifted)
        rows = limits.bounds(problem.twist[columns], rate, self._steps, self._dt)
        iterations, status, active = 0, UNCONSTRAINED, np.zeros(len(rate), dtype=np.bool_)
        for _ in range(self._rounds):
            box = limits.box(self._twist(point), rate, self._dt)
            wanted, status, used, active = self._solve(problem, point, box, rows)
            iterations += used
            if status != UNCONSTRAINED and status not in USABLE:
                break
            before, point = point, self._towards(problem, point, wanted)
            if limits.runs_away(
                    self._twist(point), point.full[1:-1, columns], rate, self._dt):
                box = limits.box(np.zeros_like(self._twist(point)), rate, self._dt)
                wanted, status, used, active = self._solve(problem, before, box, rows)
                iterations += used
                point = self._point(problem, wanted)
            if np.abs(point.full - before.full).max() < SAME:
                break
        self._horizon.keep(problem, point.full, point.rolled)
        return HorizonSolution(point.full[1:-1, columns], status, iterations, active), choice

    def _begin(self, problem: UnicycleProblem, shifted: Array | None) -> tuple[_Point, str]:
        """Return what to linearise about: the plan, the shifted solution, or standing still."""
        most = self._limits.slower
        guesses: dict[str, Array] = {}
        if self._warm_start in ('plan', 'best'):
            feed = problem.reference_acceleration[:, self._horizon.columns]
            guesses['plan'] = np.minimum(np.maximum(feed, -most), most)
        if self._warm_start in ('shifted', 'best') and shifted is not None:
            guesses['shifted'] = np.minimum(np.maximum(shifted, -most), most)
        if not guesses:
            guesses['cold'] = np.zeros((self._steps - 1, self._limits.inputs))
        points = {name: self._point(problem, self._horizon.full(problem, guess))
                  for name, guess in guesses.items()}
        choice = next(iter(points))
        if len(points) > 1:
            choice = min(points, key=lambda name: self._rank(points[name]))
        return points[choice], choice

    def _twist(self, point: _Point) -> Array:
        twist: Array = point.rolled[1][:, self._horizon.columns]
        return twist

    def _rank(self, point: _Point) -> tuple[bool, float]:
        over = self._limits.over(self._twist(point)).max()
        return bool(over > BEYOND), point.cost

    def _point(self, problem: UnicycleProblem, full: Array) -> _Point:
        rolled, cost = evaluate(
            self._horizon.times, problem.pose, problem.twist, full, problem.reference_pose,
            problem.reference_twist, problem.anchor, self._place_weights, self._yaw_weights,
            self._weights)
        return _Point(full, rolled, cost)

    def _towards(self, problem: UnicycleProblem, point: _Point, wanted: Array) -> _Point:
        """Return the first step towards the solution that lowers the cost, or the last tried.

        A point that lies beyond the limits (a plan that asks for too much) is left at once.
        """
        there = self._point(problem, wanted)
        if there.cost <= point.cost or self._rank(point)[0]:
            return there
        for share in SHARES:
            there = self._point(problem, point.full + share * (wanted - point.full))
            if there.cost <= point.cost:
                break
        return there

    def _solve(
        self, problem: UnicycleProblem, point: _Point, box: Array, rows: Array
    ) -> tuple[Array, str, int, NDArray[np.bool_]]:
        """Return accelerations [N+1, 3], status, iterations, and inputs with an active limit."""
        jacobian = sensitivity(
            self._dt, point.rolled, point.full, self._horizon.speed_at, self._horizon.yaw_at,
            self._limits.omni)
        hessian, linear, flat = quadratic(
            jacobian, point.rolled, point.full, problem.reference_pose, problem.reference_twist,
            problem.anchor, self._place_weights, self._yaw_weights, self._weights, self._speed,
            self._place, self._constant, self._limits.omni)
        free = minimum(hessian, linear)
        if within(free, box, TOLERANCE) and within(self._rows @ free, rows, TOLERANCE):
            none = np.zeros(self._limits.inputs, dtype=np.bool_)
            return self._full(problem, free), UNCONSTRAINED, 0, none
        scale = 1.0 / float(hessian.diagonal().max())
        self._solver.replace_hessian(scale * hessian)
        low, high = np.concatenate((box, rows), axis=1)
        solution = self._solver.solve(scale * linear, low, high, keep=True)
        return (self._full(problem, solution.x), solution.status, solution.iterations,
                self._active(solution))

    def _full(self, problem: UnicycleProblem, flat: Array) -> Array:
        return self._horizon.full(problem, flat.reshape(self._limits.inputs, -1).T)

    def _active(self, solution: Solution) -> NDArray[np.bool_]:
        """Return which inputs have an active limit of their own or in a row, shape [m]."""
        pushed = np.abs(solution.multipliers) > 1e-9
        size = self._limits.inputs * (self._steps - 1)
        at_box = np.any(pushed[:size].reshape(self._limits.inputs, -1), axis=1)
        active: NDArray[np.bool_] = np.logical_or(at_box, pushed[size:] @ self._touched)
        return active
