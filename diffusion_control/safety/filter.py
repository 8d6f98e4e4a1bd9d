# SPDX-License-Identifier: Apache-2.0
"""The CBF-QP filter: the velocity nearest to the asked one that every barrier admits.

    minimise   1/2 |v - v_nominal|^2 + 1/2 sum_c rho_c s_c^2
    subject to lower <= v <= upper          joint position, velocity, acceleration: hard
               g_k' v >= b_k                torque, tool speed: hard
               g_k' v + s_c(k) >= b_k       distances: soft, one slack for each class, s_c >= 0

The hard part is feasible by construction: it admits the velocity of the stored, verified motion.
The solver is exact (an active-set method), and its answer is checked against the data
(`solvers.protocol.judge`); an answer that fails is never used, and neither is the nominal one:
the stored motion goes on. Rows that hold everywhere in the box lower <= v <= upper,

    sum_i min(g_k,i lower_i, g_k,i upper_i) >= b_k,

are left out; where none is left, v is the nominal velocity clipped into the box. The barriers are
linear in v and see one configuration; whether the next states keep them is what the verification
of the whole motion says.

Original: A. D. Ames, X. Xu, J. W. Grizzle, P. Tabuada, "Control Barrier Function Based Quadratic
Programs for Safety Critical Systems", IEEE Transactions on Automatic Control 62(8), 2017, eq.
(CBF-QP).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.robots.protocol import Robot
from diffusion_control.safety.barrier_set import NEAREST_ROWS, SLACK_WEIGHTS, BarrierSet
from diffusion_control.safety.barriers.step import Bounds, Rows, Step
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.solvers.daqp import DaqpSolver
from diffusion_control.solvers.protocol import FAILED, SOLVED, QuadraticProgram

Array = NDArray[np.float64]

UNCHANGED_RAD_S = 1e-3
MAX_ITERATIONS = 200
EXTRA_ROWS = 2 * NEAREST_ROWS + 16
FEW, MORE = 8, 32
"""Rows of the smaller programmes: most have few, and a solver's arrays have a fixed size."""


class Barriers(Protocol):
    """What bounds a velocity; see `BarrierSet`."""

    def bounds(self, step: Step) -> Bounds:
        """Return the bounds of single parts of the velocity."""
        ...

    def rows(self, step: Step, nominal: Array) -> Rows:
        """Return everything else."""
        ...


@dataclass(frozen=True)
class Filtered:
    """The filter's answer.

    Attributes:
        velocity: v, shape [n]; None if there is none that may be used.
        changed: v differs from the nominal velocity by more than 1e-3 rad/s.
        slack: The largest slack, 0 where every barrier holds.
        active: Number of rows that hold with equality.
        status: `solved`, or why the answer was not used.
    """

    velocity: Array | None
    changed: bool
    slack: float
    active: int
    status: str


class BarrierFilter:
    """Filter velocities of one robot.

    Args:
        robot: Shape, kinematics and dynamics.
        parameters: Margins, gains and bounds.
        barriers: Others than those of an arm.
    """

    def __init__(
        self, robot: Robot, parameters: SafetyParameters, barriers: Barriers | None = None
    ) -> None:
        """Allocate the programme once; only its rows and bounds change."""
        self.barriers = barriers or BarrierSet(robot, parameters)
        self._dof, self._classes = robot.dof, len(SLACK_WEIGHTS)
        self._size = robot.dof + self._classes
        hessian = np.diag(np.concatenate((np.ones(robot.dof), SLACK_WEIGHTS)))
        self._solvers = {
            count: DaqpSolver(
                QuadraticProgram(hessian, np.zeros((count, self._size))),
                max_iterations=MAX_ITERATIONS)
            for count in (FEW, MORE, 2 * robot.dof + EXTRA_ROWS)}

    def filter(self, step: Step, nominal: Array) -> Filtered:
        """Return the velocity after the step that is nearest to `nominal` [n]."""
        bounds = self.barriers.bounds(step)
        rows = self.barriers.rows(step, nominal)
        if _admits(rows.slope, rows.floor, bounds.lower, bounds.upper, nominal):
            return unfiltered(nominal)
        which = _binding(rows.slope, rows.floor, bounds.lower, bounds.upper)
        if not len(which):
            clipped = np.minimum(np.maximum(nominal, bounds.lower), bounds.upper)
            return Filtered(clipped, _differs(clipped, nominal), 0.0, 0, SOLVED)
        return self._solve(rows.take(which), bounds, nominal)

    def _solve(self, rows: Rows, bounds: Bounds, nominal: Array) -> Filtered:
        """Return the solution of the programme with these rows."""
        if not np.isfinite(rows.slope).all():
            return Filtered(None, True, 0.0, 0, FAILED)
        count = next(size for size in self._solvers if size >= len(rows.floor))
        lower = np.full(self._size + count, -np.inf)
        upper = np.full(self._size + count, np.inf)
        lower[:self._dof], upper[:self._dof] = bounds.lower, bounds.upper
        lower[self._dof:self._size] = 0.0
        lower[self._size:self._size + len(rows.floor)] = rows.floor
        linear = np.concatenate((-nominal, np.zeros(self._classes)))
        solver = self._solvers[count]
        solver.replace_rows(self._matrix(rows, count))
        solution = solver.solve(linear, lower, upper)
        if solution.status != SOLVED:
            return Filtered(None, True, 0.0, 0, solution.status)
        velocity = solution.x[:self._dof]
        active = int((np.abs(solution.multipliers[self._size:]) > 1e-9).sum())
        return Filtered(
            velocity, _differs(velocity, nominal), float(solution.x[self._dof:].max()), active,
            SOLVED)

    def _matrix(self, rows: Rows, count: int) -> Array:
        """Return A [count, n + C] with a column for each class of slack, empty rows at the end."""
        matrix = np.zeros((count, self._size))
        matrix[:len(rows.floor), :self._dof] = rows.slope
        soft = np.flatnonzero(rows.softness >= 0)
        matrix[soft, self._dof + rows.softness[soft]] = 1.0
        return matrix


def unfiltered(velocity: Array) -> Filtered:
    """Return the answer that leaves a velocity [n] as it is."""
    return Filtered(velocity, False, 0.0, 0, SOLVED)


def _differs(velocity: Array, nominal: Array) -> bool:
    """Tell whether two velocities [n] are not the same."""
    return bool(np.abs(velocity - nominal).max() > UNCHANGED_RAD_S)


@kernel()
def _binding(slope: Any, floor: Any, lower: Any, upper: Any) -> Any:
    """Return the indices of the rows that do not hold everywhere in the box, NaN among them."""
    found, count = np.empty(len(floor), dtype=np.int64), 0
    for k in range(len(floor)):
        least = 0.0
        for i in range(len(lower)):
            least += min(slope[k, i] * lower[i], slope[k, i] * upper[i])
        if not least >= floor[k]:
            found[count] = k
            count += 1
    return found[:count].copy()


@kernel()
def _admits(slope: Any, floor: Any, lower: Any, upper: Any, nominal: Any) -> bool:
    """Tell whether the nominal velocity satisfies everything without slack, so is optimal.

    What is not finite satisfies nothing.
    """
    for i in range(len(nominal)):
        if not lower[i] <= nominal[i] <= upper[i]:
            return False
    for k in range(len(floor)):
        value = 0.0
        for i in range(len(nominal)):
            value += slope[k, i] * nominal[i]
        if not floor[k] <= value < math.inf:
            return False
    return True
