# SPDX-License-Identifier: Apache-2.0
"""The lanes over which movers may come back (`mover_memory`), and how far a way lies in them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.base.world import BaseWorld
from diffusion_control.robots.base_distance import shadow_distance
from diffusion_control.robots.jit import kernel

Array = NDArray[np.float64]
LANE_M, LANE_WEIGHT = 0.45, 1.0
"""A second in a lane counts for up to `LANE_WEIGHT` more, `LANE_M` beside it for nothing."""


class Lanes:
    """Each mover's lane.

    Args:
        world: Has the movers' shapes, k of them.
        ends: Between which places each may come back, shape [k, 2, 2] [m].
    """

    def __init__(self, world: BaseWorld, ends: Array) -> None:
        """Take over shapes and ends."""
        self._movers, self._discs = world.moving, world.robot.collision.discs
        self._ends = np.ascontiguousarray(ends, dtype=float)

    def share(self, poses: Array) -> Array:
        """Return how much each of L poses [L, 3] lies in the lanes, in [0, 1], shape [L].

        1 where a mover can touch the base; the nearest place of the lane is that of its centre.
        """
        movers, most = self._movers, np.zeros(len(poses))
        _share(np.ascontiguousarray(poses), self._discs, self._ends, movers.code, movers.rotation,
               movers.half_m, most)
        return most


@kernel()
def _share(
    poses: Any, discs: Any, ends: Any, code: Any, rotation: Any, half: Any, most: Any
) -> None:
    """Write how much each pose lies in the lanes [L].

    Args:
        poses: Shape [L, 3].
        discs: Of the footprint [D, 3].
        ends: Of the lanes [k, 2, 2] [m].
        code: Shapes of the k movers.
        rotation: [k, 3, 3].
        half: Half sizes [k, 3].
        most: Receives the shares, zeros before.
    """
    for i in range(len(poses)):
        x, y = poses[i, 0], poses[i, 1]
        c, s = math.cos(poses[i, 2]), math.sin(poses[i, 2])
        for k in range(len(ends)):
            along_x, along_y = ends[k, 1, 0] - ends[k, 0, 0], ends[k, 1, 1] - ends[k, 0, 1]
            past_x, past_y = x - ends[k, 0, 0], y - ends[k, 0, 1]
            share = (past_x * along_x + past_y * along_y) / max(
                along_x * along_x + along_y * along_y, 1e-9)
            share = min(max(share, 0.0), 1.0)
            dx, dy = past_x - share * along_x, past_y - share * along_y
            for d in range(len(discs)):
                away = shadow_distance(
                    code[k], rotation, half, k, dx + c * discs[d, 0] - s * discs[d, 1],
                    dy + s * discs[d, 0] + c * discs[d, 1]) - discs[d, 2]
                most[i] = max(most[i], min(1.0 - away / LANE_M, 1.0))
