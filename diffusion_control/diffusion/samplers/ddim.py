# SPDX-License-Identifier: Apache-2.0
"""DDIM: keep the noise that the estimate implies (eta = 0), or replace a part of it (eta to 1).

With e = (x - alpha x0) / sigma and s = eta times the deviation of the posterior q(x' | x, x0):

    x' = alpha' x0 + sqrt(sigma'^2 - s^2) e + s noise.

eta = 1 is DDPM with the small variance.

Original: J. Song, C. Meng, S. Ermon, "Denoising Diffusion Implicit Models", ICLR 2021
(eq. 12 and 16).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffusion_control.diffusion.levels import Levels
from diffusion_control.diffusion.samplers.moves import Move, posterior
from diffusion_control.errors import ConfigurationError


def implicit_moves(levels: Levels, eta: float) -> list[Move]:
    """Return the moves that keep the implied noise but for the share `eta`."""
    fresh = eta * posterior(levels).deviation
    kept = np.sqrt(np.maximum(levels.sigma[1:] ** 2 - fresh**2, 0.0))
    weight = kept / levels.sigma[:-1]
    clean = levels.alpha[1:] - weight * levels.alpha[:-1]
    return [
        Move(i, float(weight[i]), float(clean[i]), noise=float(fresh[i]))
        for i in range(len(weight))]


@dataclass(frozen=True)
class Ddim:
    """The implicit sampler; deterministic at eta = 0."""

    eta: float = 0.0
    name: str = 'ddim'

    def __post_init__(self) -> None:
        if not 0.0 <= self.eta <= 1.0:
            raise ConfigurationError(
                'The share of fresh noise is out of range.', where='eta', value=self.eta,
                allowed='[0, 1]')

    def points(self, evaluations: int) -> int:
        """Return one level per evaluation."""
        return evaluations

    def moves(self, levels: Levels, evaluations: int) -> list[Move]:
        """Return the moves of the implicit sampler."""
        return implicit_moves(levels, self.eta)
