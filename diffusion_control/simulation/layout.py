# SPDX-License-Identifier: Apache-2.0
"""Walls of a base's scene: from rows of marks to boxes, and to the map."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError, moved
from diffusion_control.robots.base import Base
from diffusion_control.robots.occupancy_map import OccupancyMap, layout_walls

if TYPE_CHECKING:
    from diffusion_control.robots.protocol import Robot
    from diffusion_control.simulation.scene import Scene

Array = NDArray[np.float64]
FREE_MARGIN_M = 3.0
FREE_RESOLUTION_M = 0.1
AT_ONCE = 1000
MOST_CELLS, LEAST_CELL_M, LONGEST_M = 60, 0.1, 60.0


def read_layout(path: str | Path) -> tuple[str, ...]:
    """Return the rows of a text file of `#` (wall), `O`, `G`, `.` and blanks (free).

    Lines that are shorter than the longest are filled up with blanks, which is said on stderr;
    empty lines at the end and the beginning are left out.

    Raises:
        ConfigurationError: No such file, no rows, or other characters.
    """
    try:
        text = Path(path).read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            'the layout cannot be read', where=str(path), value=str(error),
            allowed='a text file with rows of # O G .') from None
    lines = [line.rstrip() for line in text.strip('\r\n').splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    width = max((len(line) for line in lines), default=0)
    if not width:
        raise ConfigurationError(
            'the layout is empty', where=str(path), value=text[:40],
            allowed='at least one row of # O G . and blanks')
    short = [str(number) for number, line in enumerate(lines, 1) if len(line) < width]
    if short:
        _say_once(f'{path}: shorter than {width} marks: row {", ".join(short)}; what is missing '
                  'is free')
    rows = tuple(line.ljust(width) for line in lines)
    try:
        check_size(rows)
        layout_walls(rows)
    except ConfigurationError as error:
        raise moved(error, f'{path}: {error.where}') from error
    return rows


def check_size(rows: tuple[str, ...], cell_m: float = 1.0) -> None:
    """Refuse a layout whose walls, map and ways would take minutes to work out.

    Raises:
        ConfigurationError: With its rows, columns and lengths, and what is allowed.
    """
    size = np.array([len(rows), max((len(row) for row in rows), default=0)])
    if not LEAST_CELL_M <= cell_m or (size > MOST_CELLS).any() or (
            size * cell_m > LONGEST_M).any():
        raise ConfigurationError(
            'this layout is too large, or its cells are too small', where='layout',
            value=f'{size[0]} rows, {size[1]} columns of {cell_m:g} m',
            allowed=f'at most {MOST_CELLS} rows and columns and {LONGEST_M:g} m along a side, '
                    f'cells of {LEAST_CELL_M:g} m or more', remedy='cut out a part of it')


@cache
def _say_once(text: str) -> None:
    """Print a line on stderr, once a process."""
    print(text, file=sys.stderr)


def marked(
    rows: tuple[str, ...], marks: str, cell_m: float = 1.0,
    origin_m: tuple[float, float] = (0.0, 0.0),
) -> Array:
    """Return the centres of the cells with one of some marks, row by row, shape [K, 2] [m]."""
    found = [(origin_m[0] + (column + 0.5) * cell_m,
              origin_m[1] + (len(rows) - row - 0.5) * cell_m)
             for row, line in enumerate(rows) for column, mark in enumerate(line)
             if mark in marks]
    return np.array(found, dtype=float).reshape(-1, 2)


def wall_boxes(scene: Scene) -> Array:
    """Return few boxes that fill the walls: low x, low y, high x, high y, shape [W, 4] [m].

    Runs of wall cells along a row, of which equal ones of neighbouring rows become one.
    """
    if not scene.layout:
        return np.zeros((0, 4))
    walls = layout_walls(scene.layout)[::-1]
    open_runs: dict[tuple[int, int], int] = {}
    found: list[tuple[int, int, int, int]] = []
    for row in range(len(walls) + 1):
        runs = _runs(walls[row]) if row < len(walls) else []
        for run in [run for run in open_runs if run not in runs]:
            found.append((run[0], open_runs.pop(run), run[1], row))
        for run in runs:
            open_runs.setdefault(run, row)
    shift = np.array([*scene.layout_origin_m, *scene.layout_origin_m])
    cells = np.array(sorted(found), dtype=float).reshape(-1, 4)
    boxes: Array = cells * scene.layout_cell_m + shift
    return boxes


def occupancy_map(scene: Scene) -> OccupancyMap:
    """Return the map of a scene, in its world; without walls one that is free all around."""
    if scene.layout:
        return OccupancyMap.from_layout(
            scene.layout, scene.layout_cell_m, origin=scene.layout_origin_m)
    places = [np.asarray(scene.start_rad)[:2], *(o.position_m[:2] for o in scene.obstacles)]
    places += [np.asarray(g.joints_rad if g.position_m is None else g.position_m)[:2]
               for g in scene.goals]
    low = np.min(places, axis=0) - FREE_MARGIN_M
    high = np.max(places, axis=0) + FREE_MARGIN_M
    columns, rows = np.ceil((high - low) / FREE_RESOLUTION_M).astype(int)
    return OccupancyMap(
        FREE_RESOLUTION_M, np.array([*low, 0.0]), np.zeros((rows, columns), dtype=np.int8))


def wall_distance(scene: Scene, points: Array) -> Array:
    """Return the distance of points [K, 2] to the nearest wall, 0 inside, shape [K] [m]."""
    boxes = wall_boxes(scene)
    if not len(boxes):
        return np.full(len(points), np.inf)
    found = np.empty(len(points))
    for first in range(0, len(points), AT_ONCE):
        some = points[first:first + AT_ONCE, None]
        gap = np.maximum(np.maximum(boxes[:, :2] - some, some - boxes[:, 2:]), 0.0)
        found[first:first + AT_ONCE] = np.sqrt((gap ** 2).sum(axis=-1).min(axis=1))
    return found


def check_layout(scene: Scene, robot: Robot, where: str) -> None:
    """Refuse walls around an arm, a start that touches a wall, goals in a wall or outside.

    Raises:
        ConfigurationError: With the place and what is allowed.
    """
    if not scene.layout:
        return
    if not isinstance(robot, Base):
        raise ConfigurationError(
            'a layout is for a base', where=f'{where}: layout', value=robot.name,
            allowed='a scene without layout for an arm')
    discs = robot.collision.discs
    centres = robot.collision.centres(np.asarray(scene.start_rad))
    if (wall_distance(scene, centres[:, :2]) <= discs[:, 2]).any():
        raise ConfigurationError(
            'the start touches a wall', where=f'{where}: start_rad',
            value=np.asarray(scene.start_rad).tolist(),
            allowed='a place where the footprint fits', remedy='move the start into a free cell')
    low = np.array(scene.layout_origin_m)
    high = low + np.array([len(scene.layout[0]), len(scene.layout)]) * scene.layout_cell_m
    for index, goal in enumerate(scene.goals):
        place = np.asarray(goal.joints_rad if goal.position_m is None else goal.position_m)[:2]
        if (place < low).any() or (place > high).any():
            raise ConfigurationError(
                'a goal lies outside the layout', where=f'{where}: goals[{index}]',
                value=place.tolist(), allowed=f'x {low[0]:g} .. {high[0]:g} m, '
                                              f'y {low[1]:g} .. {high[1]:g} m',
                remedy='move the goal into a free cell, or widen the layout')
        if wall_distance(scene, place[None])[0] <= 0.0:
            raise ConfigurationError(
                'a goal lies in a wall', where=f'{where}: goals[{index}]', value=place.tolist(),
                allowed='a free place', remedy='move the goal into a free cell')


def _runs(line: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and last + 1 of each run of walls in a row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
