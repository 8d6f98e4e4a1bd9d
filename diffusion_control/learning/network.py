# SPDX-License-Identifier: Apache-2.0
"""The network of a learned arm planner: condition encoder and denoiser, built from settings."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from diffusion_control.diffusion.conditioning import ConditionEncoder, ConditionSpec
from diffusion_control.diffusion.denoisers import DENOISERS, make_denoiser
from diffusion_control.learning.settings import TrainSettings


class ConditionalDenoiser(nn.Module):
    """A denoiser of codes that is told a question; a regression is told nothing else.

    Args:
        settings: Sizes and kind.
        lengths: Of the inputs `state`, `goal` and `obstacles`.
        horizon: Free control points F.
        channels: Joints n.
    """

    def __init__(
        self, settings: TrainSettings, lengths: Mapping[str, int], horizon: int, channels: int
    ) -> None:
        super().__init__()
        self.regression = settings.regression
        self.encoder = ConditionEncoder(
            ConditionSpec(state=lengths['state'], goal=lengths['goal'],
                          obstacle=lengths['obstacles'], droppable=()), settings.condition)
        sizes = {'width': settings.width, 'depth': settings.depth}
        taken = inspect.signature(DENOISERS.get(settings.denoiser, make_denoiser)).parameters
        self.denoiser = make_denoiser(
            settings.denoiser, horizon, channels, settings.condition,
            **{name: size for name, size in sizes.items() if name in taken})

    def forward(
        self, code: Tensor, time: Tensor, inputs: Mapping[str, Tensor], repeats: int
    ) -> Tensor:
        """Return the output [B r, F, n] for codes [B r, F, n], r next to each other a question."""
        if self.regression:
            code, time = torch.zeros_like(code), torch.zeros_like(time)
        condition = self.encoder(inputs).repeat_interleave(repeats, 0)
        result: Tensor = self.denoiser(code, time, condition)
        return result


def make_network(
    settings: TrainSettings, lengths: Mapping[str, int], horizon: int, channels: int
) -> ConditionalDenoiser:
    """Return the network with the random weights of the settings' seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return ConditionalDenoiser(settings, lengths, horizon, channels)
