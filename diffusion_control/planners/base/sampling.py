# SPDX-License-Identifier: Apache-2.0
"""What the sampling planners of a base share: rounds of draws around one mean way, at equal cost.

Each round draws `num_samples` ways around a mean, rolls them out, and moves the mean; only how the
mean (and the spread) follow from the costs differs. As many roll-outs as `training_free` makes by
default.
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
from diffusion_control.planners.sampling_rules import sampled

RESERVE_S = 0.03
KEPT_SIGMA_M = 0.3


@dataclass(frozen=True)
class SamplingParameters(BaseParameters):
    """Settings of a planner that samples."""

    num_rounds: int = parameter(8, 1, 500, 'rounds of draws')
    num_samples: int = parameter(176, 4, 65536, 'ways that are rolled out in a round')


class SamplingPlanner(BasePlanner):
    """Draws, rolls out, moves the mean; from the way that is followed where there is one."""

    parameters_type: type[BaseParameters] = SamplingParameters

    def propose(self, request: BaseRequest, kept: Array | None, until: float) -> list[Array]:
        """Return the mean, and the cheapest ways of all rounds."""
        values, samples = self.values, WaySamples(request)
        first = samples.line if kept is None else samples.from_way(kept)
        spread = np.full_like(first, samples.sigma_m if kept is None else KEPT_SIGMA_M)

        def draw(mean: Array, spread: Array) -> Array:
            draws: Array = mean + spread * samples.noise(self.generator, (values.num_samples,))
            draws[0] = mean
            return draws

        mean, elite = sampled(
            first, spread, draw, samples.cost, self.moved, rounds=values.num_rounds,
            kept=values.num_candidates, clock=self.clock, until=until - RESERVE_S)
        return [request.line, *samples.corners(np.concatenate([mean[None], elite]))]

    def moved(
        self, mean: Array, spread: Array, draws: Array, cost: Array
    ) -> tuple[Array, Array]:
        """Return the next mean and spread [F, 2]; overridden by each planner.

        Args:
            mean: Shape [F, 2].
            spread: Standard deviations, shape [F, 2] [m].
            draws: Shape [N, F, 2].
            cost: Shape [N].
        """
        raise NotImplementedError(f'{type(self).__name__}.moved')
