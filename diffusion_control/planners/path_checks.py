# SPDX-License-Identifier: Apache-2.0
"""Which configurations a search may pass: free of what stands, and of movers for a while."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.path_search import Valid
from diffusion_control.planners.world import MOVER_HORIZON_S, World
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays

Array = NDArray[np.float64]
SLACK_M = 0.002


class PathChecks:
    """Validity of configurations: standing obstacles, and movers along their next 1.5 s."""

    def __init__(self, world: World, obstacles: tuple[Obstacle, ...], start: Array) -> None:
        self.collision, self.margin, self.count = world.robot.collision, world.margin_m, 0
        self.own_margin, self.start = world.own_margin_m, start
        ghosts = [
            replace(o, position_m=o.position_m + o.velocity_m_s * after, velocity_m_s=np.zeros(3))
            for o in obstacles if o.may_move or np.any(np.abs(o.velocity_m_s) > 1e-3)
            for after in (0.0, 0.5 * MOVER_HORIZON_S, MOVER_HORIZON_S)]
        self.standing = world.standing
        self.standing_list = tuple(
            o for o in obstacles
            if not (o.may_move or np.any(np.abs(o.velocity_m_s) > 1e-3)))
        self.ghosts = ghosts

    def valid(self, goal: Array) -> Valid:
        """Return the check for a search from the start to a goal.

        Required is the margin, or what start and goal leave of it; a mover's image that covers
        the start or the goal is left out.
        """
        kept = tuple(
            g for g in self.ghosts
            if min(self._near(q, (g,)) for q in (self.start, goal)) > SLACK_M)
        scene = ObstacleArrays.pack(self.standing_list + kept)
        ends = np.array([self.collision.clearance(q, scene) for q in (self.start, goal)])
        near, own = np.minimum(
            ends.min(0) - SLACK_M, [self.margin + SLACK_M, self.own_margin + SLACK_M])

        def check(position: Array) -> bool:
            self.count += 1
            to_obstacles, to_itself = self.collision.clearance(position, scene)
            return bool(to_obstacles >= near and to_itself >= own)

        return check

    def _near(self, position: Array, obstacles: tuple[Obstacle, ...]) -> float:
        """Return the distance from a configuration to obstacles [m]."""
        return float(self.collision.clearance(position, ObstacleArrays.pack(obstacles))[0])
