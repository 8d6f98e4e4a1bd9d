# SPDX-License-Identifier: Apache-2.0
"""The lanes over which movers may come back (`mover_memory`), and how far a way lies in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.base.world import BaseWorld

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
        """Place each mover at one end of its lane, going to the other in a second."""
        self._robot = world.robot
        self._movers = [(first, last - first, world.mover_on(k, first, last - first))
                        for k, (first, last) in enumerate(ends)]

    def share(self, poses: Array) -> Array:
        """Return how much each of L poses [L, 3] lies in the lanes, in [0, 1], shape [L].

        1 where a mover can touch the base; the nearest place of the lane is that of its centre.
        """
        most = np.zeros(len(poses))
        for first, along, mover in self._movers:
            nearest = (poses[:, :2] - first) @ along / max(float(along @ along), 1e-9)
            away, _ = self._robot.collision.path_clearance(
                poses, np.clip(nearest, 0.0, 1.0), mover)
            most = np.maximum(most, np.clip(1.0 - away / LANE_M, 0.0, 1.0))
        return most
