# SPDX-License-Identifier: Apache-2.0
"""The temporal U-Net: the embedding of time and condition is added to the features of a block.

Original: M. Janner, Y. Du, J. Tenenbaum, S. Levine, "Planning with Diffusion for Flexible Behavior
Synthesis", ICML 2022 (appendix C, figure A1).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from diffusion_control.diffusion.denoisers.unet import UNet


class Shift(nn.Module):
    """Adds a linear function of the embedding to each feature."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.map = nn.Sequential(nn.SiLU(), nn.Linear(width, features))

    def forward(self, h: Tensor, embedded: Tensor) -> Tensor:
        """Return the shifted features [B, features, H]."""
        shifted: Tensor = h + self.map(embedded)[..., None]
        return shifted


class TemporalUNet(UNet):
    """Convolutions over time, conditioned by addition; arguments as for `UNet`."""

    def __init__(self, horizon: int, channels: int, condition: int, width: int = 32,
                 factors: Sequence[int] = (1, 2, 4), kernel: int = 5) -> None:
        super().__init__(horizon, channels, condition, Shift, width, factors, kernel)
