# SPDX-License-Identifier: Apache-2.0
"""All joints together, for the ticks in which torque limits bind.

Torques are affine in the accelerations: |G a + g|_i <= torque_i + slack at knots 1..N-1, G and g
being the formulation's: M and h at the start of the prediction (`condensed.py`), or derivatives
about the predicted path (`torque.py`). The slack is there because physics may leave no other way
(a payload that the drive cannot hold); its linear weight makes the penalty exact. With H = L L' of
one joint and z_j = L' a_j the Hessian of the accelerations is the identity, so new torque rows
need no new factor: they are G L^-T, which for a constant M are [M_i1 L^-T, M_i2 L^-T, ...] in the
rows of joint i.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.solvers.protocol import QuadraticProgram, Solution, Solver

Array = NDArray[np.float64]
SLACK_CURVATURE = 1e-3
SLACK_PENALTY = 1e2


@dataclass(frozen=True)
class TorqueRows:
    """Torques of all joints at knots 1..N-1 as rows z + offset, joint by joint.

    Attributes:
        rows: G L^-T, shape [n (N-1), n (N-1)].
        offset: g [Nm], shape [n (N-1)].
    """

    rows: Array
    offset: Array


class CoupledTorque:
    """The programme in x = [z_1..z_n, torque slack].

    Args:
        hessian: Of one joint, scaled to a largest diagonal entry of 1, shape [N-1, N-1].
        rows: Of each joint, shape [m_j, N-1].
        torque: Limits [Nm], shape [n].
        max_iterations: Cap of each solve.
        solver: The dense solver's class.

    Attributes:
        to_a: L^-T, shape [N-1, N-1]: a_j = to_a z_j.
    """

    def __init__(
        self, hessian: Array, rows: Sequence[Array], torque: Array, *, max_iterations: int,
        solver: Callable[..., Solver],
    ) -> None:
        self._inputs, self._joints = hessian.shape[0], len(rows)
        self._torque = torque
        self._lengths = [len(body) for body in rows]
        factor = np.linalg.cholesky(hessian)
        self.to_a, self._from_a = np.linalg.inv(factor).T, factor.T
        size = self._inputs * self._joints
        self._fixed = size + sum(self._lengths)
        self._a = np.zeros((self._fixed + 2 * size, size + 1))
        at = size
        for joint, body in enumerate(rows):
            columns = slice(joint * self._inputs, (joint + 1) * self._inputs)
            self._a[columns, columns] = self.to_a
            self._a[at:at + len(body), columns] = body @ self.to_a
            at += len(body)
        self._a[self._fixed:self._fixed + size, -1] = -1.0
        self._a[self._fixed + size:, -1] = 1.0
        cost = np.append(np.ones(size), SLACK_CURVATURE)
        self._solver = solver(
            QuadraticProgram(np.diag(cost), self._a.copy()), max_iterations=4 * max_iterations)

    def solve(
        self, torque: TorqueRows, linear: Array, box: Array, lower: Array, upper: Array,
        guess: Array,
    ) -> Solution:
        """Return the solution; `unpack` turns its x into accelerations.

        Args:
            torque: The torque rows of this tick.
            linear: Scaled f of each joint, shape [N-1, n].
            box: Bound of |a|, shape [N-1, n].
            lower: Bounds of the joints' rows, shape [>= m_j, n].
            upper: The same.
            guess: Accelerations to start from, shape [N-1, n].
        """
        size = self._inputs * self._joints
        rows = self._a.copy()
        rows[self._fixed:self._fixed + size, :size] = torque.rows
        rows[self._fixed + size:, :size] = torque.rows
        self._solver.replace_rows(rows)
        f = np.append((self.to_a.T @ linear).T.ravel(), SLACK_PENALTY)
        free = np.full(size, np.inf)
        room = np.repeat(self._torque, self._inputs)
        own = list(enumerate(self._lengths))
        low = np.concatenate((
            -free, [0.0], -box.T.ravel(), *(lower[:length, j] for j, length in own),
            -free, -room - torque.offset))
        high = np.concatenate((
            free, [np.inf], box.T.ravel(), *(upper[:length, j] for j, length in own),
            room - torque.offset, free))
        start = np.append(self.to_z(guess), 0.0)
        return self._solver.solve(f, low, high, guess=start)

    def to_z(self, acceleration: Array) -> Array:
        """Return the variables z of accelerations [N-1, n], joint by joint, shape [n (N-1)]."""
        return (self._from_a @ acceleration).T.ravel()

    def unpack(self, x: Array) -> tuple[Array, float]:
        """Return accelerations [N-1, n] and the torque slack [Nm]."""
        z = x[:-1].reshape(self._joints, self._inputs).T
        return self.to_a @ z, float(x[-1])
