# SPDX-License-Identifier: Apache-2.0
"""How a sampling planner's mean and spread follow from the costs of its draws.

MPPI: G. Williams, A. Aldrich, E. Theodorou, "Model Predictive Path Integral Control", Journal of
Guidance, Control, and Dynamics 2017. Cross-entropy: R. Rubinstein, "The Cross-Entropy Method for
Combinatorial and Continuous Optimization", Methodology and Computing in Applied Probability 1999.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def softmax_mean(draws: Array, cost: Array, temperature: float) -> Array:
    """Return sum_i w_i Y_i with w = softmax(-J / temperature) of draws [N, ...] and costs [N]."""
    weight = np.exp(-(cost - cost.min()) / temperature)
    mean: Array = np.tensordot(weight / weight.sum(), draws, axes=1)
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
