# SPDX-License-Identifier: Apache-2.0
"""Model-based diffusion over ways of a base: a reverse diffusion that needs no data.

C. Pan, Z. Yi, G. Shi, G. Qu, "Model-Based Diffusion for Trajectory Optimization", NeurIPS 2024;
what a reverse step does is said in `planners.training_free`. Here the variables are the corners of
a way, the model is the unicycle that pursues it (`pursuit`), and the cost is its roll-out's
(`way_samples`). Chains start from noise, and from the way that is followed.
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
from diffusion_control.planners.base.way_samples import WaySamples
from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.trace import SHOWN_MOTIONS, Denoised, Observer, knot_norms
from diffusion_control.planners.training_free import score_step

SIGMA_START, SIGMA_END_M = 0.5, 0.04
RESERVE_S = 0.03


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
    temperature: float = parameter(0.05, 0.001, 10.0, 'of the softmax, in deviations of the cost')


def _show(
    observer: Observer, samples: WaySamples, sigma: Array, before: Array, mean: Array,
    noised: Array,
) -> None:
    """Tell an observer of a step, with one noised way of each chain."""
    kept = slice(SHOWN_MOTIONS)
    observer(Denoised(
        float(sigma.mean()), samples.corners(noised[kept]), samples.corners(mean[kept]),
        knot_norms((mean - before)[kept], sigma[kept])))


class BaseTrainingFree(BasePlanner):
    """Plans by model-based diffusion, warm-started from its previous way."""

    name = 'training_free'
    parameters_type = BaseTrainingFreeParameters

    def propose(self, request: BaseRequest, kept: Array | None, until: float) -> list[Array]:
        """Run the reverse diffusion until the deadline; return the cheapest ways of its chains."""
        values = self.values
        samples = WaySamples(request, values.guidance_scale)
        mean, sigma, steps = self._begin(samples, kept)
        each = max(2, values.num_samples // len(mean))
        best, lowest = mean.copy(), np.full(len(mean), np.inf)
        decay = (SIGMA_END_M / sigma) ** (1.0 / steps)
        began = self.clock()
        for done in range(steps):
            draws = mean[:, None] + sigma[:, None, None, None] * samples.noise(
                self.generator, (len(mean), each))
            draws[:, 0] = mean
            cost = samples.cost(draws.reshape(-1, *mean.shape[1:])).reshape(len(mean), each)
            lower = cost.min(1) < lowest
            best[lower] = draws[lower, cost.argmin(1)[lower]]
            lowest = np.minimum(lowest, cost.min(1))
            before, mean = mean, score_step(draws, cost, values.temperature)
            if self.observer is not None:
                _show(self.observer, samples, sigma, before, mean, draws[:, -1])
            sigma = sigma * decay
            now = self.clock()
            if now + (now - began) / (done + 1) > until - RESERVE_S:
                break
        free = np.concatenate([best, mean])
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
