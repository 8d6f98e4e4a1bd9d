# SPDX-License-Identifier: Apache-2.0
"""The command filter of a point mass: the nearest control that keeps barriers h(p) >= 0.

With p'' = (F u - d v) / m a barrier has relative degree two; the filter asks for

    h'' + 2 k h' + k^2 (h - h0) >= 0,   h' = g'v,   h'' = v'H v + g'p'',

with the gradient g and the Hessian H of h: a linear inequality c'u >= b in the control. Barriers
are that of a specification and the distances to the walls around, because a wall that is touched
pushes with a force that no control undoes. Where the programme has no solution the mass brakes.
W. Xiao, C. Belta, "High-Order Control Barrier Functions", IEEE TAC 67, 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.point_mass import PointMass, frame_of, from_cell
from diffusion_control.solvers.daqp import DaqpSolver
from diffusion_control.solvers.protocol import QuadraticProgram

Array = NDArray[np.float64]
GAIN_1_S = 4.0
"""k: a mass at its largest speed along an axis, 5 m/s, brakes with 20 of the 22.7 m/s^2 it has."""
LEAST_H = 0.02
"""h0: kept as a reserve for what happens between two steps."""
LEAST_WALL_M = 0.004
AROUND = 2
"""Walls count in the 5 x 5 cells around the mass."""
WALLS = (2 * AROUND + 1)**2


@dataclass(frozen=True)
class Barrier:
    """One barrier at one place: h less its reserve, gradient [2] and Hessian [2, 2]."""

    h: float
    gradient: Array
    hessian: Array


class PointFilter:
    """Keeps a point mass clear of walls and of one more region.

    Args:
        robot: The mass.
        known: The walls.
    """

    def __init__(self, robot: PointMass, known: OccupancyMap) -> None:
        self._robot, self._occupied, self._frame = robot, known.occupied, frame_of(known)
        self._solver = DaqpSolver(QuadraticProgram(np.eye(2), np.zeros((WALLS + 1, 2))))

    def admitted(self, control: Array, state: Array, region: Barrier) -> Array:
        """Return the admitted control that is nearest to a wanted one, shape [2].

        Args:
            control: Wanted, in [-1, 1], shape [2].
            state: x, y, vx, vy.
            region: Barrier of the specification here.
        """
        most = self._robot.speed_max_m_s
        velocity = np.clip(state[2:], -most, most)
        rows, least = np.zeros((WALLS + 1, 2)), np.full(WALLS + 1, -np.inf)
        for k, barrier in enumerate([region, *self._walls(state)]):
            rows[k], least[k] = self._row(barrier, velocity)
        self._solver.replace_rows(rows)
        found = self._solver.solve(
            -control, np.concatenate([-np.ones(2), least]),
            np.concatenate([np.ones(2), np.full(WALLS + 1, np.inf)]))
        return found.x if found.accepted else self._braking(velocity)

    def _row(self, barrier: Barrier, velocity: Array) -> tuple[Array, float]:
        """Return c and b of the inequality of a barrier."""
        robot, speed = self._robot, float(barrier.gradient @ velocity)
        free = (float(velocity @ barrier.hessian @ velocity)
                - robot.damping_n_s_m / robot.mass_kg * speed)
        return (robot.force_max_n / robot.mass_kg * barrier.gradient,
                -free - 2.0 * GAIN_1_S * speed - GAIN_1_S**2 * barrier.h)

    def _walls(self, state: Array) -> list[Barrier]:
        """Return the barriers of the occupied cells around."""
        column, row = (int(np.floor((state[i] - self._frame[i]) / self._frame[2]))
                       for i in range(2))
        found, height, width = [], *self._occupied.shape
        for j in range(max(row - AROUND, 0), min(row + AROUND + 1, height)):
            for i in range(max(column - AROUND, 0), min(column + AROUND + 1, width)):
                if self._occupied[j, i]:
                    far, across, along = from_cell(state[0], state[1], i, j, self._frame)
                    away = np.array([across, along])
                    corner = across != 0.0 and along != 0.0
                    bend = (np.eye(2) - np.outer(away, away)) / far if corner else np.zeros((2, 2))
                    found.append(Barrier(
                        far - self._robot.radius_m - LEAST_WALL_M, away, bend))
        return found

    def _braking(self, velocity: Array) -> Array:
        """Return the control that stops the mass as fast as it can, without turning it back."""
        robot = self._robot
        force = robot.damping_n_s_m * velocity - robot.mass_kg * velocity / robot.period_s
        most = max(float(np.abs(force).max()) / robot.force_max_n, 1.0)
        return np.asarray(force / robot.force_max_n / most)
