# SPDX-License-Identifier: Apache-2.0
"""A file of goals in a maze: a cell, `row col`, a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.maze.layouts import Maze

ONE_LINE = 'a text file with two whole numbers a line: row and column, counted from 0'


def goals_in(path: Path, maze: Maze) -> NDArray[np.int64]:
    """Return the goal cells of a file, shape [K, 2]; all of them are free in the maze.

    Raises:
        ConfigurationError: No such file, another line in it, or a goal in a wall or outside; with
            file and line.
    """
    goals = [_cell(path, number, line, maze) for number, line in enumerate(_lines(path), 1)
             if line.strip()]
    if not goals:
        raise ConfigurationError(
            'there are no goals', where='--goals', value=str(path), allowed=ONE_LINE)
    return np.array(goals, dtype=np.int64)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            'the goals cannot be read', where='--goals', value=str(error),
            allowed=ONE_LINE) from None


def _cell(path: Path, number: int, line: str, maze: Maze) -> tuple[int, int]:
    """Return the cell of a line."""
    where, words = f'--goals {path}: line {number}', line.split()
    try:
        row, column = (int(word) for word in words)
    except ValueError:
        raise ConfigurationError(
            'a goal is no cell', where=where, value=line, allowed=ONE_LINE) from None
    rows, columns = maze.walls.shape
    if not (0 <= row < rows and 0 <= column < columns) or maze.walls[row, column]:
        raise ConfigurationError(
            f'a goal is no free cell of {maze.name}', where=where, value=[row, column],
            allowed=f'rows 0 .. {rows - 1}, columns 0 .. {columns - 1}, not a wall',
            remedy='count from 0 at the top left, with the walls around')
    return row, column
