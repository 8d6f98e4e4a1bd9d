# SPDX-License-Identifier: Apache-2.0
"""Solvers of the safety filter's programmes: time, exactness, what they say if infeasible.

Usage: pip install qpsolvers quadprog piqp proxsuite
       OMP_NUM_THREADS=1 python benchmarks/safety_solvers.py [--count 400]

The programmes are those that the filter meets in adversarial episodes (`bench safety`): *easy*
ones have at most two active rows, *hard* ones three or more, *infeasible* ones are the hard ones
without slacks and with every row 1 m/s stricter, as far as no point satisfies them (HiGHS says
so). The reference solution is quadprog's. Only solvers that are installed are compared.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
from numbers_given import positive
from numpy.typing import NDArray
from scipy.optimize import linprog

from diffusion_control import robots
from diffusion_control.evaluation.adversarial_episode import FULL, run_adversarial
from diffusion_control.safety.barrier_set import SLACK_WEIGHTS
from diffusion_control.solvers.daqp import DaqpSolver
from diffusion_control.solvers.protocol import QuadraticProgram

Array = NDArray[np.float64]
STRICTER, WIDE, HARD = 1.0, 1e3, 3
PEERS: dict[str, dict[str, Any]] = {
    'quadprog': {}, 'piqp': {}, 'proxqp': {'max_iter': 100},
    'osqp': {'eps_abs': 1e-5, 'eps_rel': 1e-5}}


class Programme:
    """One programme: minimise 1/2 x'Hx + f'x with lower <= x <= upper and rows x >= floor."""

    def __init__(self, linear: Array, lower: Array, upper: Array, rows: Array) -> None:
        count = len(linear)
        used = np.isfinite(lower[count:])
        dof = count - len(SLACK_WEIGHTS)
        self.hessian = np.diag(np.concatenate((np.ones(dof), SLACK_WEIGHTS)))
        self.linear, self.rows, self.floor = linear, rows[used], lower[count:][used]
        self.lower = np.maximum(lower[:count], -WIDE)
        self.upper = np.minimum(upper[:count], WIDE)

    def stricter(self) -> Programme:
        """Return the programme without slacks and with stricter rows."""
        other = Programme.__new__(Programme)
        other.hessian, other.linear = self.hessian, self.linear
        other.rows, other.floor = self.rows, self.floor + STRICTER
        slacks = len(self.linear) - len(SLACK_WEIGHTS)
        other.lower, other.upper = self.lower, self.upper.copy()
        other.upper[slacks:] = 0.0
        return other

    def feasible(self) -> bool:
        """Tell whether there is any point, by HiGHS."""
        bounds = list(zip(self.lower, self.upper, strict=True))
        found = linprog(
            np.zeros(len(self.linear)), A_ub=-self.rows, b_ub=-self.floor, bounds=bounds)
        return bool(found.status == 0)


def collected(count: int) -> list[tuple[Programme, int]]:
    """Return programmes of a run with their number of active rows."""
    found: list[tuple[Programme, int]] = []
    rows: list[Array] = []
    solve, replace_rows = DaqpSolver.solve, DaqpSolver.replace_rows

    def keep_rows(self: DaqpSolver, matrix: Array) -> None:
        rows.append(matrix)
        replace_rows(self, matrix)

    def keep(self: DaqpSolver, linear: Array, lower: Array, upper: Array, **options: Any) -> Any:
        solution = solve(self, linear, lower, upper, **options)
        active = int((np.abs(solution.multipliers) > 1e-9).sum())
        found.append((Programme(linear, lower, upper, rows[-1].copy()), active))
        return solution

    with (patch.object(DaqpSolver, 'solve', keep),
          patch.object(DaqpSolver, 'replace_rows', keep_rows)):
        robot = robots.load_arm('panda')
        for seed in range(0, 200, 2):
            run_adversarial(robot, seed, FULL)
            if all(sum(hard == (active >= HARD) for _, active in found) >= count
                   for hard in (False, True)):
                break
    return found


def ours(programme: Programme) -> tuple[Array | None, str]:
    """Solve by daqp as the filter does, factorisation included."""
    solver = DaqpSolver(QuadraticProgram(programme.hessian, programme.rows))
    rows = len(programme.floor)
    solution = solver.solve(
        programme.linear, np.concatenate((programme.lower, programme.floor)),
        np.concatenate((programme.upper, np.full(rows, np.inf))))
    return (solution.x if solution.accepted else None), solution.status


def peer(name: str) -> Callable[[Programme], tuple[Array | None, str]] | None:
    """Return a solver of qpsolvers, or None if it is not installed."""
    try:
        import qpsolvers
    except ImportError:
        return None
    if name not in qpsolvers.available_solvers:
        return None

    def run(programme: Programme) -> tuple[Array | None, str]:
        problem = qpsolvers.Problem(
            programme.hessian, programme.linear, -programme.rows, -programme.floor,
            lb=programme.lower, ub=programme.upper)
        try:
            solution = qpsolvers.solve_problem(problem, solver=name, **PEERS[name])
        except Exception as error:
            return None, type(error).__name__
        return (solution.x if solution.found else None), 'found' if solution.found else 'not found'

    return run


def measured(
    run: Callable[[Programme], tuple[Array | None, str]], programmes: list[Programme],
    references: list[Array] | None,
) -> dict[str, Any]:
    """Return times, the largest error, and what was said."""
    micros, errors, said = [], [], dict[str, int]()
    for index, programme in enumerate(programmes):
        begin = time.thread_time_ns()
        x, status = run(programme)
        micros.append((time.thread_time_ns() - begin) / 1e3)
        said[status] = said.get(status, 0) + 1
        if references is not None:
            errors.append(np.inf if x is None else float(np.abs(x - references[index])[:7].max()))
    shares = {f'p{p:g}_us': round(float(np.percentile(micros, p)), 1) for p in (50, 99, 99.9)}
    return {**shares, 'error_max': max(errors) if errors else None, 'said': said,
            'n': len(programmes)}


def main() -> None:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--count', type=positive, default=400)
    args = parser.parse_args()
    found = collected(args.count)
    kinds = {'easy': [p for p, active in found if active < HARD][:args.count],
             'hard': [p for p, active in found if active >= HARD][:args.count]}
    kinds['infeasible'] = [
        p for p in (item.stricter() for item in kinds['hard']) if not p.feasible()]
    solvers = {'daqp': ours, **{name: peer(name) for name in PEERS}}
    reference = solvers['quadprog'] or ours
    result: dict[str, Any] = {}
    for kind, programmes in kinds.items():
        references = None
        if kind != 'infeasible':
            answers = [reference(programme)[0] for programme in programmes]
            kept = [k for k, x in enumerate(answers) if x is not None]
            programmes = [programmes[k] for k in kept]
            references = [x for x in answers if x is not None]
        result[kind] = {name: measured(run, programmes, references)
                        for name, run in solvers.items() if run is not None}
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
