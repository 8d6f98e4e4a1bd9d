# SPDX-License-Identifier: Apache-2.0
"""Motions held against the walls of a map: not their knots, but the lines between them.

The distance of a segment to the square of a cell is, in closed form, the least of those of its
ends to the square and of the square's corners to it; where the segment enters the square it is
minus the depth in the middle of the part inside. So a line through the point where two walls touch
at a corner crosses both, whatever its knots are. A cubic of 0.01 s is within 0.3 mm of its chord
(a h^2 / 8 with a = 24 m/s^2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.point_mass import frame_of, from_cell

Array = NDArray[np.float64]
SEEN_M = 0.2


def line_clearances(places: Array, known: OccupancyMap) -> Array:
    """Return the signed distance of each line to the nearest occupied cell, at most `SEEN_M`.

    Args:
        places: Of the motions' points, shape [B, K, 2] [m].
        known: The map.

    Returns:
        Of the lines from point to point, shape [B, K - 1] [m].
    """
    found: Array = _lines(np.ascontiguousarray(places), known.occupied, frame_of(known))
    return found


@kernel()
def _lines(places: Any, occupied: Any, frame: Any) -> Any:
    count, length, _ = places.shape
    out = np.empty((count, length - 1))
    for b in range(count):
        for k in range(length - 1):
            out[b, k] = _line(places[b, k], places[b, k + 1], occupied, frame)
    return out


@kernel()
def _line(first: Any, last: Any, occupied: Any, frame: Any) -> float:
    """Return the signed distance of one line to the occupied cells around it."""
    edge, best = frame[2], SEEN_M
    low_i = int(np.floor((min(first[0], last[0]) - SEEN_M - frame[0]) / edge))
    high_i = int(np.floor((max(first[0], last[0]) + SEEN_M - frame[0]) / edge))
    low_j = int(np.floor((min(first[1], last[1]) - SEEN_M - frame[1]) / edge))
    high_j = int(np.floor((max(first[1], last[1]) + SEEN_M - frame[1]) / edge))
    for j in range(max(low_j, 0), min(high_j + 1, occupied.shape[0])):
        for i in range(max(low_i, 0), min(high_i + 1, occupied.shape[1])):
            if occupied[j, i]:
                best = min(best, _to_cell(first, last, i, j, frame))
    return best


@kernel()
def _to_cell(first: Any, last: Any, column: int, row: int, frame: Any) -> float:
    """Return the signed distance of a line to the square of a cell."""
    near = min(from_cell(first[0], first[1], column, row, frame)[0],
               from_cell(last[0], last[1], column, row, frame)[0])
    begin, end = 0.0, 1.0
    for axis in range(2):
        low = frame[axis] + (column if axis == 0 else row) * frame[2]
        way = last[axis] - first[axis]
        if way == 0.0:
            if not low <= first[axis] <= low + frame[2]:
                begin = 2.0
            continue
        one, other = (low - first[axis]) / way, (low + frame[2] - first[axis]) / way
        begin, end = max(begin, min(one, other)), min(end, max(one, other))
    if begin <= end:
        middle = 0.5 * (begin + end)
        inside = from_cell(first[0] + middle * (last[0] - first[0]),
                           first[1] + middle * (last[1] - first[1]), column, row, frame)[0]
        return float(min(near, inside, 0.0))
    for corner in range(4):
        x = frame[0] + (column + corner % 2) * frame[2]
        y = frame[1] + (row + corner // 2) * frame[2]
        near = min(near, _to_point(first, last, x, y))
    return float(near)


@kernel()
def _to_point(first: Any, last: Any, x: float, y: float) -> float:
    """Return the distance of a line to a point."""
    way_x, way_y = last[0] - first[0], last[1] - first[1]
    square = way_x**2 + way_y**2
    share = 0.0
    if square > 0.0:
        share = min(max(((x - first[0]) * way_x + (y - first[1]) * way_y) / square, 0.0), 1.0)
    away_x, away_y = first[0] + share * way_x - x, first[1] + share * way_y - y
    return float(np.sqrt(away_x**2 + away_y**2))
