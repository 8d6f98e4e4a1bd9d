# SPDX-License-Identifier: Apache-2.0
"""Random shooting: the best of many random ways of a base, and nothing learned from them."""

from __future__ import annotations

from diffusion_control.planners.base.base_planner import Array
from diffusion_control.planners.base.sampling import SamplingPlanner


class BaseRandom(SamplingPlanner):
    """Draws around the line, or around the way that is followed; mean and spread stay."""

    name = 'random'

    def moved(
        self, mean: Array, spread: Array, draws: Array, cost: Array
    ) -> tuple[Array, Array]:
        """Return mean and spread as they are."""
        del draws, cost
        return mean, spread
