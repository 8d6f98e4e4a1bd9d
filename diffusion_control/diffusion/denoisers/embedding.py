# SPDX-License-Identifier: Apache-2.0
"""What every denoiser is told besides the motion: the time and the condition, as one vector.

    phases = time exp(-ln(10^4) i / (n - 1)),  i = 0 .. n - 1,
    e = MLP([sin, cos](phases)) + W condition,                  shape [B, width].

Times run from 0 to 1000 for all schedules (see `schedules`). A time of shape [1] serves the whole
batch, as all candidates of a run have the same one.

Original: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017 (section 3.5), as used for
diffusion by J. Ho et al., NeurIPS 2020 (appendix B).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from diffusion_control.errors import ConfigurationError


def require(good: bool, what: str, where: str, value: object, allowed: str) -> None:
    """Raise a ConfigurationError unless a size of a network is good."""
    if not good:
        raise ConfigurationError(what, where=where, value=value, allowed=allowed)


class Embedding(nn.Module):
    """Time and condition as one vector.

    Args:
        condition: Length of the condition vector, at least 1.
        width: Length of the embedding, even, at least 4.
    """

    frequencies: Tensor

    def __init__(self, condition: int, width: int) -> None:
        super().__init__()
        require(condition >= 1 and width >= 4 and width % 2 == 0,
                'The embedding needs a condition and an even width.', 'width',
                (condition, width), 'condition >= 1, even width >= 4')
        half = width // 2
        falling = torch.exp(-math.log(1e4) * torch.arange(half) / (half - 1))
        self.register_buffer('frequencies', falling, persistent=False)
        self.time = nn.Sequential(
            nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.condition = nn.Linear(condition, width)

    def forward(self, time: Tensor, condition: Tensor) -> Tensor:
        """Return the embedding [B, width] of times [B] or [1] and conditions [B, C]."""
        phases = time[:, None] * self.frequencies
        waves = torch.cat([phases.sin(), phases.cos()], dim=-1)
        embedded: Tensor = self.time(waves) + self.condition(condition)
        return embedded
