# SPDX-License-Identifier: Apache-2.0
"""What a planner shows of its work to who asks: its denoising steps, and its cost without a term.

A planner that can be watched has an attribute `observer`; while it is None nothing is computed
for it. Its cost is a sum of terms, of which `CostWeights` switches some off.

With x the noised variables and x0 their clean estimate, x = alpha x0 + sigma e, the score of the
density of x is (Tweedie's formula: B. Efron, JASA 106(496), 2011)

    grad log p_sigma(x) = (alpha x0 - x) / sigma^2,

and `knot_norms` is sigma |grad log p_sigma(x)| for each knot: how many deviations of the noise
the step takes it. Where the noise is smooth, of covariance sigma^2 S, it is that of S grad log p.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TERMS = ('collision', 'smoothness', 'duration')
SHOWN_POINTS = 32
SHOWN_MOTIONS = 32


@dataclass(frozen=True)
class CostWeights:
    """Factors on the terms of a planner's cost, 1 each unless it is to be explained."""

    collision: float = 1.0
    smoothness: float = 1.0
    duration: float = 1.0

    @property
    def usual(self) -> bool:
        """Whether the cost is the planner's own."""
        return self.collision == self.smoothness == self.duration == 1.0


USUAL = CostWeights()


@dataclass(frozen=True)
class Denoised:
    """One reverse step of M motions.

    Attributes:
        sigma: Noise scale before the step, in the units of the planner's variables.
        noised: The motions that the step looked at, positions [M, S, n].
        clean: Where it leads: the clean estimates, positions [M, S, n].
        knot_norms: sigma |score| of each knot, shape [M, F].
        part: What is drawn, where a planner draws several things in turn; '' = motions.
    """

    sigma: float
    noised: Array
    clean: Array
    knot_norms: Array
    part: str = ''


Observer = Callable[[Denoised], None]


def knot_norms(step: Array, sigma: float | Array) -> Array:
    """Return |step| / sigma of each knot [M, F] for steps alpha x0 - x [M, F, n]."""
    norms: Array = np.linalg.norm(step, axis=2) / np.asarray(sigma).reshape(-1, 1)
    return norms
