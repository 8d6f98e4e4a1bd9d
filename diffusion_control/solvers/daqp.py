# SPDX-License-Identifier: Apache-2.0
"""Daqp: a dual active-set solver for small dense programmes; exact, with a flat tail.

H is factored once; a new f and new bounds cost one triangular solve. The working set survives
between solves, or is set from a guess (the rows that are at or beyond a bound there).

Original: D. Arnstrom, A. Bemporad, D. Axehill, "A Dual Active-Set Solver for Embedded Quadratic
Programming Using Recursive LDL^T Updates", IEEE Transactions on Automatic Control 67(8), 2022.
"""

from __future__ import annotations

import daqp
import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
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
INFINITE = 1e30
AT_UPPER, AT_LOWER = 1, 3
STATUS = {1: SOLVED, 2: SOLVED, -1: INFEASIBLE, -4: ITERATION_LIMIT, -7: ITERATION_LIMIT}
OVERDETERMINED_GUESS = -6


class DaqpSolver:
    """Keep one factored programme.

    Args:
        program: H and A.
        max_iterations: Cap of one solve.
        primal_tolerance: Largest accepted violation of a row.
        dual_tolerance: Largest accepted relative gradient.

    Raises:
        ConfigurationError: If H is not positive definite.
    """

    name = 'daqp'

    def __init__(
        self, program: QuadraticProgram, *, max_iterations: int = 200,
        primal_tolerance: float = 1e-5, dual_tolerance: float = 1e-6,
    ) -> None:
        self._program = program
        self._tolerances = {
            'primal_tolerance': primal_tolerance, 'dual_tolerance': dual_tolerance}
        count, rows = program.hessian.shape[0], program.rows.shape[0]
        self._cold = np.zeros(count + rows, dtype=np.intc)
        self._fresh: Array | None = None
        self._model = daqp.Model()
        self._model.settings = {'iter_limit': int(max_iterations), 'primal_tol': 1e-8}
        wide = np.full(count + rows, INFINITE)
        flag, _ = self._model.setup(
            program.hessian, np.zeros(count), program.rows, wide, -wide, self._cold.copy())
        if flag < 0:
            raise ConfigurationError(
                'a quadratic programme has a bad cost', where='weights', value=f'daqp flag {flag}',
                allowed='weights that make the cost positive definite')

    def solve(
        self, linear: Array, lower: Array, upper: Array, *,
        guess: Array | None = None, keep: bool = False,
    ) -> Solution:
        """Return the solution; see `Solver.solve`."""
        high, low = np.minimum(upper, INFINITE), np.maximum(lower, -INFINITE)
        sense = None if keep and guess is None else self._working_set(guess, low, high)
        fresh, self._fresh = self._fresh, None
        flag = self._model.update(H=fresh, f=linear, bupper=high, blower=low, sense=sense)
        if flag == OVERDETERMINED_GUESS:
            flag = self._model.update(f=linear, bupper=high, blower=low, sense=self._cold.copy())
        if flag < 0:
            status = INFEASIBLE if flag == -1 else FAILED
            zero = np.zeros_like(linear)
            return Solution(zero, np.zeros(len(lower)), 0, status, np.inf, np.inf)
        x, _, flag, info = self._model.solve()
        return judge(
            self._program, linear, lower, upper, x, info['lam'], STATUS.get(flag, FAILED),
            int(info['iterations']), **self._tolerances)

    def replace_rows(self, rows: Matrix) -> None:
        """Take another A of the same shape; the array is kept and must not be changed later."""
        self._program = QuadraticProgram(self._program.hessian, rows)
        self._model.update(A=rows, sense=self._cold.copy())

    def replace_hessian(self, hessian: Array) -> None:
        """Take another positive definite H of the same shape; it must not be changed later."""
        self._program = QuadraticProgram(hessian, self._program.rows)
        self._fresh = hessian

    def _working_set(self, guess: Array | None, lower: Array, upper: Array) -> NDArray[np.intc]:
        sense = self._cold.copy()
        if guess is not None:
            values = np.concatenate((guess, self._program.rows @ guess))
            sense[values >= upper - 1e-7] = AT_UPPER
            sense[values <= lower + 1e-7] = AT_LOWER
        return sense
