# SPDX-License-Identifier: Apache-2.0
"""The same programme by other solvers: those that `qpsolvers` finds on this machine.

The problems are those of the warm-start part (limits active in most ticks). Ours are timed as in
the tracker: condensed and exact (`mpc`), sparse with OSQP (`mpc_osqp`, kept factor). The others
are given the sparse programme of `mpc_osqp` through qpsolvers, cold, with its two-sided rows
split as that package asks for; setting up is part of their time, stacking the rows is not. The
error is that of the first acceleration against the exact optimum, where no torque row binds.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from diffusion_control.evaluation.bench_tracking_ticks import percentiles, robot_of
from diffusion_control.evaluation.bench_tracking_warm import Asked, policies, shift_of_work
from diffusion_control.robots.limits import DROOP_RAD
from diffusion_control.solvers.protocol import SOLVED, QuadraticProgram, Solution
from diffusion_control.tracking.bounds import HorizonBounds
from diffusion_control.tracking.cost import TrackingCost
from diffusion_control.tracking.parameters import TrackerParameters
from diffusion_control.tracking.prediction import Prediction
from diffusion_control.tracking.sparse import SparseFormulation

Array = NDArray[np.float64]
PEERS: dict[str, dict[str, Any]] = {
    'piqp': {'eps_abs': 1e-3, 'eps_rel': 1e-3}, 'clarabel': {}, 'proxqp': {'max_iter': 500},
    'osqp': {'eps_abs': 1e-5, 'eps_rel': 1e-5, 'max_iter': 2000}}
OURS = ('mpc', 'mpc_osqp')


class _Capture:
    """A solver that only keeps what it is asked."""

    name = 'capture'

    def __init__(self, program: QuadraticProgram, *, max_iterations: int = 0) -> None:
        self.hessian, self.rows = program.hessian, program.rows
        self.asked: tuple[Array, Array, Array] | None = None

    def solve(
        self, linear: Array, lower: Array, upper: Array, *, guess: Array | None = None,
        keep: bool = False,
    ) -> Solution:
        """Keep the question; the answer is worth nothing."""
        self.asked = (linear, lower, upper)
        return Solution(
            np.zeros(len(linear)), np.zeros(len(lower)), 0, SOLVED, 0.0, 0.0)

    def replace_rows(self, rows: Any) -> None:
        """Take another A."""
        self.rows = rows


def peer_rows(robot_config: str, *, problems: int, seed: int) -> list[dict[str, Any]]:
    """Return a row for each solver; `absent` of a row says why it was not asked."""
    robot = robot_of(robot_config, 'hard')
    asked = shift_of_work(robot, problems, seed)
    rows, exact = [], np.zeros((0, 0))
    for name in OURS:
        policy = policies(robot, name, ('best',))['best']
        spent, first, good = [], [], 0
        for one in asked:
            begin = time.thread_time_ns()
            solution, _ = policy.choose(one.problem, one.window, one.shifted)
            spent.append((time.thread_time_ns() - begin) * 1e-9)
            first.append(solution.acceleration[0])
            good += solution.status in ('solved', 'unconstrained')
        exact = np.array(first) if name == 'mpc' else exact
        rows.append({'solver': name, **_figures(spent, np.array(first), exact, good)})
    return [*rows, *_others(robot, asked, exact)]


def _others(robot: Any, asked: list[Asked], exact: Array) -> list[dict[str, Any]]:
    try:
        import qpsolvers
    except ImportError:
        return [{'solver': f'qpsolvers {name}', 'absent': 'qpsolvers is not installed'}
                for name in PEERS]
    parameters = TrackerParameters()
    limits = robot.limits.scaled(parameters.limits_scale).inset(DROOP_RAD)
    prediction = Prediction(parameters.horizon_steps, parameters.dt_s)
    capture: list[_Capture] = []

    def keep(program: QuadraticProgram, *, max_iterations: int) -> _Capture:
        capture.append(_Capture(program))
        return capture[-1]

    formulation = SparseFormulation(
        prediction, TrackingCost(prediction, parameters.weights()), limits,
        HorizonBounds(limits, prediction.steps, prediction.dt_s, parameters.braking_fraction),
        solver=keep)
    found: dict[str, tuple[list[float], list[Array], int]] = {
        name: ([], [], 0) for name in PEERS if name in qpsolvers.available_solvers}
    for one in asked:
        formulation.solve(one.problem, None)
        problem = _split(qpsolvers, capture[0])
        for name, (spent, first, good) in found.items():
            begin = time.thread_time_ns()
            answer = qpsolvers.solve_problem(problem, solver=name, **PEERS[name])
            spent.append((time.thread_time_ns() - begin) * 1e-9)
            ok = bool(answer.found) and answer.x is not None
            x = np.array(answer.x) if ok else np.full(problem.q.shape, np.nan)
            inputs = (prediction.steps - 1) * robot.dof
            first.append(x[-inputs:][:robot.dof] / prediction.dt_s**2)
            found[name] = (spent, first, good + int(ok))
    absent = [{'solver': f'qpsolvers {name}', 'absent': f'qpsolvers does not find {name}'}
              for name in PEERS if name not in found]
    return absent + [
        {'solver': f'qpsolvers {name}', **_figures(spent, np.array(first), exact, good)}
        for name, (spent, first, good) in found.items()]


def _split(qpsolvers: Any, capture: _Capture) -> Any:
    """Return the programme in the form of qpsolvers: G x <= h, A x = b, lb <= x <= ub."""
    assert capture.asked is not None
    linear, lower, upper = capture.asked
    count = len(linear)
    low, high, rows = lower[count:], upper[count:], sparse.csr_matrix(capture.rows)
    same = np.isclose(low, high, rtol=0.0, atol=1e-12)
    above, below = ~same & np.isfinite(high), ~same & np.isfinite(low)
    return qpsolvers.Problem(
        sparse.csc_matrix(capture.hessian), linear,
        sparse.csc_matrix(sparse.vstack([rows[above], -rows[below]])),
        np.concatenate((high[above], -low[below])), sparse.csc_matrix(rows[same]), high[same],
        lower[:count], upper[:count])


def _figures(spent: list[float], first: Array, exact: Array, good: int) -> dict[str, Any]:
    error = np.abs(first - exact).max(axis=1)
    error = error[np.isfinite(error)]
    return {'problems': len(spent), 'solved': good, **percentiles('cpu', spent),
            'error_p50_rad_s2': float(np.median(error)) if len(error) else None,
            'error_p99_rad_s2': float(np.percentile(error, 99)) if len(error) else None}
