# SPDX-License-Identifier: Apache-2.0
"""The cross-entropy method over ways of a base.

R. Rubinstein, "The Cross-Entropy Method for Combinatorial and Continuous Optimization",
Methodology and Computing in Applied Probability 1999.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffusion_control.planners.base.base_planner import Array
from diffusion_control.planners.base.sampling import SamplingParameters, SamplingPlanner
from diffusion_control.planners.parameters import parameter

LEAST_M = 0.02


@dataclass(frozen=True)
class BaseCemParameters(SamplingParameters):
    """Settings of the cross-entropy method."""

    elite_share: float = parameter(0.1, 0.01, 1.0, 'share of the draws that is fitted')
    smoothing: float = parameter(0.2, 0.0, 0.99, 'share of the old mean and spread that stays')


class BaseCem(SamplingPlanner):
    """Fits mean and spread to the cheapest draws."""

    name = 'cem'
    parameters_type = BaseCemParameters

    def moved(
        self, mean: Array, spread: Array, draws: Array, cost: Array
    ) -> tuple[Array, Array]:
        """Return mean and deviation of the elite, smoothed."""
        count = max(2, round(self.values.elite_share * len(draws)))
        elite, stay = draws[np.argsort(cost, kind='stable')[:count]], self.values.smoothing
        return (stay * mean + (1 - stay) * elite.mean(axis=0),
                np.maximum(stay * spread + (1 - stay) * elite.std(axis=0), LEAST_M))
