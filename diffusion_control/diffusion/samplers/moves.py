# SPDX-License-Identifier: Apache-2.0
"""One evaluation of a sampler as six numbers: all samplers here are linear in what they know.

After the network was evaluated at x and the clean estimate x0 was formed,

    x <- a x + b x0 + c x0_previous + d noise + e base,      base <- base or the new x,

where x0_previous is the estimate of the evaluation before, and base the x where a step of several
evaluations began. So one loop, written once, runs every sampler (see `sampling`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from diffusion_control.diffusion.levels import Levels


@dataclass(frozen=True)
class Move:
    """What happens after one evaluation of the network.

    Attributes:
        level: Index of the level at which the network is evaluated.
        x: a, weight of the point where it was evaluated.
        clean: b, weight of the clean estimate.
        previous: c, weight of the clean estimate of the evaluation before.
        noise: d, weight of fresh noise.
        base: e, weight of the point where the step began.
        keep: Whether the step goes on, so that the base stays.
    """

    level: int
    x: float
    clean: float
    previous: float = 0.0
    noise: float = 0.0
    base: float = 0.0
    keep: bool = False


class Sampler(Protocol):
    """A rule that turns levels into moves."""

    name: str

    def points(self, evaluations: int) -> int:
        """Return how many levels a run of so many network evaluations visits."""
        ...

    def moves(self, levels: Levels, evaluations: int) -> list[Move]:
        """Return the moves, one per network evaluation; the last one ends at the clean end."""
        ...


@dataclass(frozen=True)
class Posterior:
    """The law q(x' | x, x0) of a less noisy x': N(x_weight x + clean_weight x0, deviation^2).

    Attributes:
        x_weight: Shape [K].
        clean_weight: Shape [K].
        deviation: Shape [K].
        forward: Standard deviation of x given x', shape [K].
    """

    x_weight: np.ndarray
    clean_weight: np.ndarray
    deviation: np.ndarray
    forward: np.ndarray


def posterior(levels: Levels) -> Posterior:
    """Return the posterior of each step.

    With r = alpha / alpha' and f^2 = sigma^2 - r^2 sigma'^2 (the variance of x given x'):

        mean = r sigma'^2 / sigma^2 x + alpha' f^2 / sigma^2 x0,
        variance = f^2 sigma'^2 / sigma^2.

    J. Ho et al., NeurIPS 2020 (eq. 6-7), for any pair (alpha, sigma): D. Kingma et al.,
    "Variational Diffusion Models", NeurIPS 2021 (appendix A.2).
    """
    alpha, sigma = levels.alpha[:-1], levels.sigma[:-1]
    next_alpha, next_sigma = levels.alpha[1:], levels.sigma[1:]
    ratio = alpha / next_alpha
    forward = np.maximum(sigma**2 - (ratio * next_sigma) ** 2, 0.0)
    return Posterior(
        ratio * next_sigma**2 / sigma**2, next_alpha * forward / sigma**2,
        np.sqrt(forward) * next_sigma / sigma, np.sqrt(forward))
