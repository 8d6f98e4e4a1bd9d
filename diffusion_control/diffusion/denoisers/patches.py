# SPDX-License-Identifier: Apache-2.0
"""Motions as tokens: a patch of successive knots is one token, with a learned place.

Original: A. Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021 (section 3.1).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffusion_control.diffusion.denoisers.embedding import require


class Patches(nn.Module):
    """From motions to tokens and back.

    Args:
        horizon: Knots H, a multiple of `patch`.
        channels: Channels D.
        width: Length of a token.
        patch: Knots per token.
    """

    def __init__(self, horizon: int, channels: int, width: int, patch: int) -> None:
        super().__init__()
        require(patch >= 1 and horizon % patch == 0,
                'The horizon does not divide into these patches.', 'patch', (horizon, patch),
                'divisors of the horizon')
        self.count, self.shape = horizon // patch, (horizon, channels)
        self.into = nn.Linear(patch * channels, width)
        self.place = nn.Parameter(0.02 * torch.randn(self.count, width))
        self.out = nn.Linear(width, patch * channels)

    def tokens(self, x: Tensor) -> Tensor:
        """Return the tokens [B, T, width] of motions [B, H, D]."""
        found: Tensor = self.into(x.reshape(-1, self.count, self.into.in_features)) + self.place
        return found

    def motions(self, tokens: Tensor) -> Tensor:
        """Return the motions [B, H, D] of tokens [B, T, width]."""
        found: Tensor = self.out(tokens).reshape(-1, *self.shape)
        return found


def mlp(width: int, inner: int) -> nn.Sequential:
    """Return the two-layer network that transformers and mixers are made of."""
    return nn.Sequential(nn.Linear(width, inner), nn.SiLU(), nn.Linear(inner, width))
