# SPDX-License-Identifier: Apache-2.0
"""The command filter of a point mass: the nearest control that keeps barriers h(p) >= 0.

With the gradient g and the Hessian H of h, n = g / |g|, the mass closes in at w = -n'v, and for
convex h the distance is at least D = h / |g|. Braking by A stops in time while w <= sqrt(2 A D),
so that after a time T, with p'' = (F u - d v) / m, the filter asks for

    n'v + T (n'p'' + v'H v / |g|) >= -sqrt(2 A max(D + T n'v, 0)):

a linear inequality in the control. Barriers are that of a specification and the distances to the
walls around, because a wall that is touched pushes with a force that no control undoes. Where the
programme has no solution the mass brakes. After A. D. Ames, X. Xu, J. W. Grizzle, P. Tabuada,
"Control Barrier Function Based Quadratic Programs for Safety Critical Systems", IEEE TAC 62, 2017.
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
BRAKING_M_S2 = 15.0
"""A, of the 22.7 m/s^2 that the force can do along an axis at the largest speed."""
AHEAD_S = 0.02
"""T, two steps."""
LEAST_H = 0.02
"""What of h is kept as a reserve for what happens between two steps."""
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
        """Return the row c and its bound b, c'u >= b, of a barrier."""
        robot, steep = self._robot, float(np.linalg.norm(barrier.gradient))
        normal = barrier.gradient / steep
        speed, bend = float(normal @ velocity), float(velocity @ barrier.hessian @ velocity)
        far = max(barrier.h / steep + AHEAD_S * speed, 0.0)
        least = (-np.sqrt(2.0 * BRAKING_M_S2 * far) - speed) / AHEAD_S - bend / steep
        return (robot.force_max_n / robot.mass_kg * normal,
                float(least) + robot.damping_n_s_m / robot.mass_kg * speed)

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
