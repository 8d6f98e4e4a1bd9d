# SPDX-License-Identifier: Apache-2.0
"""Classical planning of a base: A* on a grid, shortened, and pursued as fast as limits allow.

P. Hart, N. Nilsson, B. Raphael, "A Formal Basis for the Heuristic Determination of Minimum Cost
Paths", IEEE Transactions on Systems Science and Cybernetics 4, 1968.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.base.base_planner import BasePlanner, BaseRequest
from diffusion_control.planners.base.grid import NO_CELLS, REACHES, Grid
from diffusion_control.planners.problem import PlanningError
from diffusion_control.robots.jit import kernel

Array = NDArray[np.float64]
Cell = tuple[int, int]
SIGHT_M = 0.04
SHORTCUT_PRICE = 1.05
BLOCKED_PRICE = 1e6
"""Of a leg that is blocked: finite, so that the legs after it still have prices."""


class GridPlanner(BasePlanner):
    """Proposes the shortened way over a grid's cells; which cells, each planner says."""

    source = 'classical'

    def cells(self, grid: Grid, first: Cell, last: Cell) -> Any:
        """Return the cells [K, 2] from the first to the last; K = 0 where there is no way."""
        raise NotImplementedError(f'{type(self).__name__}.cells')

    def propose(self, request: BaseRequest, kept: Array | None, until: float) -> list[Array]:
        """Return the way found.

        Raises:
            PlanningError: There is none.
        """
        del until
        for reach_m, most_cells in REACHES:
            grid = Grid.of(request, reach_m, most_cells)
            within_m = request.radius_m + request.values.margin_m + 1.5 * grid.cell_m
            first = grid.cell_of(request.start[:2], within_m)
            last = grid.cell_of(request.place, within_m)
            cells = self.cells(grid, first, last) if first and last else NO_CELLS
            if len(cells):
                corners = np.concatenate(
                    [request.start[None, :2], grid.place_of(cells), request.place[None]])
                return [shortened(corners, grid)]
        if kept is not None:
            return []
        raise PlanningError('no_path', 'no way leads to the goal', where='goal',
                            value=request.place.tolist())


class BaseAstar(GridPlanner):
    """Finds the cheapest way among what stands, away from where movers will be."""

    name = 'astar'

    def cells(self, grid: Grid, first: Cell, last: Cell) -> Any:
        """Return the cells of the cheapest way."""
        return search(grid.price, first[0], first[1], last[0], last[1])


def shortened(corners: Array, grid: Grid) -> Array:
    """Return corners that see one another at no higher price than the way between them."""
    kept, k = [corners[0]], 0
    legs = [min(along(grid.price, grid.low, grid.cell_m, a, b), BLOCKED_PRICE)
            for a, b in zip(corners[:-1], corners[1:], strict=True)]
    price = np.append(0.0, np.cumsum(legs))
    while k < len(corners) - 1:
        ahead = len(corners) - 1
        while ahead > k + 1 and along(
                grid.price, grid.low, grid.cell_m, corners[k], corners[ahead]) > (
                SHORTCUT_PRICE * (price[ahead] - price[k]) + 1e-9):
            ahead -= 1
        kept.append(corners[ahead])
        k = ahead
    return np.array(kept)


@kernel()
def along(price: Any, low: Any, cell: float, first: Any, last: Any) -> float:
    """Return the price of the straight way between two places; inf where it is blocked."""
    length = np.sqrt((last[0] - first[0])**2 + (last[1] - first[1])**2)
    count = max(int(length / SIGHT_M), 1)
    total = 0.0
    for k in range(count):
        share = (k + 0.5) / count
        i = int(round((first[0] + share * (last[0] - first[0]) - low[0]) / cell))
        j = int(round((first[1] + share * (last[1] - first[1]) - low[1]) / cell))
        total += price[min(max(i, 0), price.shape[0] - 1), min(max(j, 0), price.shape[1] - 1)]
    return float(total * length / count)


@kernel()
def search(price: Any, i0: int, j0: int, i1: int, j1: int) -> Any:
    """Return the cells [K, 2] of the cheapest way from (i0, j0) to (i1, j1); none: K = 0."""
    width, height = price.shape
    cost = np.full((width, height), np.inf)
    came = np.full((width, height), -1, dtype=np.int64)
    done = np.zeros((width, height), dtype=np.bool_)
    cost[i0, j0] = 0.0
    queue = [(0.0, i0 * height + j0)]
    while len(queue) > 0:
        _, index = heapq.heappop(queue)
        i, j = index // height, index % height
        if i == i1 and j == j1:
            break
        if done[i, j]:
            continue
        done[i, j] = True
        for di in range(-1, 2):
            for dj in range(-1, 2):
                a, b = i + di, j + dj
                if (di == 0 and dj == 0) or a < 0 or b < 0 or a >= width or b >= height:
                    continue
                total = cost[i, j] + np.sqrt(di * di + dj * dj) * 0.5 * (
                    price[i, j] + price[a, b])
                if not done[a, b] and total < cost[a, b] - 1e-12:
                    cost[a, b], came[a, b] = total, index
                    left = np.sqrt(float((a - i1)**2 + (b - j1)**2))
                    heapq.heappush(queue, (total + left, a * height + b))
    if not np.isfinite(cost[i1, j1]):
        return np.zeros((0, 2), dtype=np.int64)
    count, index = 1, i1 * height + j1
    while came[index // height, index % height] >= 0:
        index = came[index // height, index % height]
        count += 1
    cells = np.zeros((count, 2), dtype=np.int64)
    index = i1 * height + j1
    for k in range(count - 1, -1, -1):
        cells[k, 0], cells[k, 1] = index // height, index % height
        index = came[index // height, index % height]
    return cells
