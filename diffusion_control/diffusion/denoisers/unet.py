# SPDX-License-Identifier: Apache-2.0
"""The U-Net over time that the temporal and the FiLM-conditioned denoiser share.

Levels of channels width * (1, 2, 4, ...) with two residual blocks each, halved in time between
them; the way up takes the features of the way down beside its own. A block is

    h = SiLU(GroupNorm(conv x)),   h = condition(h, e),   h = SiLU(GroupNorm(conv h)) + (1x1) x,

and the two denoisers differ in how the embedding e acts on h.

SiLU stands where the originals have Mish: half the time in ONNX Runtime, no loss that was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from diffusion_control.diffusion.denoisers.embedding import Embedding, require

GROUPS = 8


class ConvBlock(nn.Module):
    """A convolution over time, group normalisation, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.convolve = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
        self.normalise = nn.GroupNorm(min(GROUPS, outputs), outputs)
        self.activate = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return features [B, outputs, H] of features [B, inputs, H]."""
        features: Tensor = self.activate(self.normalise(self.convolve(x)))
        return features


class ResidualBlock(nn.Module):
    """Two convolutions with the condition between them."""

    def __init__(self, inputs: int, outputs: int, conditioner: nn.Module, kernel: int) -> None:
        super().__init__()
        self.first = ConvBlock(inputs, outputs, kernel)
        self.conditioner = conditioner
        self.second = ConvBlock(outputs, outputs, kernel)
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        """Return features [B, outputs, H]."""
        h = self.conditioner(self.first(x), embedded)
        result: Tensor = self.second(h) + self.skip(x)
        return result


class BlockPair(nn.Module):
    """The two residual blocks of a level."""

    def __init__(self, first: ResidualBlock, second: ResidualBlock) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        """Return features [B, outputs, H]."""
        result: Tensor = self.second(self.first(x, embedded), embedded)
        return result


class UNet(nn.Module):
    """A U-Net over time.

    Args:
        horizon: Knots H, a multiple of 2^(levels - 1).
        channels: Channels D of a motion.
        condition: Length of the condition vector.
        conditioner: Makes, from a width and a number of features, what conditions a block.
        width: Features of the first level, a multiple of 8.
        factors: Features of each level, in widths.
        kernel: Knots that a convolution sees, odd.
    """

    def __init__(
        self, horizon: int, channels: int, condition: int,
        conditioner: Callable[[int, int], nn.Module], width: int = 32,
        factors: Sequence[int] = (1, 2, 4), kernel: int = 5,
    ) -> None:
        super().__init__()
        stride = 2 ** (len(factors) - 1)
        require(horizon >= stride and horizon % stride == 0,
                'The horizon does not halve often enough for this U-Net.', 'horizon', horizon,
                f'multiples of {stride}')
        require(width % GROUPS == 0 and kernel % 2 == 1, 'The U-Net cannot have this width.',
                'width', (width, kernel), f'multiples of {GROUPS}, odd kernel')
        self.embedding = Embedding(condition, width)

        def pair(inputs: int, outputs: int) -> BlockPair:
            return BlockPair(
                ResidualBlock(inputs, outputs, conditioner(width, outputs), kernel),
                ResidualBlock(outputs, outputs, conditioner(width, outputs), kernel))

        sizes = [width * factor for factor in factors]
        self.down, self.halve = nn.ModuleList(), nn.ModuleList()
        self.up, self.stretch = nn.ModuleList(), nn.ModuleList()
        for i, (inputs, outputs) in enumerate(zip([channels, *sizes], sizes, strict=False)):
            self.down.append(pair(inputs, outputs))
            last = i == len(sizes) - 1
            self.halve.append(
                nn.Identity() if last else nn.Conv1d(outputs, outputs, 3, 2, 1))
        self.middle = pair(sizes[-1], sizes[-1])
        for inputs, outputs in zip(sizes[:0:-1], sizes[-2::-1], strict=True):
            self.up.append(pair(2 * inputs, outputs))
            self.stretch.append(nn.ConvTranspose1d(outputs, outputs, 4, 2, 1))
        self.last = ConvBlock(2 * sizes[0], sizes[0], kernel)
        self.out = nn.Conv1d(sizes[0], channels, 1)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return the output [B, H, D] at motions [B, H, D], times [B] or [1], condition [B, C]."""
        embedded = self.embedding(time, condition)
        h, kept = x.transpose(1, 2), []
        for pair, halve in zip(self.down, self.halve, strict=True):
            h = pair(h, embedded)
            kept.append(h)
            h = halve(h)
        h = self.middle(h, embedded)
        for pair, stretch in zip(self.up, self.stretch, strict=True):
            h = stretch(pair(torch.cat([h, kept.pop()], dim=1), embedded))
        h = self.out(self.last(torch.cat([h, kept.pop()], dim=1)))
        result: Tensor = h.transpose(1, 2)
        return result
