# SPDX-License-Identifier: Apache-2.0
"""Model-based diffusion and A* at once for a base: whichever way is rated better wins.

The way over the grid is a candidate, and chains of the reverse diffusion start from it beside
those that start from noise. The plan's `source` says where its way began: `training_free` in the
reverse diffusion, `classical` on the grid; a way that is kept keeps it.
"""

from __future__ import annotations

import numpy as np

from diffusion_control.planners.base.astar import BaseAstar
from diffusion_control.planners.base.base_planner import Array, BaseRequest, Way
from diffusion_control.planners.base.training_free import BaseTrainingFree
from diffusion_control.planners.base.way_samples import WaySamples
from diffusion_control.planners.problem import PlanningError

CHAINS_OF_THE_GRID = 2


class BaseAstarTrainingFree(BaseTrainingFree):
    """Plans by model-based diffusion and by search; see `BaseTrainingFree` for its settings."""

    name = 'astar+training_free'

    def reset(self, seed: int) -> None:
        """Forget the way and restart the random numbers."""
        super().reset(seed)
        self._search = BaseAstar(self.robot)
        self._searched: list[Array] = []
        self._began = BaseTrainingFree.name

    def propose(self, request: BaseRequest, kept: Array | None, until: float) -> list[Array]:
        """Return the ways of the reverse diffusion, and the one over the grid if there is one."""
        try:
            self._searched = self._search.propose(request, kept, until)
        except PlanningError:
            self._searched = []
        return [*super().propose(request, kept, until), *self._searched]

    def began(self, way: Way | None) -> str:
        """Return where a way began."""
        if way is not None and way.handicap == 1.0:
            searched = any(way.corners is corners for corners in self._searched)
            self._began = BaseAstar.source if searched else BaseTrainingFree.name
        return self._began

    def _begin(self, samples: WaySamples, kept: Array | None) -> tuple[Array, Array, int]:
        """Return means, noise and steps as without the grid, with chains that start on it."""
        mean, sigma, steps = super()._begin(samples, kept)
        for way in self._searched:
            more = np.repeat(samples.from_way(way)[None], CHAINS_OF_THE_GRID, axis=0)
            mean = np.concatenate([mean, more])
            sigma = np.append(sigma, np.full(CHAINS_OF_THE_GRID, sigma[0]))
        return mean, sigma, steps
