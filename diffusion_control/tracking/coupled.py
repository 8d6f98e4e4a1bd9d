# SPDX-License-Identifier: Apache-2.0
"""All joints together, for the ticks in which torque limits bind.

Torques are linearised at the start of the prediction: |M a_k + h|_i <= torque_i + slack at knots
1..N-1. The slack is there because physics may leave no other way (a payload that the drive cannot
hold); its linear weight makes the penalty exact. With H = L L' of one joint and z_j = L' a_j the
Hessian of the accelerations is the identity, so new torque rows need no new factor: the rows of
joint i are [M_i1 L^-T, M_i2 L^-T, ...].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from diffusion_control.solvers.protocol import QuadraticProgram, Solution, Solver
from diffusion_control.tracking.prediction import HorizonProblem

Array = NDArray[np.float64]
SLACK_CURVATURE = 1e-3
SLACK_PENALTY = 1e2


class CoupledTorque:
    """The programme in x = [z_1..z_n, torque slack].

    Args:
        hessian: Of one joint, scaled to a largest diagonal entry of 1, shape [N-1, N-1].
        rows: Of each joint, shape [m_j, N-1].
        torque: Limits [Nm], shape [n].
        max_iterations: Cap of each solve.
        solver: The dense solver's class.
    """

    def __init__(
        self, hessian: Array, rows: Sequence[Array], torque: Array, *, max_iterations: int,
        solver: Callable[..., Solver],
    ) -> None:
        self._inputs, self._joints = hessian.shape[0], len(rows)
        self._torque = torque
        self._lengths = [len(body) for body in rows]
        factor = np.linalg.cholesky(hessian)
        self._to_a, self._to_z = np.linalg.inv(factor).T, factor.T
        size = self._inputs * self._joints
        self._fixed = size + sum(self._lengths)
        self._a = np.zeros((self._fixed + 2 * size, size + 1))
        at = size
        for joint, body in enumerate(rows):
            columns = slice(joint * self._inputs, (joint + 1) * self._inputs)
            self._a[columns, columns] = self._to_a
            self._a[at:at + len(body), columns] = body @ self._to_a
            at += len(body)
        self._a[self._fixed:self._fixed + size, -1] = -1.0
        self._a[self._fixed + size:, -1] = 1.0
        cost = np.append(np.ones(size), SLACK_CURVATURE)
        self._solver = solver(
            QuadraticProgram(np.diag(cost), self._a.copy()), max_iterations=4 * max_iterations)

    def solve(
        self, problem: HorizonProblem, linear: Array, box: Array, lower: Array, upper: Array,
        guess: Array,
    ) -> Solution:
        """Return the solution; `unpack` turns its x into accelerations.

        Args:
            problem: Gives M and h.
            linear: Scaled f of each joint, shape [N-1, n].
            box: Bound of |a|, shape [N-1, n].
            lower: Bounds of the joints' rows, shape [>= m_j, n].
            upper: The same.
            guess: Accelerations to start from, shape [N-1, n].
        """
        size = self._inputs * self._joints
        torque_rows = np.kron(problem.mass, self._to_a)
        rows = self._a.copy()
        rows[self._fixed:self._fixed + size, :size] = torque_rows
        rows[self._fixed + size:, :size] = torque_rows
        self._solver.replace_rows(rows)
        f = np.append((self._to_a.T @ linear).T.ravel(), SLACK_PENALTY)
        free = np.full(size, np.inf)
        room = np.repeat(self._torque, self._inputs)
        bias = np.repeat(problem.bias, self._inputs)
        own = list(enumerate(self._lengths))
        low = np.concatenate((
            -free, [0.0], -box.T.ravel(), *(lower[:length, j] for j, length in own),
            -free, -room - bias))
        high = np.concatenate((
            free, [np.inf], box.T.ravel(), *(upper[:length, j] for j, length in own),
            room - bias, free))
        start = np.append((self._to_z @ guess).T.ravel(), 0.0)
        return self._solver.solve(f, low, high, guess=start)

    def unpack(self, x: Array) -> tuple[Array, float]:
        """Return accelerations [N-1, n] and the torque slack [Nm]."""
        z = x[:-1].reshape(self._joints, self._inputs).T
        return self._to_a @ z, float(x[-1])
