# SPDX-License-Identifier: Apache-2.0
"""The cross-entropy method over ways of a base (`sampling_rules`)."""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.planners.base.base_planner import Array
from diffusion_control.planners.base.sampling import SamplingParameters, SamplingPlanner
from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.sampling_rules import elite_fit

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
        return elite_fit(
            mean, spread, draws, cost, share=self.values.elite_share,
            smoothing=self.values.smoothing, least=LEAST_M)
