# SPDX-License-Identifier: Apache-2.0
"""A grid over the plane for classical search: how costly each cell is, and what movers cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.base.base_planner import BaseRequest
from diffusion_control.planners.world import MOVER_HORIZON_S

Array = NDArray[np.float64]
CELL_M = 0.1
ROOM_M = 1.5
REACHES = ((8.0, 40_000), (np.inf, 160_000))
"""How far about start and goal is searched [m], with how many cells at most; in this order."""
SOFT_M, SOFT_WEIGHT = 0.15, 1.5
MOVER_SOFT_M, MOVER_WEIGHT = 0.5, 6.0
LANE_PRICE = 2.0
NO_CELLS: NDArray[np.int64] = np.zeros((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class Grid:
    """Cells of equal size; `price` multiplies the length of a step, inf where it is blocked.

    Attributes:
        low: Centre of cell [0, 0], shape [2] [m].
        cell_m: Edge of a cell.
        price: Shape [columns, rows].
    """

    low: Array
    cell_m: float
    price: Array

    @classmethod
    def of(cls, request: BaseRequest, reach_m: float, most_cells: int) -> Grid:
        """Return the grid about start, goal and what of the map is within a reach of them.

        The price rises from 1 to 1 + `SOFT_WEIGHT` where less than `SOFT_M` is left beyond the
        margin. Where a mover is or will soon be, at the time the base can be there at the
        earliest, a step costs up to `MOVER_WEIGHT` more: it will have gone on, or the next plan
        knows. That begins `MOVER_SOFT_M` beyond the margin: nearer, the monitor of a base whose
        receiver runs on for half a second hardly lets it move. In a mover's lane (`lanes`) a step
        costs up to `LANE_PRICE` more.
        """
        low, high = _region(request, reach_m)
        cell = max(CELL_M, float(np.sqrt(np.prod(high - low) / most_cells)))
        size = np.ceil((high - low) / cell).astype(int) + 1
        columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]), indexing='ij')
        places = low + cell * np.stack([columns, rows], axis=-1).reshape(-1, 2)
        near = clearances(request, places)
        margin = request.values.margin_m
        soft = np.clip((margin + SOFT_M - near) / SOFT_M, 0.0, 1.0)
        price = np.where(near >= margin, 1.0 + SOFT_WEIGHT * soft**2, np.inf)
        price += _movers(request, places)
        price += LANE_PRICE * request.lanes.share(
            np.column_stack([places, np.zeros(len(places))]))
        return cls(low, cell, price.reshape(size))

    def cell_of(self, place: Array, within_m: float) -> tuple[int, int] | None:
        """Return the free cell that is nearest to a place, None without one within a distance."""
        offset = (place - self.low) / self.cell_m
        columns, rows = np.nonzero(np.isfinite(self.price))
        away = np.hypot(columns - offset[0], rows - offset[1])
        if not len(away) or away.min() * self.cell_m > within_m:
            return None
        best = int(np.argmin(away))
        return int(columns[best]), int(rows[best])

    def place_of(self, cells: NDArray[np.int64]) -> Array:
        """Return the centres of cells [K, 2] [m]."""
        return self.low + self.cell_m * cells


def clearances(request: BaseRequest, places: Array) -> Array:
    """Return the distance to what stands at places [K, 2] in the best of a few headings [K]."""
    discs = request.robot.collision.discs
    headings = [0.0] if np.abs(discs[:, :2]).max() < 1e-6 else [0.0, 0.785, 1.571, 2.356]
    found = [request.world.clearance(np.column_stack([places, np.full(len(places), yaw)]))
             for yaw in headings]
    return np.asarray(np.max(found, axis=0))


def _movers(request: BaseRequest, places: Array) -> Array:
    """Return what movers add to the price of places [K]."""
    world, movers = request.world, request.world.movers
    if not len(movers.code):
        return np.zeros(len(places))
    earliest = np.linalg.norm(places - request.start[:2], axis=1) / request.limits[0]
    poses = np.column_stack([places, np.zeros(len(places))])
    near, _ = world.robot.collision.path_clearance(
        poses, np.minimum(earliest, MOVER_HORIZON_S), movers)
    wanted = request.values.margin_m + MOVER_SOFT_M
    fading = np.clip(1.0 - (earliest - MOVER_HORIZON_S) / (2 * MOVER_HORIZON_S), 0.0, 1.0)
    return np.asarray(
        MOVER_WEIGHT * fading * np.clip((wanted - near) / MOVER_SOFT_M, 0.0, 1.0))


def _region(request: BaseRequest, reach_m: float) -> tuple[Array, Array]:
    """Return two corners of what is searched."""
    ends = [request.start[:2], request.place]
    known, first, last = request.problem.map, np.min(ends, axis=0), np.max(ends, axis=0)
    low, high = first - ROOM_M, last + ROOM_M
    if known is None:
        return low - ROOM_M, high + ROOM_M
    rows, columns = known.cells.shape
    corners = known.centre_of(np.array(
        [[0, 0], [0, columns - 1], [rows - 1, 0], [rows - 1, columns - 1]]))
    return (np.maximum(np.minimum(low, corners.min(axis=0)), first - reach_m),
            np.minimum(np.maximum(high, corners.max(axis=0)), last + reach_m))
