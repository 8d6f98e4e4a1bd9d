# SPDX-License-Identifier: Apache-2.0
"""Random smooth motions to the goal, the best of a few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.selection import Pool
from diffusion_control.planners.spline_planner import Request, SplineParameters, SplinePlanner


@dataclass(frozen=True)
class RandomParameters(SplineParameters):
    """Settings of the random planner."""

    num_draws: int = parameter(16, 1, 65536, 'random splines that are drawn')
    noise_rad: float = parameter(1.0, 0.01, 10.0, 'deviation from the line [rad]')


class RandomPlanner(SplinePlanner):
    """Draws smooth random splines around the line and returns the best, undescended."""

    name = 'random'
    parameters_type = RandomParameters

    def propose(self, request: Request, until: float) -> Pool:
        """Return `num_draws` random motions."""
        del until
        lines, values = request.lines(1), self.values
        which = np.zeros(values.num_draws, dtype=np.int64)
        free = lines.free[which]
        free += values.noise_rad * request.splines.noise(self.generator, (len(free),))
        return request.timed(request.splines.clip(free), lines.goal[which])
