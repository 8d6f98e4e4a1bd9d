# SPDX-License-Identifier: Apache-2.0
"""The FiLM-conditioned U-Net: the embedding scales and shifts the features of a block.

Original: C. Chi et al., "Diffusion Policy: Visuomotor Policy Learning via Action Diffusion",
RSS 2023 (section IV.A); E. Perez et al., "FiLM: Visual Reasoning with a General Conditioning
Layer", AAAI 2018 (eq. 2).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from diffusion_control.diffusion.denoisers.unet import UNet


class Film(nn.Module):
    """Multiplies each feature by 1 + one linear function of the embedding and adds another."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.map = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * features))

    def forward(self, h: Tensor, embedded: Tensor) -> Tensor:
        """Return the modulated features [B, features, H]."""
        scale, shift = self.map(embedded)[..., None].chunk(2, dim=1)
        modulated: Tensor = (1.0 + scale) * h + shift
        return modulated


class FilmUNet(UNet):
    """Convolutions over time, conditioned by modulation; arguments as for `UNet`."""

    def __init__(self, horizon: int, channels: int, condition: int, width: int = 32,
                 factors: Sequence[int] = (1, 2, 4), kernel: int = 5) -> None:
        super().__init__(horizon, channels, condition, Film, width, factors, kernel)
