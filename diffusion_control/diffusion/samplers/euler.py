# SPDX-License-Identifier: Apache-2.0
"""Euler's method on the probability-flow ODE.

In y = x / alpha over s = sigma / alpha the ODE reads dy/ds = (y - x0) / s, and a step is
y' = y + (s' - s) (y - x0) / s. Written out in x, without dividing by alpha (flow matching begins
at alpha = 0), this is

    x' = (sigma' / sigma) x + (alpha' - alpha sigma' / sigma) x0,

for flow matching just x + (t' - t) velocity. It is also DDIM with eta = 0: the same step was found
three times, and a test holds all three against each other.

Original: Y. Song et al., "Score-Based Generative Modeling through Stochastic Differential
Equations", ICLR 2021 (eq. 13); T. Karras et al., NeurIPS 2022 (eq. 4, algorithm 1 without its
correction).
"""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.diffusion.levels import Levels
from diffusion_control.diffusion.samplers.moves import Move


def euler_move(levels: Levels, i: int, keep: bool = False) -> Move:
    """Return the Euler step from level i to the next."""
    shrink = levels.sigma[i + 1] / levels.sigma[i]
    clean = levels.alpha[i + 1] - shrink * levels.alpha[i]
    return Move(i, float(shrink), float(clean), keep=keep)


@dataclass(frozen=True)
class Euler:
    """First-order ODE sampler."""

    name: str = 'euler'

    def points(self, evaluations: int) -> int:
        """Return one level per evaluation."""
        return evaluations

    def moves(self, levels: Levels, evaluations: int) -> list[Move]:
        """Return one Euler step per level."""
        return [euler_move(levels, i) for i in range(evaluations)]
