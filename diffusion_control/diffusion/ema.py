# SPDX-License-Identifier: Apache-2.0
"""The exponential moving average of the weights, which is what samples well.

After update n = 1, 2, ...

    average <- d average + (1 - d) weights,   d = min(decay, (1 + n) / (10 + n)),

so that the average forgets the random start quickly. Buffers are copied.

Original: B. Polyak, A. Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM
Journal on Control and Optimization 30(4), 1992; in diffusion: J. Ho et al., NeurIPS 2020
(appendix B).
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from diffusion_control.errors import ConfigurationError


class Ema:
    """A slowly following copy of a network.

    Attributes:
        model: The copy; without gradients, in evaluation mode.
        updates: How often it was updated.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999, updates: int = 0) -> None:
        if not 0.0 <= decay < 1.0:
            raise ConfigurationError(
                'The decay of the average is out of range.', where='ema_decay', value=decay,
                allowed='[0, 1)')
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.updates = decay, updates

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Follow the network by one step."""
        self.updates += 1
        decay = min(self.decay, (1.0 + self.updates) / (10.0 + self.updates))
        for mean, now in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.lerp_(now, 1.0 - decay)
        for kept, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            kept.copy_(buffer)
