# SPDX-License-Identifier: Apache-2.0
"""Model predictive path integral control over spline motions of an arm (`sampling_rules`)."""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.sampling_rules import softmax_mean
from diffusion_control.planners.spline_sampling import (
    Array,
    SplineSamplingParameters,
    SplineSamplingPlanner,
)


@dataclass(frozen=True)
class MppiParameters(SplineSamplingParameters):
    """Settings of MPPI."""

    temperature: float = parameter(
        0.05, 0.001, 100.0, 'of the softmax, in standard deviations of the costs')
    narrowing: float = parameter(0.85, 0.1, 1.0, 'factor of the noise from round to round')


class MppiPlanner(SplineSamplingPlanner):
    """One mean motion, moved to the softmax-weighted mean of its draws."""

    name = 'mppi'
    parameters_type = MppiParameters

    def moved(
        self, mean: Array, spread: Array, draws: Array, cost: Array
    ) -> tuple[Array, Array]:
        """Return the weighted mean, and the narrower noise."""
        del mean
        temperature = self.values.temperature * float(cost.std()) + 1e-9
        return softmax_mean(draws, cost, temperature), spread * self.values.narrowing
