# SPDX-License-Identifier: Apache-2.0
"""Denoisers by name: networks from (motion [B, H, D], time [B] or [1], condition [B, C])."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from diffusion_control.diffusion.denoisers.film_unet import FilmUNet
from diffusion_control.diffusion.denoisers.mixer import Mixer
from diffusion_control.diffusion.denoisers.mlp import ResidualMlp
from diffusion_control.diffusion.denoisers.temporal_unet import TemporalUNet
from diffusion_control.diffusion.denoisers.transformer import Transformer
from diffusion_control.diffusion.sampling import Denoise
from diffusion_control.errors import require_known

DENOISERS: dict[str, Any] = {
    'temporal_unet': TemporalUNet,
    'film_unet': FilmUNet,
    'transformer': Transformer,
    'mixer': Mixer,
    'mlp': ResidualMlp,
}


def make_denoiser(
    name: str, horizon: int, channels: int, condition: int, **options: Any
) -> nn.Module:
    """Return the denoiser of that name.

    Args:
        name: One of `DENOISERS`.
        horizon: Knots H of a motion.
        channels: Channels D of a knot.
        condition: Length C of the condition vector.
        options: Of that denoiser.

    Raises:
        ConfigurationError: An unknown name, or sizes that the network cannot have.
    """
    require_known('Unknown denoiser.', 'denoiser', name, DENOISERS)
    network: nn.Module = DENOISERS[name](horizon, channels, condition, **options)
    return network


def bind(network: nn.Module, condition: Tensor) -> Denoise:
    """Return the network with its conditions [B, C], as `sampling` wants it."""
    def denoise(x: Tensor, time: float) -> Tensor:
        out: Tensor = network(x, torch.full((1,), time, dtype=x.dtype, device=x.device), condition)
        return out
    return denoise
