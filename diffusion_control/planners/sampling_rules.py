# SPDX-License-Identifier: Apache-2.0
"""Rounds of draws around one mean, and how mean and spread follow from the costs of the draws.

MPPI: G. Williams, A. Aldrich, E. Theodorou, "Model Predictive Path Integral Control", Journal of
Guidance, Control, and Dynamics 2017. Cross-entropy: R. Rubinstein, "The Cross-Entropy Method for
Combinatorial and Continuous Optimization", Methodology and Computing in Applied Probability 1999.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def sampled(
    mean: Array, spread: Array, draw: Callable[[Array, Array], Array],
    rate: Callable[[Array], Array],
    move: Callable[[Array, Array, Array, Array], tuple[Array, Array]], *, rounds: int, kept: int,
    clock: Callable[[], float], until: float,
) -> tuple[Array, Array]:
    """Return the last mean, and the cheapest draws of all rounds [K, ...].

    Args:
        mean: To begin with, shape [...].
        spread: Standard deviations, shape [...].
        draw: From mean and spread, draws [N, ...].
        rate: Their costs, shape [N].
        move: From mean, spread, draws and costs, the next mean and spread.
        rounds: At most; at least one is run.
        kept: K.
        clock: Monotonic clock [s].
        until: No round begins that would end later, on the clock [s].
    """
    elite, costs = mean[None], np.full(1, np.inf)
    began = clock()
    for done in range(rounds):
        draws = draw(mean, spread)
        cost = rate(draws)
        mean, spread = move(mean, spread, draws, cost)
        elite, costs = np.concatenate([elite, draws]), np.append(costs, cost)
        best = np.argsort(costs, kind='stable')[:kept]
        elite, costs = elite[best], costs[best]
        now = clock()
        if now + (now - began) / (done + 1) > until:
            break
    return mean, elite


def softmax_mean(draws: Array, cost: Array, temperature: float) -> Array:
    """Return sum_i w_i Y_i with w = softmax(-J / temperature) of draws [N, ...] and costs [N]."""
    weight = np.exp(-(cost - cost.min()) / temperature)
    weight /= weight.sum()
    mean: Array = np.einsum('n,n...->...', weight, draws)
    return mean


def elite_fit(
    mean: Array, spread: Array, draws: Array, cost: Array, *, share: float, smoothing: float,
    least: float,
) -> tuple[Array, Array]:
    """Return mean and deviation of the cheapest draws, mixed with the old ones.

    Args:
        mean: Old mean, shape [...].
        spread: Old deviations, shape [...].
        draws: Shape [N, ...].
        cost: Shape [N].
        share: Of the draws that is fitted, at least two.
        smoothing: Share of the old mean and spread that stays.
        least: Smallest deviation.
    """
    count = max(2, round(share * len(draws)))
    elite = draws[np.argsort(cost, kind='stable')[:count]]
    return (smoothing * mean + (1 - smoothing) * elite.mean(axis=0),
            np.maximum(smoothing * spread + (1 - smoothing) * elite.std(axis=0), least))
