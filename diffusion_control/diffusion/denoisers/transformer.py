# SPDX-License-Identifier: Apache-2.0
"""The transformer: attention between patches of knots and one token for time and condition.

    u = u + Attention(LN(u)),   u = u + MLP(LN(u)),   u = [token of e, tokens of the motion + e].

Original: A. Vaswani et al., NeurIPS 2017; as a denoiser of motions: C. Chi et al., "Diffusion
Policy", RSS 2023 (section IV.A), with the condition as a token in front (U-ViT: F. Bao et al.,
"All are Worth Words", CVPR 2023).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from diffusion_control.diffusion.denoisers.embedding import Embedding, require
from diffusion_control.diffusion.denoisers.patches import Patches, mlp


class AttentionBlock(nn.Module):
    """Pre-normalised self-attention and a two-layer network."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = mlp(width, 4 * width)

    def forward(self, u: Tensor) -> Tensor:
        """Return tokens [B, T, width]."""
        split = self.queries_keys_values(self.before_attention(u)).chunk(3, dim=-1)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in split)
        attended = scaled_dot_product_attention(query, key, value)
        u = u + self.out(attended.transpose(1, 2).flatten(2))
        result: Tensor = u + self.mlp(self.before_mlp(u))
        return result


class Transformer(nn.Module):
    """Self-attention over patches of a motion.

    Args:
        horizon: Knots H, a multiple of `patch`.
        channels: Channels D of a motion.
        condition: Length of the condition vector.
        width: Length of a token, a multiple of `heads`.
        depth: Number of blocks.
        heads: Of the attention.
        patch: Knots per token.
    """

    def __init__(self, horizon: int, channels: int, condition: int, width: int = 64,
                 depth: int = 4, heads: int = 4, patch: int = 1) -> None:
        super().__init__()
        require(width % heads == 0, 'The width does not divide into the heads.', 'width',
                (width, heads), 'multiples of heads')
        self.embedding = Embedding(condition, width)
        self.patches = Patches(horizon, channels, width, patch)
        self.blocks = nn.ModuleList(AttentionBlock(width, heads) for _ in range(depth))
        self.last = nn.LayerNorm(width)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return the output [B, H, D] at motions [B, H, D], times [B] or [1], condition [B, C]."""
        embedded = self.embedding(time, condition)[:, None]
        u = torch.cat([embedded, self.patches.tokens(x) + embedded], dim=1)
        for block in self.blocks:
            u = block(u)
        return self.patches.motions(self.last(u[:, 1:]))
