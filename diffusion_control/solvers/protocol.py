# SPDX-License-Identifier: Apache-2.0
"""One shape for quadratic programmes, their solvers, and solutions that check themselves.

    minimise 1/2 x' H x + f' x   subject to   lower <= [x; A x] <= upper

The first n bounds are those of the variables, the rest those of the rows of A. A `Matrix` is a
dense array or one of scipy's sparse ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Matrix: TypeAlias = Any
SOLVED = 'solved'
SUBOPTIMAL = 'suboptimal'
ITERATION_LIMIT = 'iteration_limit'
INFEASIBLE = 'infeasible'
FAILED = 'failed'
INACCURATE = 'inaccurate'
USABLE = (SOLVED, SUBOPTIMAL)


@dataclass(frozen=True)
class QuadraticProgram:
    """The parts that stay the same between ticks.

    Attributes:
        hessian: H, symmetric positive definite, shape [n, n]; dense or sparse.
        rows: A, shape [m, n]; dense or sparse.
    """

    hessian: Matrix
    rows: Matrix


@dataclass(frozen=True)
class Solution:
    """An answer, whatever it is worth; `accepted` says whether it may be used.

    Attributes:
        x: Shape [n]; zeros where the solver returned nothing.
        multipliers: Of the bounds, positive at the upper one, shape [n + m].
        iterations: Used by the solver.
        status: `solved`, `suboptimal` (the iterations ran out, but no bound is violated),
            `iteration_limit`, `infeasible`, `failed` or `inaccurate`.
        primal_residual: max violation of a bound, in the units of that row.
        dual_residual: max |H x + f + [I; A]' multipliers| over the scale of f.
    """

    x: Array
    multipliers: Array
    iterations: int
    status: str
    primal_residual: float
    dual_residual: float

    @property
    def accepted(self) -> bool:
        """Return whether the solution's own check found it usable."""
        return self.status in USABLE


class Solver(Protocol):
    """Solve one programme again and again with new f and bounds; never raises in `solve`."""

    name: str

    def solve(
        self, linear: Array, lower: Array, upper: Array, *,
        guess: Array | None = None, keep: bool = False,
    ) -> Solution:
        """Return the solution for f = `linear` [n] and bounds [n + m] each.

        Args:
            linear: f, shape [n].
            lower: Shape [n + m]; -inf allowed.
            upper: Shape [n + m]; +inf allowed.
            guess: A point to start from, shape [n]; its active bounds are the first working set.
            keep: Without a guess: start from where the last solve ended; else cold.
        """
        ...

    def replace_rows(self, rows: Matrix) -> None:
        """Take another A of the same shape and pattern; it must not be changed afterwards."""
        ...


def judge(
    program: QuadraticProgram, linear: Array, lower: Array, upper: Array, x: Array,
    multipliers: Array, status: str, iterations: int, *, primal_tolerance: float,
    dual_tolerance: float,
) -> Solution:
    """Return a `Solution` whose residuals were recomputed from the data, not taken on trust.

    Primal: max(lower - z, z - upper, 0) with z = [x; A x]. Dual: ||H x + f + y_x + A' y||_inf
    over max(1, ||f||_inf). A solution that is not finite is `failed`; one that the solver calls
    solved but whose residuals exceed the tolerances is `inaccurate`; one that ran out of
    iterations inside all bounds is `suboptimal`.
    """
    count = len(linear)
    values = np.concatenate((x, program.rows @ x))
    primal = max(float(np.maximum(lower - values, values - upper).max()), 0.0)
    gradient = program.hessian @ x + linear + multipliers[:count]
    gradient = gradient + program.rows.T @ multipliers[count:]
    dual = float(np.abs(gradient).max()) / max(1.0, float(np.abs(linear).max()))
    if not (isfinite(primal) and isfinite(dual)):  # what is not finite in x or y ends up here
        zero = np.zeros_like(linear)
        return Solution(zero, np.zeros(len(lower)), iterations, FAILED, np.inf, np.inf)
    exact = primal <= primal_tolerance and dual <= dual_tolerance
    if status == SOLVED and not exact:
        status = INACCURATE
    if status == ITERATION_LIMIT and primal <= primal_tolerance:
        status = SUBOPTIMAL
    return Solution(x, multipliers, iterations, status, primal, dual)
