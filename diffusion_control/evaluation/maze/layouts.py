# SPDX-License-Identifier: Apache-2.0
"""Mazes: the named ones with their constants, those of files, and random ones.

Layouts, episode lengths and reference scores of umaze, medium and large are those of maze2d-*-v1:
J. Fu et al., "D4RL: Datasets for Deep Data-Driven Reinforcement Learning", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.occupancy_map import WALL, OccupancyMap, layout_walls
from diffusion_control.simulation.layout import read_layout

Array = NDArray[np.float64]
WALL_OFFSET_M = -0.2
"""Where the middle of wall (row, column) lies, beside (row, column) itself, along both axes."""
GOAL_MARK = 'G'
SMALLEST = 4


@dataclass(frozen=True)
class Maze:
    """Rows of `#`, `O`, `G`, with cells of 1 m.

    In maze2d x is the row and y the column, and a place (row, column) lies 0.2 m off the middle of
    its cell. In PointMaze (`upright`) x goes along a row, y up, and the origin is the middle.

    Attributes:
        name: For tables.
        rows: Lines of one length.
        steps: Length of an episode; None = not given.
        ref_min: Return that scores 0.
        ref_max: Return that scores 100.
        upright: Axes as in PointMaze.
    """

    name: str
    rows: tuple[str, ...]
    steps: int | None = None
    ref_min: float | None = None
    ref_max: float | None = None
    upright: bool = False

    @cached_property
    def walls(self) -> NDArray[np.bool_]:
        """Which cells are walls, shape [R, C]."""
        return layout_walls(self.rows)

    @cached_property
    def map(self) -> OccupancyMap:
        """The map, with cells of 1 m."""
        return map_of(self.walls, self.upright)

    @cached_property
    def free(self) -> NDArray[np.int64]:
        """Cells (row, column) that are free, shape [K, 2]."""
        return np.argwhere(~self.walls)

    def place_of(self, cell: NDArray[np.int64]) -> Array:
        """Return what the task calls the place of a cell (row, column), shape [2] [m]."""
        row, column = float(cell[0]), float(cell[1])
        if not self.upright:
            return np.array([row, column])
        rows, columns = self.walls.shape
        return np.array([column + 0.5 - 0.5 * columns, 0.5 * rows - row - 0.5])

    def cell_at(self, place: Array) -> tuple[int, int]:
        """Return the cell (row, column) in which a place lies [2] [m]."""
        j, i = (int(k) for k in self.map.cell_of(np.asarray(place, dtype=float)[None])[0])
        return (len(self.rows) - 1 - j, i) if self.upright else (i, j)

    def regions(self, closed: tuple[int, int] | None = None) -> NDArray[np.int32]:
        """Number the connected free cells, shape [R, C]; walls are 0.

        Args:
            closed: A cell (row, column) that is taken for a wall.
        """
        free = ~self.walls
        if closed is not None:
            free[closed] = False
        found: NDArray[np.int32] = ndimage.label(free)[0]
        return found

    def with_wall(self, cell: tuple[int, int]) -> Maze:
        """Return the maze with one more wall, at (row, column)."""
        rows = [list(row) for row in self.rows]
        rows[cell[0]][cell[1]] = WALL
        return replace(self, rows=tuple(''.join(row) for row in rows))

    @property
    def goal_cell(self) -> NDArray[np.int64] | None:
        """The cell marked G, shape [2]; None without one."""
        found = np.argwhere(np.array([list(row) for row in self.rows]) == GOAL_MARK)
        return found[0] if len(found) else None


def map_of(walls: NDArray[np.bool_], upright: bool = False) -> OccupancyMap:
    """Return the map of walls [R, C]; see `Maze` for the axes."""
    rows, columns = walls.shape
    corner = WALL_OFFSET_M - 0.5
    origin = [-0.5 * columns, -0.5 * rows, 0.0] if upright else [corner, corner, 0.0]
    cells = np.ascontiguousarray(walls[::-1] if upright else walls.T).astype(np.int8)
    return OccupancyMap(1.0, np.array(origin), cells * np.int8(100))


MAZES: dict[str, Maze] = {maze.name: maze for maze in (
    Maze('umaze', ('#####', '#GOO#', '###O#', '#OOO#', '#####'), 300, 23.85, 161.86),
    Maze('medium', ('########', '#OO##OO#', '#OO#OOO#', '##OOO###', '#OO#OOO#', '#O#OO#O#',
                    '#OOO#OG#', '########'), 600, 13.13, 277.39),
    Maze('large', ('############', '#OOOO#OOOOO#', '#O##O#O#O#O#', '#OOOOOO#OOO#',
                   '#O####O###O#', '#OO#O#OOOOO#', '##O#O#O#O###', '#OO#OOO#OGO#',
                   '############'), 800, 6.7, 273.99),
)}


def read_maze(path: str | Path) -> Maze:
    """Return the maze of a file of `#`, `O`, `G`, `.` and blanks, walled in where it is open.

    Raises:
        ConfigurationError: No such file, other characters, or fewer than two free cells.
    """
    layout = read_layout(path)
    walls, rows = layout_walls(layout), [list(row) for row in layout]
    if not (walls[0].all() and walls[-1].all() and walls[:, 0].all() and walls[:, -1].all()):
        rows = [[WALL, *row, WALL] for row in rows]
        edge = [WALL] * len(rows[0])
        rows = [edge, *rows, edge]
    maze = Maze(Path(path).stem, tuple(''.join(row) for row in rows))
    if len(maze.free) < 2:
        raise ConfigurationError(
            'a maze needs two free cells', where=str(path), value=len(maze.free), allowed='>= 2')
    return maze


def random_maze(
    generator: np.random.Generator, rows: int, columns: int, *, loops: float = 0.15
) -> Maze:
    """Return a random connected maze, grown cell by cell.

    A cell beside the free ones is opened if just one of its four neighbours is free, and with
    probability `loops` if two are, so that some ways close to a ring.

    Args:
        generator: Random numbers.
        rows: Number of rows, the outer walls included.
        columns: Number of columns, likewise.
        loops: Probability in [0, 1].

    Raises:
        ConfigurationError: Too small for two free cells.
    """
    if min(rows, columns) < SMALLEST:
        raise ConfigurationError(
            'the maze is too small', where='random_maze', value=(rows, columns),
            allowed=f'at least {SMALLEST} rows and columns')
    free = np.zeros((rows, columns), dtype=bool)
    first = (int(generator.integers(1, rows - 1)), int(generator.integers(1, columns - 1)))
    waiting = [first]
    while waiting:
        row, column = waiting.pop(int(generator.integers(len(waiting))))
        around = [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
        known = sum(bool(free[cell]) for cell in around)
        if free[row, column] or known > 2 or (known == 2 and generator.random() >= loops):
            continue
        free[row, column] = True
        waiting += [(i, j) for i, j in around
                    if 0 < i < rows - 1 and 0 < j < columns - 1 and not free[i, j]]
    lines = tuple(''.join('O' if cell else WALL for cell in line) for line in free)
    return Maze(f'random_{rows}x{columns}', lines)
