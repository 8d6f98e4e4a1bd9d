# SPDX-License-Identifier: Apache-2.0
"""Does a commanded motion touch a wall of the map? A dense re-check, apart from the controllers'.

The footprint's outline, drawn in by 5 mm, and its middle are laid over the cells of the map at
every 5 ms of the motion; nothing is interpolated. A robot that stands touches nothing anew.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.command_geometry import moving_times
from diffusion_control.evaluation.commands import Command
from diffusion_control.robots.base import Base
from diffusion_control.robots.occupancy_map import OccupancyMap

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
INSET_M = 0.005
SPACING_M = 0.02


class WallCheck:
    """Lays a footprint over a map.

    Args:
        robot: The base, for its outline.
        known: The map, in the simulator's world.
    """

    def __init__(self, robot: Base, known: OccupancyMap) -> None:
        """Prepare outline and cells."""
        self._outline = inset_outline(robot.config.outline)
        self._map, self._walls = known, known.occupied

    def touches(self, command: Command) -> bool:
        """Say whether the motion touches an occupied cell at any instant at which it moves."""
        if command.fault:
            return False
        times = moving_times(command, None)
        return bool(len(times)) and bool(self.occupied(command.position_at(times)).any())

    def occupied(self, poses: Array) -> Flags:
        """Say at which of k poses [k, 3] the footprint lies on an occupied cell, shape [k]."""
        cosine, sine = np.cos(poses[:, 2])[:, None], np.sin(poses[:, 2])[:, None]
        x, y = self._outline[:, 0], self._outline[:, 1]
        points = np.stack([poses[:, :1] + cosine * x - sine * y,
                           poses[:, 1:2] + sine * x + cosine * y], axis=2)
        cells = self._map.cell_of(points.reshape(-1, 2))
        inside = ((cells >= 0) & (cells < self._walls.shape)).all(axis=1)
        hit = np.zeros(len(cells), dtype=bool)
        hit[inside] = self._walls[cells[inside, 0], cells[inside, 1]]
        return np.asarray(hit.reshape(len(poses), -1).any(axis=1))


def inset_outline(corners: Array) -> Array:
    """Return points along an outline [C, 2], drawn in by 5 mm towards the middle, and the middle.

    They are at most 2 cm apart, so that no cell of a map slips through.
    """
    middle = corners.mean(axis=0)
    ends = np.roll(corners, -1, axis=0)
    points = [middle[None]]
    for begin, end in zip(corners, ends, strict=True):
        count = max(1, int(np.ceil(np.linalg.norm(end - begin) / SPACING_M)))
        points.append(begin + np.linspace(0.0, 1.0, count, endpoint=False)[:, None] * (
            end - begin))
    outline = np.concatenate(points)
    away = outline - middle
    radius = np.linalg.norm(away, axis=1, keepdims=True)
    return np.asarray(middle + away * np.maximum(1.0 - INSET_M / np.maximum(radius, 1e-9), 0.0))
