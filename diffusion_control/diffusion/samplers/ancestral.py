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

from diffusion_control.diffusion.samplers.ddim import Ddim


@dataclass(frozen=True)
class Ancestral(Ddim):
    """First-order SDE sampler: DDIM with all of the noise fresh."""

    eta: float = 1.0
    name: str = 'ancestral'
