# SPDX-License-Identifier: Apache-2.0
"""Model-based diffusion over ways of a base: a reverse diffusion that needs no data.

See `way_diffusion`. Chains start from noise, and from the way that is followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffusion_control.planners.base.base_planner import (
    Array,
    BaseParameters,
    BasePlanner,
    BaseRequest,
)
from diffusion_control.planners.base.way_diffusion import TEMPERATURE, Reverse, denoised
from diffusion_control.planners.base.way_samples import WaySamples
from diffusion_control.planners.parameters import parameter

SIGMA_START = 0.5


@dataclass(frozen=True)
class BaseTrainingFreeParameters(BaseParameters):
    """Settings of the model-based diffusion."""

    num_inference_steps: int = parameter(7, 1, 500, 'reverse steps without a warm start')
    warm_start_level: float = parameter(
        0.4, 0.05, 1.0, 'share of the schedule that is run from the way that is followed')
    guidance_scale: float = parameter(
        1.0, 0.01, 100.0, 'weight of the collision cost in the score')
    num_chains: int = parameter(16, 1, 256, 'chains side by side')
    num_samples: int = parameter(160, 2, 65536, 'roll-outs per reverse step, over all chains')
    num_screened: int = parameter(256, 1, 65536, 'random ways of which the chains start')
    temperature: float = parameter(
        TEMPERATURE, 0.001, 10.0, 'of the softmax, in deviations of the cost')


class BaseTrainingFree(BasePlanner):
    """Plans by model-based diffusion, warm-started from its previous way."""

    name = 'training_free'
    parameters_type = BaseTrainingFreeParameters

    def propose(self, request: BaseRequest, kept: Array | None, until: float) -> list[Array]:
        """Run the reverse diffusion until the deadline; return the cheapest ways of its chains."""
        values = self.values
        samples = WaySamples(request, values.guidance_scale)
        mean, sigma, steps = self._begin(samples, kept)
        how = Reverse(steps, values.num_samples, values.temperature, self.clock, until)
        free = denoised(samples, mean, sigma, self.generator, how, self.observer)
        return [request.line, *samples.ways(free, values.num_candidates)]

    def _begin(
        self, samples: WaySamples, kept: Array | None
    ) -> tuple[Array, Array, int]:
        """Return means [M, F, 2] and noise [M] [m] of the chains, and the number of steps."""
        values, drawn = self.values, self.values.num_screened
        if kept is not None:
            drawn = max(1, drawn // 2)
        free = samples.first(self.generator, drawn)
        order = np.argsort(samples.cost(free), kind='stable')
        if kept is None:
            mean = free[order[:values.num_chains]]
            return mean, np.full(len(mean), SIGMA_START * samples.sigma_m), (
                values.num_inference_steps)
        warm = max(1, values.num_chains // 4)
        mean = np.concatenate([np.repeat(samples.from_way(kept)[None], warm, axis=0),
                               free[order[:warm]]])
        steps = max(1, round(values.warm_start_level * values.num_inference_steps))
        return mean, np.full(len(mean), values.warm_start_level * SIGMA_START), steps
