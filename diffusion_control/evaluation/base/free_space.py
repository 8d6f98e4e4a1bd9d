# SPDX-License-Identifier: Apache-2.0
"""Where on a floor a round robot can be, how far ways are, and what movers sweep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from diffusion_control.evaluation.scene_geometry import signed_distance, swept
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.layout import wall_distance
from diffusion_control.simulation.scene import Scene

Array = NDArray[np.float64]
GRID_M = 0.1
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


def footprint_radius(robot: Base) -> float:
    """Return the radius of the disc about the body's origin that holds the footprint [m]."""
    discs = robot.collision.discs
    return float((np.hypot(discs[:, 0], discs[:, 1]) + discs[:, 2]).max())


def flat_distance(obstacle: Obstacle, points: Array) -> Array:
    """Return the distance of points [K, 2] to an upright obstacle or a ball, shape [K] [m]."""
    height = np.full((len(points), 1), obstacle.position_m[2])
    return signed_distance(obstacle, np.hstack([points, height]))


def sweep_distance(obstacle: Obstacle, points: Array) -> Array:
    """Return the distance of points [K, 2] to all that an obstacle ever passes, shape [K] [m]."""
    return np.asarray(np.min([flat_distance(o, points) for o in swept(obstacle)], axis=0))


@dataclass(frozen=True)
class FreeSpace:
    """The floor of a walled scene on a grid of 10 cm.

    Attributes:
        points: Nodes of the grid, row by row, shape [K, 2] [m].
        shape: Rows and columns.
        clearance_m: Distance of each node to walls and what stands, shape [K].
    """

    points: Array
    shape: tuple[int, int]
    clearance_m: Array

    @classmethod
    def of(cls, scene: Scene, standing: tuple[Obstacle, ...] = ()) -> FreeSpace:
        """Return the floor inside the walls of a scene, with what stands on it."""
        cell, origin = scene.layout_cell_m, np.array(scene.layout_origin_m)
        size = np.array([len(scene.layout[0]), len(scene.layout)]) * cell
        columns, rows = np.round(size / GRID_M).astype(int).tolist()
        x = origin[0] + (np.arange(columns) + 0.5) * GRID_M
        y = origin[1] + (np.arange(rows) + 0.5) * GRID_M
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        floor = cls(points, (rows, columns), wall_distance(scene, points))
        return floor.with_standing(standing)

    def with_standing(self, standing: tuple[Obstacle, ...]) -> FreeSpace:
        """Return the floor with further things standing on it."""
        nearest = self.clearance_m
        for obstacle in standing:
            nearest = np.minimum(nearest, flat_distance(obstacle, self.points))
        return FreeSpace(self.points, self.shape, nearest)

    def node(self, place: Array) -> int:
        """Return the node that is nearest to a place [2]."""
        return int(np.argmin(((self.points - place) ** 2).sum(axis=1)))

    def ways(self, place: Array, clearance_m: float) -> tuple[Array, NDArray[np.int32]]:
        """Return length of the shortest way to each node [m], inf for none, and its last step.

        Args:
            place: Where it begins, shape [2].
            clearance_m: That every node of a way keeps.
        """
        free = self.clearance_m.reshape(self.shape) >= clearance_m
        index = np.arange(free.size).reshape(self.shape)
        starts, ends, lengths = [], [], []
        rows, columns = self.shape
        for down, right in STEPS:
            here = (slice(0, rows - down), slice(max(0, -right), columns - max(0, right)))
            there = (slice(down, rows), slice(max(0, right), columns - max(0, -right)))
            both = free[here] & free[there]
            starts.append(index[here][both])
            ends.append(index[there][both])
            lengths.append(np.full(int(both.sum()), GRID_M * np.hypot(down, right)))
        graph = coo_array(
            (np.concatenate(lengths), (np.concatenate(starts), np.concatenate(ends))),
            shape=(free.size, free.size))
        found, before = dijkstra(
            graph.tocsr(), directed=False, indices=self.node(place), return_predecessors=True)
        return np.asarray(found), np.asarray(before)

    def line_clearance(self, start: Array, end: Array) -> float:
        """Return the least clearance along a straight line [m]."""
        count = max(2, int(np.ceil(float(np.linalg.norm(end - start)) / (GRID_M / 2))))
        places = start + np.linspace(0.0, 1.0, count)[:, None] * (end - start)
        return float(min(self.clearance_m[self.node(place)] for place in places))


def way_points(floor: FreeSpace, before: NDArray[np.int32], end: int) -> Array:
    """Return the places of a way found by `ways`, from its end back to its start, [L, 2]."""
    nodes = [end]
    while before[nodes[-1]] >= 0:
        nodes.append(int(before[nodes[-1]]))
    return floor.points[nodes]
