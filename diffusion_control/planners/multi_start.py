# SPDX-License-Identifier: Apache-2.0
"""Plain multi-start: random smooth splines, screened, then gradient steps; no diffusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.selection import Pool, by_cost, polish, rank
from diffusion_control.planners.spline_planner import Request, SplineParameters, SplinePlanner


@dataclass(frozen=True)
class MultiStartParameters(SplineParameters):
    """Settings of the multi-start."""

    num_starts: int = parameter(256, 1, 65536, 'random splines that are drawn')
    num_kept: int = parameter(32, 1, 4096, 'of them, the cheapest, that are descended')
    num_steps: int = parameter(20, 0, 1000, 'gradient steps')
    noise_rad: float = parameter(1.0, 0.01, 10.0, 'deviation of the random splines [rad]')
    polish_count: int = parameter(6, 1, 64, 'motions whose duration is polished')


class MultiStartPlanner(SplinePlanner):
    """The honest bar for training-free planning: many random starts and gradient descent.

    Covariant gradient steps as in CHOMP (Zucker et al., IJRR 2013) from smooth random starts
    as in STOMP (Kalakrishnan et al., ICRA 2011).
    """

    name = 'multi_start'
    parameters_type = MultiStartParameters

    def propose(self, request: Request, until: float) -> Pool:
        """Draw, screen, descend and polish; the deadline is checked between the stages."""
        values, splines = self.values, request.splines
        lines = request.lines(1)
        which = np.zeros(values.num_starts, dtype=np.int64)
        free = lines.free[which]
        free[1:] += values.noise_rad * splines.noise(self.generator, (len(free) - 1,))
        pool = Pool(splines.clip(free), lines.goal[which], lines.duration[which])
        pool = pool.take(by_cost(splines, pool)[:values.num_kept])
        if self.clock() < until:
            descended = splines.descend(
                pool.free, pool.goal, pool.duration, steps=values.num_steps,
                until_s=until, clock=self.clock)
            pool = request.timed(descended, pool.goal)
        if self.clock() < until:
            best, _ = rank(splines, pool)
            pool = polish(splines, best, count=values.polish_count, steps=10, due=self.due)
        return pool.join(lines)
