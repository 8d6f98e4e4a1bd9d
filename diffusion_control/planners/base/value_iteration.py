# SPDX-License-Identifier: Apache-2.0
"""Value iteration on a grid; the way is the greedy policy rolled out from the start.

R. Bellman, "Dynamic Programming", 1957. V(c) = min over neighbours c' of cost(c, c') + V(c'),
V = 0 at the goal, iterated in place over the grid in alternating orders until nothing changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diffusion_control.planners.base.astar import Cell, GridPlanner
from diffusion_control.planners.base.grid import Grid
from diffusion_control.robots.jit import kernel

MOST_SWEEPS = 400


class BaseValueIteration(GridPlanner):
    """Knows the cost to go from every cell; follows it down."""

    name = 'value_iteration'

    def cells(self, grid: Grid, first: Cell, last: Cell) -> Any:
        """Return the cells that the policy visits."""
        value = iterate(grid.price, last[0], last[1], MOST_SWEEPS)
        return descend(value, grid.price, first[0], first[1])


@kernel()
def backup(value: Any, price: Any, i: int, j: int) -> Any:
    """Return the best cost to go from a cell over its neighbours, and which one it is."""
    best, next_i, next_j = np.inf, -1, -1
    for di in range(-1, 2):
        for dj in range(-1, 2):
            a, b = i + di, j + dj
            if (di == 0 and dj == 0) or a < 0 or b < 0 or a >= price.shape[0] or (
                    b >= price.shape[1]):
                continue
            total = value[a, b] + np.sqrt(di * di + dj * dj) * 0.5 * (price[i, j] + price[a, b])
            if total < best:
                best, next_i, next_j = total, a, b
    return best, next_i, next_j


@kernel()
def iterate(price: Any, i1: int, j1: int, most: int) -> Any:
    """Return the cost to go to cell (i1, j1) from everywhere, shape as the price [cells]."""
    value = np.full(price.shape, np.inf)
    value[i1, j1] = 0.0
    for sweep in range(most):
        changed = False
        for p in range(price.shape[0]):
            i = p if sweep % 2 == 0 else price.shape[0] - 1 - p
            for q in range(price.shape[1]):
                j = q if sweep % 4 < 2 else price.shape[1] - 1 - q
                if not np.isfinite(price[i, j]):
                    continue
                best = backup(value, price, i, j)[0]
                if best < value[i, j] - 1e-9:
                    value[i, j], changed = best, True
        if not changed and sweep > 2:
            break
    return value


@kernel()
def descend(value: Any, price: Any, i: int, j: int) -> Any:
    """Return the cells [K, 2] that the greedy policy visits; K = 0 where there is no way."""
    cells = np.zeros((price.size + 1, 2), dtype=np.int64)
    if not np.isfinite(value[i, j]):
        return cells[:0]
    count = 0
    while count < price.size:
        cells[count, 0], cells[count, 1] = i, j
        count += 1
        if value[i, j] <= 0.0:
            break
        _, i, j = backup(value, price, i, j)
    return cells[:count]
