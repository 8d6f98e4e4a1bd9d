# SPDX-License-Identifier: Apache-2.0
"""Learned motions among random ones, screened together and refined: whichever is better wins.

The plan's `source` says where its path began: `diffusion` out of the network, `multi_start` from
smooth random splines, `straight_line` from the line to a goal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffusion_control.planners.diffuser import (
    DIFFUSION,
    GOALS_AT_ONCE,
    STRAIGHT_LINE,
    DiffuserParameters,
    DiffuserPlanner,
)
from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.selection import Pool, by_cost
from diffusion_control.planners.spline_planner import Request


@dataclass(frozen=True)
class HybridParameters(DiffuserParameters):
    """Settings of the hybrid."""

    num_random: int = parameter(192, 0, 65536, 'random splines beside the motions of the network')
    noise_rad: float = parameter(1.0, 0.01, 10.0, 'deviation of the random splines [rad]')


class HybridPlanner(DiffuserPlanner):
    """Plans with a trained network and with random splines at once; see `DiffuserPlanner`."""

    name = 'hybrid'
    sources: tuple[str, ...] = (DIFFUSION, 'multi_start', STRAIGHT_LINE)
    parameters_type = HybridParameters

    def drawn(self, request: Request, until: float) -> Pool:
        """Return motions of the network, lines, and, unless a plan is kept, random ones."""
        learned, lines = super().drawn(request, until), request.lines(GOALS_AT_ONCE)
        straight = Pool(lines.free, lines.goal, lines.duration, np.full(len(lines.free), 2))
        pool = learned.join(straight)
        if request.kept_free or self.values.num_random == 0 or self.clock() > until:
            return pool
        count = self.values.num_random
        goal = np.repeat(lines.goal[:1], count, 0)
        noise = self.values.noise_rad * request.splines.noise(self.generator, (count,))
        free = request.splines.clip(lines.free[:1] + noise)
        duration = np.full(count, lines.duration[0])
        return pool.join(Pool(free, goal, duration, np.ones(count, dtype=np.int64)))

    def screen(self, request: Request, pool: Pool) -> Pool:
        """Return the cheapest motions, at least half of them, if there are, out of the network."""
        order, kept = by_cost(request.splines, pool), self.values.num_kept
        learned = order[pool.origin[order] == 0][:kept]
        others = order[pool.origin[order] > 0][:kept // 2]
        return pool.take(np.concatenate([learned[:kept - len(others)], others]))
