# SPDX-License-Identifier: Apache-2.0
"""DDPM: draw from the posterior q(x' | x, x0) with the clean estimate put for x0.

`variance` is 'small' (that of the posterior, right for a fixed x0) or 'large' (that of the
forward step, right for x0 ~ N(0, I)).

Original: J. Ho, A. Jain, P. Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020
(algorithm 2; section 3.2 for the two variances).
"""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.diffusion.levels import Levels
from diffusion_control.diffusion.samplers.moves import Move, posterior
from diffusion_control.errors import require_known


@dataclass(frozen=True)
class Ddpm:
    """The reverse chain that the network was trained for."""

    variance: str = 'small'
    name: str = 'ddpm'

    def __post_init__(self) -> None:
        require_known(
            'Unknown variance of the reverse chain.', 'variance', self.variance,
            ('small', 'large'))

    def points(self, evaluations: int) -> int:
        """Return one level per evaluation."""
        return evaluations

    def moves(self, levels: Levels, evaluations: int) -> list[Move]:
        """Return the posterior's mean and deviation; the step to the clean end adds no noise."""
        law = posterior(levels)
        deviation = (law.deviation if self.variance == 'small' else law.forward).copy()
        deviation[-1] = 0.0
        return [
            Move(i, float(law.x_weight[i]), float(law.clean_weight[i]), noise=float(deviation[i]))
            for i in range(evaluations)]
