# SPDX-License-Identifier: Apache-2.0
"""Noise that is smooth over the knots of a motion instead of independent at each.

Everything here holds for e ~ N(0, S) as for e ~ N(0, I): with S = L L' the motions y = L^-1 x have
independent noise, and samplers are linear, so they do not see L. Noise of the covariance of the
data is spread over the data's own directions, where independent noise is mostly jerk that the
network must first remove. Train and sample with the same colour.

Original: the change of variables is plain; used for motions by C. Pan et al., "Model-Based
Diffusion for Trajectory Optimization", NeurIPS 2024, and M. Zucker et al., "CHOMP", IJRR 2013.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Colour:
    """A covariance over knots, the same for every channel.

    Attributes:
        factor: L, lower triangular, shape [H, H].
    """

    factor: Array

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Return noise of this covariance as float32, shape [..., H, D]."""
        white = generator.standard_normal(shape, dtype=np.float32)
        coloured: Array = self.factor.astype(np.float32) @ white
        return coloured


def white(horizon: int) -> Colour:
    """Return independent noise."""
    return Colour(np.eye(horizon))


def colour_of(motions: Array, floor: float = 1e-3) -> Colour:
    """Return the colour of a set of motions.

    S is the second moment about the mean motion over all channels, scaled so that its mean
    diagonal is 1, with `floor` added to the diagonal and scaled again: a level of noise means the
    same as for independent noise, and no direction is without noise.

    Args:
        motions: Shape [M, H, D], M >= 2.
        floor: Share of independent noise, above 0.

    Raises:
        ConfigurationError: Fewer than two motions, motions that are all the same, or no floor.
    """
    apart = motions.astype(np.float64) - motions.mean(0, dtype=np.float64)
    moment = np.einsum('mhd,mgd->hg', apart, apart)
    size = float(np.trace(moment)) / len(moment)
    if len(motions) < 2 or not (size > 0.0 and np.isfinite(size) and floor > 0.0):
        raise ConfigurationError(
            'The colour of noise needs two different motions or more.', where='colour_of',
            value=(motions.shape, size, floor), allowed='finite motions, floor > 0')
    covariance = (moment / size + floor * np.eye(len(moment))) / (1.0 + floor)
    return Colour(np.linalg.cholesky(covariance))
