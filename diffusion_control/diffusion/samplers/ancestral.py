# SPDX-License-Identifier: Apache-2.0
"""Ancestral sampling of the reverse SDE: an Euler step to less noise, and fresh noise on top.

In y = x / alpha over s = sigma / alpha,

    s_up = eta s' sqrt(s^2 - s'^2) / s,     s_down^2 = s'^2 - s_up^2,
    y' = y + (s_down - s) (y - x0) / s + s_up noise.

At eta = 1 the marginal of x' is exact for a fixed x0, so it is DDPM with the small variance; at
eta = 0 it is the Euler step of the ODE. Written out in x, without dividing by alpha, it is the
move of DDIM with the same eta.

Original: Y. Song et al., "Score-Based Generative Modeling through Stochastic Differential
Equations", ICLR 2021 (appendix F: ancestral sampling of the variance-exploding SDE).
"""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.diffusion.levels import Levels
from diffusion_control.diffusion.samplers.ddim import implicit_moves
from diffusion_control.diffusion.samplers.moves import Move
from diffusion_control.errors import ConfigurationError


@dataclass(frozen=True)
class Ancestral:
    """First-order SDE sampler."""

    eta: float = 1.0
    name: str = 'ancestral'

    def __post_init__(self) -> None:
        if not 0.0 <= self.eta <= 1.0:
            raise ConfigurationError(
                'The share of fresh noise is out of range.', where='eta', value=self.eta,
                allowed='[0, 1]')

    def points(self, evaluations: int) -> int:
        """Return one level per evaluation."""
        return evaluations

    def moves(self, levels: Levels, evaluations: int) -> list[Move]:
        """Return one Euler step and its fresh noise per level."""
        return implicit_moves(levels, self.eta)
