# SPDX-License-Identifier: Apache-2.0
"""The residual MLP: a whole motion is one token; for short motions the cheapest on a CPU.

    u = W x + e,    u = u + MLP(LN(u) + e),    out = W' LN(u),

with e the embedding of time and condition, mapped once per block.

Original: K. He et al., "Deep Residual Learning", CVPR 2016; R. Xiong et al., "On Layer
Normalization in the Transformer Architecture", ICML 2020 (pre-normalised blocks).
"""

from __future__ import annotations

from torch import Tensor, nn

from diffusion_control.diffusion.denoisers.embedding import Embedding
from diffusion_control.diffusion.denoisers.patches import mlp


class ResidualMlp(nn.Module):
    """Blocks of two layers over all numbers of a motion at once.

    Args:
        horizon: Knots H.
        channels: Channels D of a motion.
        condition: Length of the condition vector.
        width: Numbers between the blocks.
        depth: Number of blocks.
    """

    def __init__(self, horizon: int, channels: int, condition: int, width: int = 384,
                 depth: int = 4) -> None:
        super().__init__()
        self.shape = (horizon, channels)
        self.embedding = Embedding(condition, width)
        self.into = nn.Linear(horizon * channels, width)
        self.modulations = nn.ModuleList(
            nn.Sequential(nn.SiLU(), nn.Linear(width, width)) for _ in range(depth))
        self.norms = nn.ModuleList(
            nn.LayerNorm(width, elementwise_affine=False) for _ in range(depth))
        self.blocks = nn.ModuleList(mlp(width, width) for _ in range(depth))
        self.last, self.out = nn.LayerNorm(width), nn.Linear(width, horizon * channels)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return the output [B, H, D] at motions [B, H, D], times [B] or [1], condition [B, C]."""
        embedded = self.embedding(time, condition)
        u = self.into(x.flatten(1)) + embedded
        for modulation, norm, block in zip(
                self.modulations, self.norms, self.blocks, strict=True):
            u = u + block(norm(u) + modulation(embedded))
        found: Tensor = self.out(self.last(u)).reshape(-1, *self.shape)
        return found
