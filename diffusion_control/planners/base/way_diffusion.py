# SPDX-License-Identifier: Apache-2.0
"""The reverse diffusion over ways of a base, driven by the cost of roll-outs alone.

C. Pan, Z. Yi, G. Shi, G. Qu, "Model-Based Diffusion for Trajectory Optimization", NeurIPS 2024;
what a reverse step does is said in `planners.training_free`. The variables are the corners of a
way, the model is the unicycle that pursues it (`pursuit`), the cost its roll-out's
(`way_samples`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.base.way_samples import WaySamples
from diffusion_control.planners.deadline import Clock
from diffusion_control.planners.trace import SHOWN_MOTIONS, Denoised, Observer, knot_norms
from diffusion_control.planners.training_free import score_step

Array = NDArray[np.float64]
SIGMA_END_M, TEMPERATURE = 0.04, 0.05
RESERVE_S = 0.03
Draw = Callable[[tuple[int, ...]], Array]


@dataclass(frozen=True)
class Reverse:
    """How long and how densely is sampled.

    Attributes:
        steps: Reverse steps; the noise falls to `SIGMA_END_M`.
        num_samples: Roll-outs of a step, over all chains.
        temperature: Of the softmax, in deviations of the cost.
        clock: Monotonic clock [s].
        until: Time on the clock by which a plan should be out [s].
    """

    steps: int
    num_samples: int
    temperature: float
    clock: Clock
    until: float


def denoised(
    samples: WaySamples, mean: Array, sigma: Array, generator: np.random.Generator, how: Reverse,
    observer: Observer | None = None,
) -> Array:
    """Return the best draw of each chain and its last mean, free corners [2 M, F, 2].

    Args:
        samples: The question.
        mean: Of the chains, free corners [M, F, 2].
        sigma: Their noise, shape [M] [m].
        generator: Of the noise.
        how: Steps, samples, deadline.
        observer: Is told of every step.
    """
    each = max(2, how.num_samples // len(mean))
    best, lowest = mean.copy(), np.full(len(mean), np.inf)
    decay = (SIGMA_END_M / sigma) ** (1.0 / how.steps)
    began = how.clock()
    for done in range(how.steps):
        draws = mean[:, None] + sigma[:, None, None, None] * samples.noise(
            generator, (len(mean), each))
        draws[:, 0] = mean
        cost = samples.cost(draws.reshape(-1, *mean.shape[1:])).reshape(len(mean), each)
        lower = cost.min(1) < lowest
        best[lower] = draws[lower, cost.argmin(1)[lower]]
        lowest = np.minimum(lowest, cost.min(1))
        before, mean = mean, score_step(draws, cost, how.temperature)
        if observer is not None:
            _show(observer, samples, sigma, before, mean, draws[:, -1])
        sigma = sigma * decay
        now = how.clock()
        if now + (now - began) / (done + 1) > how.until - RESERVE_S:
            break
    return np.concatenate([best, mean])


def _show(
    observer: Observer, samples: WaySamples, sigma: Array, before: Array, mean: Array,
    noised: Array,
) -> None:
    """Tell an observer of a step, with one noised way of each chain."""
    kept = slice(SHOWN_MOTIONS)
    observer(Denoised(
        float(sigma.mean()), samples.corners(noised[kept]), samples.corners(mean[kept]),
        knot_norms((mean - before)[kept], sigma[kept])))
