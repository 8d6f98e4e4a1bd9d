# SPDX-License-Identifier: Apache-2.0
"""A ball that slides on a plane and is pushed along x and y: the robot of the maze tasks.

m x'' = F_max u - d x' along each axis, u in [-1, 1]; each speed is clipped to a largest one.
Constants of J. Fu et al., "D4RL: Datasets for Deep Data-Driven Reinforcement Learning", 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.robots.limits import JointLimits
from diffusion_control.robots.occupancy_map import OccupancyMap

Array = NDArray[np.float64]
FAR = 1e4
SEEN_M = 1.0


@dataclass(frozen=True)
class PointMass:
    """The ball.

    Attributes:
        radius_m: Of the ball.
        mass_kg: Density 1000 kg/m^3.
        damping_n_s_m: Of each slide joint.
        force_max_n: At control 1.
        speed_max_m_s: Along each axis, at the beginning of a step.
        period_s: Time of one step.
    """

    kind: ClassVar[str] = 'point_mass'
    name: ClassVar[str] = 'point_mass'
    joint_names: ClassVar[tuple[str, ...]] = ('x', 'y')
    dof: ClassVar[int] = 2
    base_frame: ClassVar[str] = 'maze'
    tool_frame: ClassVar[str] = 'ball'
    goal_tolerance: ClassVar[tuple[float, float]] = (0.5, math.inf)

    radius_m: float = 0.1
    mass_kg: float = 1000.0 * 4.0 / 3.0 * math.pi * 0.1**3
    damping_n_s_m: float = 1.0
    force_max_n: float = 100.0
    speed_max_m_s: float = 5.0
    period_s: float = 0.01

    @cached_property
    def limits(self) -> JointLimits:
        """Of each axis; places are not limited, and the force may jump."""
        pair = np.ones(2)
        most = (self.force_max_n - self.damping_n_s_m * self.speed_max_m_s) / self.mass_kg
        return JointLimits(
            -FAR * pair, FAR * pair, self.speed_max_m_s * pair, most * pair, FAR * pair,
            self.force_max_n * pair)

    @property
    def home_rad(self) -> Array:
        """The origin."""
        return np.zeros(2)

    @property
    def constants(self) -> Array:
        """What kernels read: radius, mass, damping, largest force, largest speed, period."""
        return np.array([self.radius_m, self.mass_kg, self.damping_n_s_m, self.force_max_n,
                         self.speed_max_m_s, self.period_s])

    def clearance(self, points: Array, known: OccupancyMap) -> Array:
        """Return the distance of the ball at points [K, 2] to the nearest occupied cell [K] [m].

        It is negative where they overlap, and at most `SEEN_M`.
        """
        found: Array = clearances(
            np.ascontiguousarray(points, dtype=float), known.occupied, frame_of(known))
        return found - self.radius_m


def frame_of(known: OccupancyMap) -> Array:
    """Return a map's corner x, y and the edge of its cells, for kernels; its yaw must be 0."""
    return np.array([known.origin[0], known.origin[1], known.resolution_m])


@kernel()
def clearances(points: Any, occupied: Any, frame: Any) -> Any:
    """Return signed distances of points [K, 2] to the nearest occupied cell, at most `SEEN_M`.

    Args:
        points: Shape [K, 2].
        occupied: Cells [H, W] as in `OccupancyMap`: rows along y.
        frame: See `frame_of`.
    """
    out = np.empty(len(points))
    edge = frame[2]
    reach = int(np.ceil(SEEN_M / edge))
    for k in range(len(points)):
        x, y = points[k, 0], points[k, 1]
        column, row = int(np.floor((x - frame[0]) / edge)), int(np.floor((y - frame[1]) / edge))
        best = SEEN_M
        for j in range(max(row - reach, 0), min(row + reach + 1, occupied.shape[0])):
            for i in range(max(column - reach, 0), min(column + reach + 1, occupied.shape[1])):
                if occupied[j, i]:
                    near, _, _ = from_cell(x, y, i, j, frame)
                    best = min(best, near)
        out[k] = best
    return out


@kernel()
def from_cell(x: float, y: float, column: int, row: int, frame: Any) -> Any:
    """Return the signed distance of a point to a cell and the direction away from it (x, y)."""
    half = 0.5 * frame[2]
    across = x - (frame[0] + (column + 0.5) * frame[2])
    along = y - (frame[1] + (row + 0.5) * frame[2])
    over_x, over_y = abs(across) - half, abs(along) - half
    sign_x, sign_y = (1.0 if across >= 0.0 else -1.0), (1.0 if along >= 0.0 else -1.0)
    if over_x > 0.0 and over_y > 0.0:
        far = np.sqrt(over_x**2 + over_y**2)
        return far, sign_x * over_x / far, sign_y * over_y / far
    if over_x >= over_y:
        return over_x, sign_x, 0.0
    return over_y, 0.0, sign_y
