# SPDX-License-Identifier: Apache-2.0
"""All joints together, for the ticks in which torque limits bind.

Torques are linearised at the start of the prediction: |M a_k + h|_i <= torque_i + slack at knots
1..N-1, with one slack for the torque rows (physics may leave no other way) beside the position
slacks. With H_j = L L' of one joint and z_j = L' a_j the Hessian of the accelerations is the
identity, so new torque rows need no new factor: row (i, k) is [M_i1 e_k' L^-T, M_i2 e_k' L^-T, ...].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from diffusion_control.tracking.prediction import HorizonProblem
from diffusion_control.tracking.solvers.protocol import QuadraticProgram, Solution, Solver

Array = NDArray[np.float64]
TORQUE_PENALTY = 1.0


class CoupledTorque:
    """The programme in x = [z_1..z_n, n position slacks, torque slack].

    Args:
        hessian: Of one joint's [a, slack], shape [N, N].
        rows: Body [m_j, N-1] and slack column [m_j] of each joint.
        torque: Limits [Nm], shape [n].
        penalty: Linear weight of the position slacks.
        max_iterations: Cap of each solve.
        solver: The dense solver's class.
    """

    def __init__(
        self, hessian: Array, rows: Sequence[tuple[Array, Array]], torque: Array, *,
        penalty: float, max_iterations: int, solver: Callable[..., Solver],
    ) -> None:
        self._inputs, self._joints = hessian.shape[0] - 1, len(rows)
        self._torque, self._penalty = torque, penalty
        self._lengths = [len(slack) for _, slack in rows]
        factor = np.linalg.cholesky(hessian[:-1, :-1])
        self._to_a = np.linalg.inv(factor).T
        self._to_z = factor.T
        size = self._inputs * self._joints
        self._fixed = size + sum(self._lengths)
        self._a = np.zeros((self._fixed + 2 * size, size + self._joints + 1))
        self._fill(rows, size)
        cost = np.ones(size + self._joints + 1)
        cost[size:] = hessian[-1, -1]
        self._solver = solver(
            QuadraticProgram(np.diag(cost), self._a.copy()), max_iterations=4 * max_iterations)

    def _fill(self, rows: Sequence[tuple[Array, Array]], size: int) -> None:
        """Write all rows that stay: bounds of a, the joints' own rows, the torque slack."""
        inputs, at = self._inputs, size
        for joint, (body, slack) in enumerate(rows):
            columns = slice(joint * inputs, (joint + 1) * inputs)
            self._a[columns, columns] = self._to_a
            self._a[at:at + len(slack), columns] = body @ self._to_a
            self._a[at:at + len(slack), size + joint] = slack
            at += len(slack)
        self._a[self._fixed:self._fixed + size, -1] = -1.0
        self._a[self._fixed + size:, -1] = 1.0

    def solve(
        self, problem: HorizonProblem, linear: Array, box: Array, lower: Array, upper: Array,
        guess: Array, slack: float,
    ) -> Solution:
        """Return the solution; `unpack` turns its x into accelerations.

        Args:
            problem: Gives M and h.
            linear: Scaled f of each joint, shape [N-1, n].
            box: Bound of |a|, shape [N-1, n].
            lower: Bounds of the joints' rows, shape [4N, n].
            upper: The same.
            guess: Accelerations to start from, shape [N-1, n].
            slack: Position slack to start from [rad].
        """
        size, joints = self._inputs * self._joints, self._joints
        torque_rows = np.kron(problem.mass, self._to_a)
        rows = self._a.copy()
        rows[self._fixed:self._fixed + size, :size] = torque_rows
        rows[self._fixed + size:, :size] = torque_rows
        self._solver.replace_rows(rows)
        f = np.concatenate((
            (self._to_a.T @ linear).T.ravel(), np.full(joints, self._penalty),
            [self._penalty * TORQUE_PENALTY]))
        free = np.full(size, np.inf)
        room = np.repeat(self._torque, self._inputs)
        bias = np.repeat(problem.bias, self._inputs)
        own = [slice(None, length) for length in self._lengths]
        low = np.concatenate((
            -free, np.zeros(joints + 1), -box.T.ravel(),
            *(lower[part, j] for j, part in enumerate(own)), -free, -room - bias))
        high = np.concatenate((
            free, np.full(joints + 1, np.inf), box.T.ravel(),
            *(upper[part, j] for j, part in enumerate(own)), room - bias, free))
        start = np.concatenate((
            (self._to_z @ guess).T.ravel(), np.full(joints, slack), [0.0]))
        return self._solver.solve(f, low, high, guess=start)

    def unpack(self, x: Array) -> tuple[Array, float]:
        """Return accelerations [N-1, n] and the largest position slack [rad]."""
        size = self._inputs * self._joints
        z = x[:size].reshape(self._joints, self._inputs).T
        return self._to_a @ z, float(x[size:-1].max())
