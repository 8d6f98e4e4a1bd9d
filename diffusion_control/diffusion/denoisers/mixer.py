# SPDX-License-Identifier: Apache-2.0
"""The MLP-mixer: one network mixes over time, another over features; the cheapest on a CPU.

    u = u + T(a) with a = modulated LN(u), T over the tokens;   u = u + F(modulated LN(u)).

The embedding of time and condition modulates (scale and shift) what each half block reads.

Original: I. Tolstikhin et al., "MLP-Mixer: An all-MLP Architecture for Vision", NeurIPS 2021
(eq. 1); the modulation: W. Peebles, S. Xie, "Scalable Diffusion Models with Transformers",
ICCV 2023 (adaLN, section 3.2).
"""

from __future__ import annotations

from torch import Tensor, nn

from diffusion_control.diffusion.denoisers.embedding import Embedding
from diffusion_control.diffusion.denoisers.patches import Patches, mlp


class MixerBlock(nn.Module):
    """Mixing over tokens, then over features."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.before_time = nn.LayerNorm(width, elementwise_affine=False)
        self.before_features = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 4 * width))
        self.over_time, self.over_features = mlp(tokens, 2 * tokens), mlp(width, 2 * width)

    def forward(self, u: Tensor, embedded: Tensor) -> Tensor:
        """Return tokens [B, T, width]."""
        scale, shift, scale2, shift2 = self.modulation(embedded)[:, None].chunk(4, dim=-1)
        read = (1.0 + scale) * self.before_time(u) + shift
        u = u + self.over_time(read.transpose(1, 2)).transpose(1, 2)
        result: Tensor = u + self.over_features((1.0 + scale2) * self.before_features(u) + shift2)
        return result


class Mixer(nn.Module):
    """Networks over time and over features in turn.

    Args:
        horizon: Knots H, a multiple of `patch`.
        channels: Channels D of a motion.
        condition: Length of the condition vector.
        width: Length of a token.
        depth: Number of blocks.
        patch: Knots per token.
    """

    def __init__(self, horizon: int, channels: int, condition: int, width: int = 64,
                 depth: int = 4, patch: int = 1) -> None:
        super().__init__()
        self.embedding = Embedding(condition, width)
        self.patches = Patches(horizon, channels, width, patch)
        self.blocks = nn.ModuleList(
            MixerBlock(self.patches.count, width) for _ in range(depth))
        self.last = nn.LayerNorm(width)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return the output [B, H, D] at motions [B, H, D], times [B] or [1], condition [B, C]."""
        embedded = self.embedding(time, condition)
        u = self.patches.tokens(x)
        for block in self.blocks:
            u = block(u, embedded)
        return self.patches.motions(self.last(u))
