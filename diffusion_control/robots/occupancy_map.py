# SPDX-License-Identifier: Apache-2.0
"""The map of a base: which cells of a plane are occupied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array = NDArray[np.float64]
Cells = NDArray[np.int8]
OCCUPIED, UNKNOWN = 50, -1
LAYOUT_RESOLUTION_M = 0.05
WALL, FREE_MARKS = '#', 'OG. '


@dataclass(frozen=True)
class OccupancyMap:
    """Cells as in nav_msgs/OccupancyGrid: 0 free to 100 occupied, -1 unknown.

    A cell counts as occupied from 50 on. Unknown cells, and all that is outside, count as free:
    what is there, the scan has to see.

    Attributes:
        resolution_m: Edge of a cell [m].
        origin: Pose x, y, yaw of the corner of cell [0, 0], shape [3] [m, m, rad].
        cells: Row by row along the map's y, shape [H, W].
    """

    resolution_m: float
    origin: Array
    cells: Cells

    def __post_init__(self) -> None:
        """Refuse maps without cells, poses that are not finite, and values out of range."""
        if not (np.isfinite(self.resolution_m) and self.resolution_m > 0.0):
            raise ConfigurationError(
                'bad resolution of a map', where='map.resolution_m', value=self.resolution_m,
                allowed='> 0 m')
        if self.origin.shape != (3,) or not np.isfinite(self.origin).all():
            raise ConfigurationError(
                'bad origin of a map', where='map.origin', value=self.origin.tolist(),
                allowed='x, y, yaw, finite')
        if self.cells.ndim != 2 or self.cells.size == 0:
            raise ConfigurationError(
                'a map without cells', where='map.cells', value=self.cells.shape,
                allowed='at least one row and one column')
        if (self.cells < UNKNOWN).any() or (self.cells > 100).any():
            raise ConfigurationError(
                'a cell is out of range', where='map.cells',
                value=[int(self.cells.min()), int(self.cells.max())], allowed='-1 .. 100')

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """Which cells are occupied, shape [H, W]."""
        found: NDArray[np.bool_] = self.cells >= OCCUPIED
        return found

    @classmethod
    def from_layout(
        cls, rows: Sequence[str], cell_m: float = 1.0,
        resolution_m: float = LAYOUT_RESOLUTION_M, origin: tuple[float, float] = (0.0, 0.0),
    ) -> OccupancyMap:
        """Return the map of a layout: `#` is a wall; `O`, `G`, `.` and blanks are free.

        The first row is the one with the largest y, as it is read.

        Args:
            rows: Lines of one length.
            cell_m: Edge of a layout's cell [m].
            resolution_m: Edge of a cell of the map [m]; `cell_m` is rounded to a multiple of it.
            origin: Lower left corner of the layout [m].

        Raises:
            ConfigurationError: Rows of different length, or other characters.
        """
        walls = layout_walls(rows)
        fine = max(1, round(cell_m / resolution_m))
        cells = np.kron(walls[::-1], np.ones((fine, fine))).astype(np.int8) * np.int8(100)
        return cls(cell_m / fine, np.array([*origin, 0.0]), cells)

    def moved(self, pose: Array) -> OccupancyMap:
        """Return the map in another frame, in which the old one has the pose x, y, yaw."""
        cosine, sine = np.cos(pose[2]), np.sin(pose[2])
        x, y, yaw = self.origin
        return replace(self, origin=np.array([
            pose[0] + cosine * x - sine * y, pose[1] + sine * x + cosine * y, pose[2] + yaw]))

    def cell_of(self, points: Array) -> NDArray[np.int64]:
        """Return row and column of points [K, 2], shape [K, 2]; outside cells are not clipped."""
        cosine, sine = np.cos(self.origin[2]), np.sin(self.origin[2])
        x, y = points[:, 0] - self.origin[0], points[:, 1] - self.origin[1]
        local = np.stack([-sine * x + cosine * y, cosine * x + sine * y], axis=1)
        cells: NDArray[np.int64] = np.floor(local / self.resolution_m).astype(np.int64)
        return cells

    def centre_of(self, cells: NDArray[np.int64]) -> Array:
        """Return the centres of cells (row, column) [K, 2], shape [K, 2] [m]."""
        local = (cells[:, ::-1] + 0.5) * self.resolution_m
        cosine, sine = np.cos(self.origin[2]), np.sin(self.origin[2])
        return np.stack([
            self.origin[0] + cosine * local[:, 0] - sine * local[:, 1],
            self.origin[1] + sine * local[:, 0] + cosine * local[:, 1]], axis=1)


def layout_walls(rows: Sequence[str]) -> NDArray[np.bool_]:
    """Return which cells of a layout are walls, in its order, shape [H, W].

    Raises:
        ConfigurationError: No rows, rows of different length, or other characters.
    """
    if not rows or len({len(row) for row in rows}) != 1 or not rows[0]:
        raise ConfigurationError(
            'a layout needs rows of one length', where='layout',
            value=[len(row) for row in rows], allowed='at least one row, all equally long')
    for index, row in enumerate(rows):
        wrong = sorted(set(row) - {WALL, *FREE_MARKS})
        if wrong:
            raise ConfigurationError(
                f'unknown mark {wrong[0]!r} in a layout', where=f'layout: line {index + 1}',
                value=row, allowed='# O G . and blanks')
    return np.array([[mark == WALL for mark in row] for row in rows])
