# SPDX-License-Identifier: Apache-2.0
"""Short ways through a plane: A* on a grid, shortened along lines of sight, then smoothed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.base.astar import search
from diffusion_control.robots.base import Base
from diffusion_control.robots.surround import Surround

Array = NDArray[np.float64]
Cell = tuple[int, int]
CELL_M = 0.1
SPACING_M = 0.02
SMOOTHINGS = 300


@dataclass(frozen=True)
class Ground:
    """A place to drive in.

    Attributes:
        robot: The base.
        around: What stands there.
        low: Corner of the region that is searched, shape [2] [m].
        high: Opposite corner, shape [2] [m].
        margin_m: Least distance.
    """

    robot: Base
    around: Surround
    low: Array
    high: Array
    margin_m: float

    def clear(self, points: Array) -> NDArray[np.bool_]:
        """Say where the base keeps its margin at points [k, 2], headed along them, shape [k]."""
        poses = np.column_stack([points, headings(points)])
        obstacle, wall = self.robot.collision.path_clearance(
            poses, np.zeros(len(poses)), self.around)
        return np.asarray(np.minimum(obstacle, wall) >= self.margin_m)

    def sees(self, first: Array, last: Array) -> bool:
        """Say whether the straight way between two points is clear."""
        return bool(self.clear(line(first, last)).all())


def line(first: Array, last: Array) -> Array:
    """Return points at most 2 cm apart from one to the other, shape [k, 2]."""
    count = max(2, int(np.ceil(np.linalg.norm(last - first) / SPACING_M)) + 1)
    return np.asarray(first + np.linspace(0.0, 1.0, count)[:, None] * (last - first))


def headings(points: Array) -> Array:
    """Return the direction of travel at each of k points, shape [k] [rad], unwrapped."""
    if len(points) < 2:
        return np.zeros(len(points))
    step = np.gradient(points, axis=0)
    return np.asarray(np.unwrap(np.arctan2(step[:, 1], step[:, 0])))


def shortest_way(ground: Ground, start: Array, goal: Array) -> Array | None:
    """Return a smooth way from one point to another, shape [k, 2], or None where there is none."""
    if ground.sees(start, goal):
        return line(start, goal)
    cells = _search(ground, start, goal)
    if cells is None:
        return None
    return _smoothed(ground, _dense(_shortened(ground, cells)))


def _search(ground: Ground, start: Array, goal: Array) -> Array | None:
    """Return the corners of a way along the grid, start and goal included."""
    size = np.maximum(np.ceil((ground.high - ground.low) / CELL_M).astype(int), 1) + 1
    columns, rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]), indexing='ij')
    places = ground.low + CELL_M * np.stack([columns, rows], axis=-1)
    poses = np.column_stack([places.reshape(-1, 2), np.zeros(places.size // 2)])
    obstacle, wall = ground.robot.collision.path_clearance(
        poses, np.zeros(len(poses)), ground.around)
    free = (np.minimum(obstacle, wall) >= ground.margin_m).reshape(size)
    first, last = (_nearest_free(free, places, point) for point in (start, goal))
    if first is None or last is None:
        return None
    cells = search(np.where(free, 1.0, np.inf), *first, *last)
    if len(cells) == 0:
        return None
    inner = places[cells[:, 0], cells[:, 1]]
    return np.concatenate([start[None], inner, goal[None]])


def _nearest_free(free: NDArray[np.bool_], places: Array, point: Array) -> Cell | None:
    apart = np.where(free, np.linalg.norm(places - point, axis=-1), np.inf)
    best = np.unravel_index(int(np.argmin(apart)), free.shape)
    return (int(best[0]), int(best[1])) if np.isfinite(apart[best]) else None


def _shortened(ground: Ground, corners: Array) -> Array:
    """Return the corners that remain when each sees as far ahead as it can."""
    kept, k = [corners[0]], 0
    while k < len(corners) - 1:
        ahead = len(corners) - 1
        while ahead > k + 1 and not ground.sees(corners[k], corners[ahead]):
            ahead = k + (ahead - k) * 3 // 4 if ahead - k > 8 else ahead - 1
        kept.append(corners[ahead])
        k = ahead
    return np.array(kept)


def _dense(corners: Array) -> Array:
    """Return points every 2 cm along corners."""
    parts = [line(a, b)[:-1] for a, b in zip(corners[:-1], corners[1:], strict=True)]
    return np.concatenate([*parts, corners[-1:]])


def _smoothed(ground: Ground, points: Array) -> Array:
    """Return points that were pulled towards the mean of their neighbours 10 cm off.

    A point stays where it would come too near to something.
    """
    reach = 5
    for _ in range(SMOOTHINGS // reach):
        moved = points.copy()
        for _ in range(reach):
            padded = np.pad(moved, ((reach, reach), (0, 0)), mode='edge')
            mean = (padded[:-2 * reach] + padded[2 * reach:]) / 2
            weight = np.minimum(np.minimum(
                np.arange(len(moved)), np.arange(len(moved))[::-1]) / reach, 1.0)[:, None]
            moved = moved + 0.5 * weight * (mean - moved)
        bad = ~ground.clear(moved)
        if bad.any():
            near = np.convolve(bad, np.ones(6 * reach + 1), mode='same') > 0
            moved[near] = points[near]
            if not ground.clear(moved).all():
                break
        points = moved
    return points
