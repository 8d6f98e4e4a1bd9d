# SPDX-License-Identifier: Apache-2.0
"""Ways of a point mass through a map: searched on a grid, and drawn tight or round."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.base.astar import search, shortened
from diffusion_control.planners.base.grid import NO_CELLS, Grid
from diffusion_control.planners.base.pursuit import dense
from diffusion_control.planners.problem import PlanningError
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.point_mass import PointMass, frame_of, from_cell

Array = NDArray[np.float64]
CELL_M = 0.1
SOFT_M, SOFT_WEIGHT = 0.15, 0.5
LONGEST = 20_000
RELAXATION = 1.6
INSIDE_M = -0.02
SLOW_M_S = 0.5
"""A slower start is no reason to begin the line along the velocity."""


def grid_of(robot: PointMass, known: OccupancyMap, margin_m: float) -> Grid:
    """Return the grid over a map: blocked below the margin, dearer up to `SOFT_M` beyond it."""
    rows, columns = known.cells.shape
    low = known.origin[:2] + 0.5 * CELL_M
    size = np.round(np.array([columns, rows]) * known.resolution_m / CELL_M).astype(int)
    i, j = np.meshgrid(np.arange(size[0]), np.arange(size[1]), indexing='ij')
    places = low + CELL_M * np.stack([i, j], axis=-1).reshape(-1, 2)
    near = robot.clearance(places, known)
    soft = np.clip((margin_m + SOFT_M - near) / SOFT_M, 0.0, 1.0)
    price = np.where(near >= margin_m, 1.0 + SOFT_WEIGHT * soft**2, np.inf)
    return Grid(low, CELL_M, price.reshape(size))


def corners_between(
    robot: PointMass, known: OccupancyMap, start: Array, goal: Array, margin_m: float
) -> Array:
    """Return the corners of a short way, start and goal included, shape [C, 2].

    Raises:
        PlanningError: The goal is in a wall, or no way leads there.
    """
    if robot.clearance(goal[None], known)[0] < INSIDE_M:
        raise PlanningError('goal_in_collision', 'the goal is inside a wall', where='goal',
                            value=goal.tolist(), remedy='move the goal')
    grid = grid_of(robot, known, margin_m)
    first, last = (grid.cell_of(place, np.inf) for place in (start, goal))
    cells = search(grid.price, *first, *last) if first and last else NO_CELLS
    if len(cells) == 0:
        raise PlanningError('no_path', 'no way leads to the goal', where='goal',
                            value=goal.tolist())
    return shortened(np.concatenate([start[None], grid.place_of(cells[1:-1]), goal[None]]), grid)


def drawn(
    corners: Array, known: OccupancyMap, *, least_m: float, pull: float, spacing_m: float,
    rounds: int, velocity: Array,
) -> Array:
    """Return points along corners that bend little and are short, shape [N, 2].

    They minimise sum |p[k-1] - 2 p[k] + p[k+1]|^2 + pull sum |p[k+1] - p[k]|^2 with every point
    at least `least_m` from what is occupied, by relaxation point by point.

    Args:
        corners: Shape [C, 2].
        known: The map.
        least_m: Least distance of the points to occupied cells [m].
        pull: Weight of the length: 0 is round, large is tight.
        spacing_m: Distance of the points before they are drawn [m].
        rounds: Of relaxation.
        velocity: At the start, shape [2] [m/s]; the first points go along with it.
    """
    way = np.empty((LONGEST, 2))
    count, _ = dense(np.ascontiguousarray(corners), spacing_m, way)
    points = way[:count].copy()
    fixed = 1
    speed = float(np.linalg.norm(velocity))
    if speed > SLOW_M_S and count > 3:
        points[1] = points[0] + min(spacing_m, 0.02 * speed + 0.3 * spacing_m) * velocity / speed
        fixed = 2
    relax(points, known.occupied, frame_of(known), least_m, pull, rounds, fixed)
    return points


@kernel()
def relax(
    points: Any, occupied: Any, frame: Any, least: float, pull: float, rounds: int, fixed: int
) -> None:
    """Relax points [N, 2] in place, see `drawn`; the first `fixed` and the last one stay."""
    count = len(points)
    for _ in range(rounds):
        for k in range(fixed, count - 1):
            weight = 2.0 * pull
            right = np.zeros(2)
            for i in range(2):
                right[i] = pull * (points[k - 1, i] + points[k + 1, i])
            for m in range(max(k - 1, 1), min(k + 2, count - 1)):
                own = -2.0 if m == k else 1.0
                weight += own * own
                for i in range(2):
                    bend = points[m - 1, i] - 2.0 * points[m, i] + points[m + 1, i]
                    right[i] -= own * (bend - own * points[k, i])
            for i in range(2):
                points[k, i] += RELAXATION * (right[i] / weight - points[k, i])
            push_out(points[k], occupied, frame, least)


@kernel()
def push_out(point: Any, occupied: Any, frame: Any, least: float) -> None:
    """Move a point [2] in place until it is `least` away from every cell around it."""
    for _ in range(3):
        column = int(np.floor((point[0] - frame[0]) / frame[2]))
        row = int(np.floor((point[1] - frame[1]) / frame[2]))
        moved = False
        for j in range(max(row - 1, 0), min(row + 2, occupied.shape[0])):
            for i in range(max(column - 1, 0), min(column + 2, occupied.shape[1])):
                if occupied[j, i]:
                    far, across, along = from_cell(point[0], point[1], i, j, frame)
                    if far < least:
                        point[0] += (least - far) * across
                        point[1] += (least - far) * along
                        moved = True
        if not moved:
            return
