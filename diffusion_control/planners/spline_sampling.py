# SPDX-License-Identifier: Apache-2.0
"""What the sampling planners of an arm share: rounds of smooth draws around one mean motion.

Each round draws `num_samples` splines P_i = mean + spread * e_i with smooth noise e_i, rates them
by the cost J of `spline_problem`, and moves the mean; only how mean and spread follow from the
costs differs. As many motions are rated as by `training_free` with its defaults. The cheapest of
all rounds and the mean are polished as the motions of every spline planner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.sampling_rules import sampled
from diffusion_control.planners.selection import Pool, polish
from diffusion_control.planners.spline_planner import Request, SplineParameters, SplinePlanner

Array = NDArray[np.float64]
KEPT_SPREAD_RAD = 0.2
RESERVE_S = 0.025


@dataclass(frozen=True)
class SplineSamplingParameters(SplineParameters):
    """Settings of a planner that samples."""

    num_rounds: int = parameter(14, 1, 500, 'rounds of draws')
    num_samples: int = parameter(256, 4, 65536, 'motions that are rated in a round')
    noise_rad: float = parameter(1.0, 0.01, 10.0, 'deviation of the first draws [rad]')
    polish_count: int = parameter(24, 0, 64, 'motions that are polished by gradient steps')
    polish_steps: int = parameter(30, 0, 200, 'gradient steps of the polish')


class SplineSamplingPlanner(SplinePlanner):
    """Draws, rates, moves the mean; from the plan that is followed where it is free."""

    parameters_type: type[SplineSamplingParameters] = SplineSamplingParameters

    def propose(self, request: Request, until: float) -> Pool:
        """Run the rounds until the deadline and polish the best draws."""
        lines = request.lines(1)
        if request.at_goal:
            return lines
        values = self.values
        pool = self._rounds(request, lines, self.search_until(until, RESERVE_S)).join(lines)
        self.searched = self.clock()
        if values.polish_count == 0:
            return pool
        return polish(request.splines, pool, count=values.polish_count,
                      steps=values.polish_steps, due=self.due)

    def moved(
        self, mean: Array, spread: Array, draws: Array, cost: Array
    ) -> tuple[Array, Array]:
        """Return the next mean and spread [F, n]; overridden by each planner.

        Args:
            mean: Shape [F, n] [rad].
            spread: Standard deviations, shape [F, n] [rad].
            draws: Shape [N, F, n].
            cost: Shape [N].
        """
        raise NotImplementedError(f'{type(self).__name__}.moved')

    def _rounds(self, request: Request, lines: Pool, until: float) -> Pool:
        """Return the cheapest draws of all rounds and the last mean."""
        values, splines = self.values, request.splines
        warm = request.kept_spline() if request.kept_free else None
        begin = lines if warm is None else warm
        goal, duration = begin.goal[:1], begin.duration[:1]
        goals = np.repeat(goal, values.num_samples, 0)

        def draw(mean: Array, spread: Array) -> Array:
            draws = mean + spread * splines.noise(self.generator, (values.num_samples,))
            draws[0] = mean
            return splines.clip(draws)

        def rate(draws: Array) -> Array:
            lasting = np.repeat(duration, values.num_samples)
            return splines.cost(splines.assemble(draws, goals, lasting), lasting)

        def move(mean: Array, spread: Array, draws: Array, cost: Array) -> tuple[Array, Array]:
            nonlocal duration
            moved = self.moved(mean, spread, draws, cost)
            _, duration = splines.fit_duration(moved[0][None], goal, duration)
            return moved

        first = begin.free[0]
        spread = np.full_like(first, values.noise_rad if warm is None else KEPT_SPREAD_RAD)
        mean, elite = sampled(
            first, spread, draw, rate, move, rounds=values.num_rounds,
            kept=max(values.polish_count, 1), clock=self.clock, until=until)
        found = np.concatenate([splines.clip(mean[None]), elite])
        return request.timed(found, np.repeat(goal, len(found), 0))
