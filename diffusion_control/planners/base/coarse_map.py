# SPDX-License-Identifier: Apache-2.0
"""A base's map in the large cells that a network for mazes sees.

The cells lie along the map's own axes; one is a wall where more than `WALL_SHARE` of it is
occupied. Their edge is the largest one up to a limit in which the map comes out best: cells that
do not fit close ways and open walls.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base_distance import point_distances
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.planar import turned
from diffusion_control.robots.surround import Surround

Array = NDArray[np.float64]
WALL_SHARE, FRAME_CELLS, OPEN_FINE = 0.3, 8, 10
LEAST_CELL_M, AS_GOOD = 0.4, 0.005
SEEN_CELLS, FARTHEST_CELLS = 12, 48


def outside(known: OccupancyMap, places: Array) -> Array:
    """Return places [..., 2] along the axes of a map, from its corner on, in its frame [m]."""
    found: Array = turned(known.origin, places) + known.origin[:2]
    return found


def coarse(
    known: Any, start: Array, goal: Array, cell_m: float, standing: Surround | None = None
) -> OccupancyMap:
    """Return a map in cells of at most some edge along its axes; without one, of open ground.

    It ends `SEEN_CELLS` beyond start and goal, whose cells are free.

    Args:
        known: The map, or None.
        start: Place [2] [m].
        goal: Place [2] [m].
        cell_m: Largest edge [m].
        standing: Obstacles that are drawn in; the edge fits the map's own walls.
    """
    if not isinstance(known, OccupancyMap):
        low = np.floor(np.minimum(start, goal) / cell_m) - FRAME_CELLS
        size = np.ceil(np.maximum(start, goal) / cell_m) + FRAME_CELLS - low
        known = OccupancyMap(cell_m / OPEN_FINE, np.append(low * cell_m, 0.0), np.zeros(
            (int(OPEN_FINE * size[1]), int(OPEN_FINE * size[0])), np.int8))
    largest = max(1, round(cell_m / known.resolution_m))
    known = about(known, np.stack([start, goal]), largest)
    least = max(1, min(round(LEAST_CELL_M / known.resolution_m), largest))
    wrong = {fine: _in_cells(known, fine)[1] for fine in range(largest, least - 1, -1)}
    best = next(fine for fine, share in wrong.items() if share <= min(wrong.values()) + AS_GOOD)
    found = _in_cells(known if standing is None else marked(known, standing), best)[0]
    rows, columns = found.cells.shape
    for row, column in found.cell_of(np.stack([start, goal])):
        if 0 <= row < rows and 0 <= column < columns:
            found.cells[row, column] = 0
    return found


def nearer(start: Array, goal: Array, cell_m: float) -> Array:
    """Return a place [2] on the line to a goal, at most `FARTHEST_CELLS` away."""
    way = goal - start
    far_m = max(float(np.linalg.norm(way)), 1e-9)
    return np.asarray(start + way * min(1.0, FARTHEST_CELLS * cell_m / far_m))


def about(known: OccupancyMap, places: Array, fine: int) -> OccupancyMap:
    """Return the part of a map about places [K, 2], in whole coarse cells of `fine` of its own."""
    at, size = known.cell_of(places) // fine, -(-np.array(known.cells.shape) // fine)
    first = np.clip(at.min(axis=0) - SEEN_CELLS, 0, size - 1) * fine
    last = (np.clip(at.max(axis=0) + SEEN_CELLS, 0, size - 1) + 1) * fine
    corner = outside(known, known.resolution_m * first[::-1])
    return dataclasses.replace(
        known, origin=np.append(corner, known.origin[2]),
        cells=known.cells[first[0]:last[0], first[1]:last[1]])


def marked(known: OccupancyMap, standing: Surround) -> OccupancyMap:
    """Return a map with the cells occupied whose middle is in an obstacle."""
    cells = known.cells.copy()
    away = np.empty(cells.size)
    point_distances(
        known.centre_of(np.argwhere(np.ones(cells.shape, dtype=bool))), standing.code,
        standing.centre_m, standing.rotation, standing.half_m, away)
    cells[away.reshape(cells.shape) < 0.0] = 100
    return dataclasses.replace(known, cells=cells)


def _in_cells(known: OccupancyMap, fine: int) -> tuple[OccupancyMap, float]:
    """Return a map in cells of `fine` of its own, and the share of these that come out wrong."""
    rows, columns = (-(-n // fine) for n in known.cells.shape)
    occupied = np.ones((rows * fine, columns * fine))
    occupied[:known.cells.shape[0], :known.cells.shape[1]] = known.occupied
    share = occupied.reshape(rows, fine, columns, fine).mean(axis=(1, 3))
    walls = share > WALL_SHARE
    wrong = float(np.where(walls, 1.0 - share, share).mean())
    return OccupancyMap(
        fine * known.resolution_m, known.origin, np.where(walls, np.int8(100), np.int8(0))), wrong
