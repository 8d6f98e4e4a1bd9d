# SPDX-License-Identifier: Apache-2.0
"""Sampled ways and the cost of rolling the unicycle along them.

A way has F = 6 free corners between start and goal; its roll-out of at most 20 s costs

    J = T + d / (v_max / 2) + sum_k [guidance * 40 hinge(near_k)^2 + 2 (near_k < margin)]

with T its time, slow or waiting beside movers as the monitor will make it (`mover_room`) and
longer where a mover may come back (`lanes`), d the way left at its end, and near_k the clearance
to what stands at its poses every 0.2 s (the hinge begins 0.12 m beyond the margin). No field of
distances to the goal, no search.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.base.base_planner import WHOLE_S, BaseRequest
from diffusion_control.planners.base.lanes import LANE_WEIGHT
from diffusion_control.planners.base.pursuit import dense

Array = NDArray[np.float64]
CORNERS = 6
EXTRA_M = 0.12
HINGE_WEIGHT, INSIDE_S = 40.0, 2.0
NOISE_RANGE = 1.5
SIGMA_LEAST_M = 0.8
ASIDE_M = 3.0


def _smooth() -> Array:
    """Return the square root of the noise's covariance: neighbours move alike."""
    apart = np.subtract.outer(np.arange(CORNERS), np.arange(CORNERS)) / NOISE_RANGE
    return np.asarray(
        np.linalg.cholesky(np.exp(-0.5 * apart**2) + 1e-6 * np.eye(CORNERS)), dtype=float)


SMOOTH = _smooth()


class WaySamples:
    """Ways from one start: the line, noise, cost."""

    def __init__(self, request: BaseRequest, guidance: float = 1.0) -> None:
        self.request, self.guidance = request, guidance
        share = np.arange(1, CORNERS + 1)[:, None] / (CORNERS + 1)
        start = request.start[:2]
        self.line: Array = start + share * (request.place - start)
        self.sigma_m = max(SIGMA_LEAST_M, 0.3 * float(np.linalg.norm(request.place - start)))

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return smooth noise of unit variance, shape [*shape, F, 2]."""
        drawn: Array = np.matmul(SMOOTH, generator.standard_normal((*shape, CORNERS, 2)))
        return drawn

    def first(self, generator: np.random.Generator, count: int) -> Array:
        """Return ways to begin with: the line, noise about it, detours; corners [count, F, 2].

        Half of them go up to `ASIDE_M` to a side, straight on there, and back, which finds the
        way round the end of a wall that noise does not.
        """
        free = np.repeat(self.line[None], count, axis=0)
        free[1:] += self.sigma_m * self.noise(generator, (count - 1,))
        detours = count // 2
        aside = generator.uniform(-ASIDE_M, ASIDE_M, (detours, 1))
        ramps = generator.uniform(0.02, 0.5, (detours, 2))
        share = np.arange(1, CORNERS + 1) / (CORNERS + 1)
        aside = aside * np.minimum(
            np.minimum(share / ramps[:, :1], (1.0 - share) / ramps[:, 1:]), 1.0)
        along = self.request.place - self.request.start[:2]
        across = np.array([-along[1], along[0]]) / max(float(np.linalg.norm(along)), 1e-6)
        free[count - detours:] = self.line + aside[..., None] * across
        return free

    def corners(self, free: Array) -> Array:
        """Return ways [N, F + 2, 2] of free corners [N, F, 2]."""
        ends = np.ones((len(free), 1, 2))
        return np.concatenate(
            [ends * self.request.start[:2], free, ends * self.request.place], axis=1)

    def cost(self, free: Array) -> Array:
        """Return J of free corners [N, F, 2], shape [N]."""
        poses, times, left = self.request.roll_all(self.corners(free))
        most = max(2, int(times.max() / 0.2) + 2)
        rows = poses[:, :most].reshape(-1, 3)
        hinge, near, _ = self.request.world.cost(rows, EXTRA_M)
        hinge = hinge.reshape(len(free), -1).sum(axis=1)
        inside = (near.reshape(len(free), -1) < self.request.values.margin_m).sum(axis=1)
        weights = self.request.weights
        lanes = self.request.lanes.share(rows).reshape(len(free), -1)
        lanes[np.arange(lanes.shape[1]) * WHOLE_S[0] > times[:, None]] = 0.0
        times = times + LANE_WEIGHT * WHOLE_S[0] * lanes.sum(axis=1)
        total: Array = (
            weights.duration * (times + left / (0.5 * self.request.limits[0]))
            + weights.collision * (self.guidance * HINGE_WEIGHT * hinge + INSIDE_S * inside))
        return total

    def from_way(self, corners: Array) -> Array:
        """Return the free corners [F, 2] of a way, evenly spaced along it."""
        buffer = np.empty((4000, 2))
        count, _ = dense(np.ascontiguousarray(corners), 0.02, buffer)
        index = np.linspace(0, count - 1, CORNERS + 2)[1:-1].round().astype(int)
        return np.asarray(buffer[index])

    def ways(self, free: Array, count: int) -> list[Array]:
        """Return the cheapest ways of free corners [N, F, 2]."""
        order = np.argsort(self.cost(free), kind='stable')[:count]
        return list(self.corners(free[order]))
