# SPDX-License-Identifier: Apache-2.0
"""Osqp: an operator-splitting solver for sparse programmes.

Original: B. Stellato, G. Banjac, P. Goulart, A. Bemporad, S. Boyd, "OSQP: an operator splitting
solver for quadratic programs", Mathematical Programming Computation 12, 2020.
"""

from __future__ import annotations

import numpy as np
import osqp
from numpy.typing import NDArray
from scipy import sparse

from diffusion_control.solvers.protocol import (
    FAILED,
    INFEASIBLE,
    ITERATION_LIMIT,
    SOLVED,
    Matrix,
    QuadraticProgram,
    Solution,
    judge,
)

Array = NDArray[np.float64]
STATUS = {
    'solved': SOLVED, 'solved inaccurate': ITERATION_LIMIT,
    'maximum iterations reached': ITERATION_LIMIT, 'run time limit reached': ITERATION_LIMIT,
    'primal infeasible': INFEASIBLE, 'primal infeasible inaccurate': INFEASIBLE,
}


class OsqpSolver:
    """Keep one factored sparse programme.

    Explicit zeros of A belong to its pattern, so that `replace_rows` may fill them.

    Args:
        program: H and A.
        max_iterations: Cap of one solve.
        tolerance: Absolute and relative tolerance of the solver.
        step: The solver's rho.
        primal_tolerance: Largest accepted violation of a row.
        dual_tolerance: Largest accepted relative gradient.
    """

    name = 'osqp'

    def __init__(
        self, program: QuadraticProgram, *, max_iterations: int = 500, tolerance: float = 1e-5,
        step: float = 1.0, primal_tolerance: float = 2e-4, dual_tolerance: float = 2e-4,
    ) -> None:
        self._program = program
        self._tolerances = {
            'primal_tolerance': primal_tolerance, 'dual_tolerance': dual_tolerance}
        rows = sparse.csc_matrix(program.rows)
        self._rows, self._count = rows.shape
        identity = sparse.csc_matrix(2.0 * np.eye(self._count))
        marked = sparse.csc_matrix((np.ones(rows.nnz), rows.indices, rows.indptr), rows.shape)
        marked = sparse.vstack([marked, identity], format='csc')
        self._own_entries = np.flatnonzero(marked.data == 1.0)
        self._data = np.ones(marked.nnz)
        self._data[self._own_entries] = rows.data
        stacked = sparse.csc_matrix((self._data, marked.indices, marked.indptr), marked.shape)
        self._solver = osqp.OSQP()
        wide = np.full(self._count + self._rows, np.inf)
        self._solver.setup(
            P=sparse.csc_matrix(sparse.triu(sparse.csc_matrix(program.hessian))),
            q=np.zeros(self._count), A=stacked, l=-wide, u=wide, verbose=False,
            max_iter=max_iterations, eps_abs=tolerance, eps_rel=tolerance, rho=step,
            adaptive_rho=False, polishing=False, scaling=10, check_termination=5)

    def solve(
        self, linear: Array, lower: Array, upper: Array, *,
        guess: Array | None = None, keep: bool = False,
    ) -> Solution:
        """Return the solution; see `Solver.solve`."""
        count = self._count
        try:
            self._solver.update(
                q=linear, l=np.concatenate((lower[count:], lower[:count])),
                u=np.concatenate((upper[count:], upper[:count])))
            if guess is not None:
                self._solver.warm_start(x=guess)
            elif not keep:
                self._solver.warm_start(x=np.zeros(count), y=np.zeros(count + self._rows))
            result = self._solver.solve(raise_error=False)
        except (ValueError, osqp.OSQPException):
            zero = np.zeros(count)
            return Solution(zero, np.zeros(len(lower)), 0, FAILED, np.inf, np.inf)
        dual = np.concatenate((result.y[self._rows:], result.y[:self._rows]))
        return judge(
            self._program, linear, lower, upper, result.x, dual,
            STATUS.get(result.info.status, FAILED), int(result.info.iter), **self._tolerances)

    def replace_rows(self, rows: Matrix) -> None:
        """Take another A of the same shape and pattern."""
        body = sparse.csc_matrix(rows)
        self._program = QuadraticProgram(self._program.hessian, rows)
        self._data[self._own_entries] = body.data
        self._solver.update(Ax=self._data)
