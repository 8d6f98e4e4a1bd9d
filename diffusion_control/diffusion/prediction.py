# SPDX-License-Identifier: Apache-2.0
"""What a network predicts, and the clean estimate that follows: x0 = c_x x + c_out out.

With x = alpha x0 + sigma e:

    epsilon         out = e                    x0 = x / alpha - (sigma / alpha) out
    sample          out = x0                   x0 = out
    v_prediction    out = alpha e - sigma x0   x0 = (alpha x - sigma out) / (alpha^2 + sigma^2)
    flow            out = e - x0               x0 = (x - sigma out) / (alpha + sigma)
    edm             on y = x / alpha and s = sigma / alpha:
                    x0 = s_d^2 / (s^2 + s_d^2) y + s s_d / sqrt(s^2 + s_d^2) out

s_d is the standard deviation of the data. The network reads c_in x: c_in = 1 / (alpha
sqrt(s^2 + s_d^2)) for edm, and 1 / max(1, sqrt(alpha^2 + sigma^2)) for the others, which is 1
unless the noise makes x larger than the data.

Original: J. Ho et al., NeurIPS 2020 (epsilon); T. Salimans, J. Ho, "Progressive Distillation for
Fast Sampling of Diffusion Models", ICLR 2022 (appendix D: v); Y. Lipman et al., ICLR 2023 (flow);
T. Karras et al., NeurIPS 2022 (eq. 7, table 1: edm).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError, require_known

Array = NDArray[np.float64]
PREDICTIONS = ('epsilon', 'sample', 'v_prediction', 'flow', 'edm')


@dataclass(frozen=True)
class Reading:
    """How a network is read at each level, shape [K] each.

    Attributes:
        c_in: The network reads c_in x.
        c_x: Share of x in the clean estimate.
        c_out: Share of the network's output in it.
    """

    c_in: Array
    c_x: Array
    c_out: Array


@dataclass(frozen=True)
class Prediction:
    """What the network was trained to put out.

    Attributes:
        kind: One of `PREDICTIONS`.
        data_deviation: Standard deviation of the data, for `edm`.
    """

    kind: str = 'epsilon'
    data_deviation: float = 0.5

    def __post_init__(self) -> None:
        require_known('Unknown kind of prediction.', 'prediction', self.kind, PREDICTIONS)

    def read(self, alpha: Array, sigma: Array) -> Reading:
        """Return how the network is read at the levels (alpha, sigma).

        Raises:
            ConfigurationError: `epsilon` or `edm` where nothing of the data is left (alpha = 0).
        """
        alpha, sigma = np.asarray(alpha, dtype=np.float64), np.asarray(sigma, dtype=np.float64)
        if self.kind in ('epsilon', 'edm') and np.any(alpha <= 0.0):
            raise ConfigurationError(
                'This prediction says nothing where no signal is left.', where='prediction',
                value=self.kind, allowed='sample, v_prediction or flow',
                remedy='start below level 1 or choose another prediction')
        power = alpha**2 + sigma**2
        c_in = 1.0 / np.sqrt(np.maximum(power, 1.0))
        if self.kind == 'epsilon':
            return Reading(c_in, 1.0 / alpha, -sigma / alpha)
        if self.kind == 'sample':
            return Reading(c_in, np.zeros_like(alpha), np.ones_like(alpha))
        if self.kind == 'v_prediction':
            return Reading(c_in, alpha / power, -sigma / power)
        if self.kind == 'flow':
            return Reading(c_in, 1.0 / (alpha + sigma), -sigma / (alpha + sigma))
        s, data = sigma / alpha, self.data_deviation
        root = np.sqrt(s**2 + data**2)
        return Reading(1.0 / (alpha * root), data**2 / (alpha * root**2), s * data / root)
