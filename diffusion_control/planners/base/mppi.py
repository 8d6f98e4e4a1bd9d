# SPDX-License-Identifier: Apache-2.0
"""Model predictive path integral control over ways of a base (`sampling_rules`)."""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.planners.base.base_planner import Array
from diffusion_control.planners.base.sampling import SamplingParameters, SamplingPlanner
from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.sampling_rules import softmax_mean


@dataclass(frozen=True)
class BaseMppiParameters(SamplingParameters):
    """Settings of MPPI."""

    temperature_s: float = parameter(0.5, 0.001, 100.0, 'of the softmax, in seconds of cost')
    narrowing: float = parameter(0.85, 0.1, 1.0, 'factor of the noise from round to round')


class BaseMppi(SamplingPlanner):
    """One mean way, moved to the softmax-weighted mean of its draws."""

    name = 'mppi'
    parameters_type = BaseMppiParameters

    def moved(
        self, mean: Array, spread: Array, draws: Array, cost: Array
    ) -> tuple[Array, Array]:
        """Return the weighted mean, and the narrower noise."""
        mean = softmax_mean(draws, cost, self.values.temperature_s)
        return mean, spread * self.values.narrowing
