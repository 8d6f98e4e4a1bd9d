# SPDX-License-Identifier: Apache-2.0
"""The condensed formulation: accelerations only, one small programme per joint.

Without torque rows the joints are independent, so the problem falls into n programmes of N
variables (N-1 accelerations and one slack). First the unconstrained optimum of all joints by one
matrix product; joints whose optimum respects all bounds are done. The others are solved by an
active-set method with a constant factor. Only if the torques M a_k + h of the result exceed the
limits are the joints solved together (`coupled.py`). Each step is exact: where the later rows are
satisfied, the optimum without them is the optimum with them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.tracking.bounds import HorizonBounds
from diffusion_control.tracking.cost import TrackingCost
from diffusion_control.tracking.coupled import CoupledTorque
from diffusion_control.tracking.formulation import UNCONSTRAINED, HorizonSolution
from diffusion_control.tracking.prediction import HorizonProblem, Prediction
from diffusion_control.tracking.solvers.daqp import DaqpSolver
from diffusion_control.tracking.solvers.protocol import (
    SOLVED,
    QuadraticProgram,
    Solution,
    Solver,
)

Array = NDArray[np.float64]
SolverClass = Callable[..., Solver]
SLACK_WEIGHT = 1e3
TOLERANCE = 1e-9


class JointRows:
    """Rows of one joint's programme in x = [a_1..a_{N-1}, slack].

    Velocity (N), upper position (N), lower position (N), and jerk (N) where it can bind.

    Args:
        prediction: The prediction maps.
        bounds: Source of T and of the jerk step.
        jerk: Whether the jerk rows are in.

    Attributes:
        body: A without the slack's column, shape [m, N-1].
        slack: The slack's column, shape [m].
    """

    def __init__(self, prediction: Prediction, bounds: HorizonBounds, jerk: bool) -> None:
        steps = prediction.steps
        self.position = prediction.position_map + bounds.stop_time_s * prediction.velocity_map
        blocks = [prediction.velocity_map, self.position, self.position]
        slack = [np.zeros(steps), -np.ones(steps), np.ones(steps)]
        if jerk:
            difference = np.eye(steps, steps - 1) - np.eye(steps, steps - 1, -1)
            blocks.append(difference)
            slack.append(np.zeros(steps))
        self.body, self.slack = np.concatenate(blocks), np.concatenate(slack)


class JointBounds:
    """Bounds of all rows of one tick, as columns of the joints.

    Args:
        problem: The tick.
        bounds: The scaled limits.
        free_position: Free motion at knots 1..N, shape [N, n].
        free_velocity: Free motion at knots 1..N, shape [N, n].

    Attributes:
        acceleration: Bound of |a|, shape [N-1, n].
        lower: Of velocity, upper position, lower position, jerk rows, shape [4N, n].
        upper: The same, shape [4N, n].
    """

    def __init__(
        self, problem: HorizonProblem, bounds: HorizonBounds, free_position: Array,
        free_velocity: Array,
    ) -> None:
        steps, count = free_position.shape
        stop = free_position + bounds.stop_time_s * free_velocity
        low, high = bounds.velocity(problem)
        self.acceleration = bounds.acceleration(problem.acceleration)
        self.lower, self.upper = np.full((2, 4 * steps, count), np.inf)
        self.lower *= -1
        self.lower[:steps], self.upper[:steps] = low - free_velocity, high - free_velocity
        self.upper[steps:2 * steps] = bounds.limits.upper_rad - stop
        self.lower[2 * steps:3 * steps] = bounds.limits.lower_rad - stop
        jerk = np.maximum(
            bounds.jerk_step, np.abs(problem.acceleration) - bounds.limits.acceleration_rad_s2)
        self.lower[3 * steps:], self.upper[3 * steps:] = -bounds.jerk_step, bounds.jerk_step
        self.lower[3 * steps] = -jerk + problem.acceleration
        self.upper[3 * steps] = jerk + problem.acceleration


class CondensedFormulation:
    """Solve the horizon problem joint by joint, and together where torque limits bind.

    Args:
        prediction: The prediction maps.
        cost: The tracking cost.
        limits: Scaled limits.
        bounds: Their bounds over the horizon.
        max_iterations: Cap of each solve.
        solver: The dense solver's class.
    """

    def __init__(
        self, prediction: Prediction, cost: TrackingCost, limits: JointLimits,
        bounds: HorizonBounds, *, max_iterations: int = 200, solver: SolverClass = DaqpSolver,
    ) -> None:
        self._prediction, self._cost, self._bounds = prediction, cost, bounds
        self._torque = limits.torque_nm
        self._scale = 1.0 / float(np.diag(cost.hessian).max())
        self._penalty = self._scale * SLACK_WEIGHT * cost.weights.position
        inputs, joints = prediction.steps - 1, len(limits.lower_rad)
        hessian = np.zeros((inputs + 1, inputs + 1))
        hessian[:-1, :-1] = self._scale * cost.hessian
        hessian[-1, -1] = self._scale * cost.weights.position
        self._rows = [
            JointRows(prediction, bounds, bool(bounds.jerk_binds[j])) for j in range(joints)]
        self._solvers = [
            solver(
                QuadraticProgram(hessian, np.column_stack((rows.body, rows.slack))),
                max_iterations=max_iterations)
            for rows in self._rows]
        self._all_rows = JointRows(prediction, bounds, True).body
        self._coupled = CoupledTorque(
            hessian, [(rows.body, rows.slack) for rows in self._rows], self._torque,
            penalty=self._penalty, max_iterations=max_iterations, solver=solver)
        self._linear = np.zeros(inputs + 1)
        self.solver_name = self._solvers[0].name

    def solve(self, problem: HorizonProblem, guess: Array | None) -> HorizonSolution:
        """Return the accelerations; see `Formulation.solve`."""
        position, velocity = self._prediction.free(problem)
        linear = self._cost.linear(problem, position, velocity)
        acceleration = -self._cost.gain @ linear
        limit = JointBounds(problem, self._bounds, position, velocity)
        outside = self._outside(acceleration, limit)
        iterations, status, slack = 0, UNCONSTRAINED, 0.0
        for joint in np.flatnonzero(outside):
            solution = self._solve_joint(int(joint), linear, limit, guess)
            acceleration[:, joint] = solution.x[:-1]
            slack = max(slack, float(solution.x[-1]))
            iterations += solution.iterations
            if status in (UNCONSTRAINED, SOLVED):
                status = solution.status
        torque = acceleration @ problem.mass.T + problem.bias
        if status not in (UNCONSTRAINED, SOLVED) or (np.abs(torque) <= self._torque + 1e-6).all():
            return HorizonSolution(acceleration, status, iterations, outside, False, slack)
        solution = self._coupled.solve(
            problem, self._scale * linear, limit.acceleration, limit.lower, limit.upper,
            acceleration, slack)
        acceleration, slack = self._coupled.unpack(solution.x)
        return HorizonSolution(
            acceleration, solution.status, iterations + solution.iterations,
            self._outside(acceleration, limit, touching=1e-6) | outside, True, slack)

    def _outside(self, acceleration: Array, limit: JointBounds, touching: float = 0.0
                 ) -> NDArray[np.bool_]:
        """Return the joints that violate a bound by more than a tolerance, shape [n]."""
        tolerance = TOLERANCE - touching
        values = self._all_rows @ acceleration
        low, high = limit.lower - tolerance, limit.upper + tolerance
        steps = self._prediction.steps
        checked = np.ones_like(values, dtype=bool)
        checked[3 * steps:] = self._bounds.jerk_binds
        wrong = ((values < low) | (values > high)) & checked
        wide = np.abs(acceleration) > limit.acceleration + tolerance
        answer: NDArray[np.bool_] = wrong.any(axis=0) | wide.any(axis=0)
        return answer

    def _solve_joint(
        self, joint: int, linear: Array, limit: JointBounds, guess: Array | None
    ) -> Solution:
        count = len(self._rows[joint].slack)
        self._linear[:-1] = self._scale * linear[:, joint]
        self._linear[-1] = self._penalty
        box = limit.acceleration[:, joint]
        lower = np.concatenate((-box, [0.0], limit.lower[:count, joint]))
        upper = np.concatenate((box, [np.inf], limit.upper[:count, joint]))
        start = None if guess is None else np.append(guess[:, joint], 0.0)
        return self._solvers[joint].solve(self._linear, lower, upper, guess=start)
