# SPDX-License-Identifier: Apache-2.0
"""A temporal U-Net that looks at a map where the noisy knots are.

The condition is a picture of the surroundings of the start, P channels of K x K cells with the
start's cell in the middle, followed by numbers. Convolutions make features of it; their summary
joins the condition, and at every noised knot they are read at its place, and the picture itself
also at eight places around it (bilinear). So walls act where a motion passes, whatever the size of
the map. Channels 0 and 1 of a motion are the place, `cells_per_unit` cells each, from the middle.

Original of the reading at places: M. Jaderberg et al., "Spatial Transformer Networks", NIPS 2015
(section 3.3); of the U-Net: see `temporal_unet`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffusion_control.diffusion.denoisers.embedding import require
from diffusion_control.diffusion.denoisers.temporal_unet import TemporalUNet

BESIDE_CELLS = 0.45
FEATURES, READ, SUMMARY, FACTORS = 24, 12, 96, (1, 2, 2)


class MapUNet(nn.Module):
    """The network.

    Args:
        horizon: Knots H of a motion.
        channels: Channels D of a knot.
        condition: Length C of the condition: P K K and the numbers.
        picture: P and K.
        cells_per_unit: Of the first two channels.
        width: Features of the U-Net's first level.
    """

    beside: Tensor

    def __init__(
        self, horizon: int, channels: int, condition: int, picture: tuple[int, int],
        cells_per_unit: float, width: int = 32,
    ) -> None:
        super().__init__()
        self.layers, self.side = picture
        self.numbers = condition - self.layers * self.side**2
        require(self.numbers >= 1, 'The condition is too short for its picture.', 'condition',
                condition, f'> {self.layers * self.side**2}')
        self.scale = cells_per_unit / (0.5 * self.side)
        self.features = nn.Sequential(
            nn.Conv2d(self.layers, FEATURES, 3, padding=1), nn.SiLU(),
            nn.Conv2d(FEATURES, FEATURES, 3, padding=1), nn.SiLU())
        self.read = nn.Conv2d(FEATURES, READ, 1)
        half = (self.side + 1) // 2
        self.summary = nn.Sequential(
            nn.Conv2d(FEATURES, FEATURES, 3, stride=2, padding=1), nn.SiLU(), nn.Flatten(),
            nn.Linear(FEATURES * half**2, SUMMARY), nn.SiLU())
        inputs = channels + READ + 8 * self.layers
        self.enter = nn.Linear(inputs, width)
        self.net = TemporalUNet(horizon, width, SUMMARY + self.numbers, width, FACTORS)
        self.leave = nn.Linear(width, channels)
        around = torch.tensor([[x, y] for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y])
        reach = BESIDE_CELLS / (0.5 * self.side)
        self.register_buffer('beside', reach * around.float(), persistent=False)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return the output [B, H, D] at motions [B, H, D], times [B] or [1], condition [B, C]."""
        batch, horizon, _ = x.shape
        pixels = self.layers * self.side**2
        picture = condition[:, :pixels].reshape(-1, self.layers, self.side, self.side)
        features = self.features(picture)
        places = (self.scale * x[..., :2]).clamp(-1.0, 1.0)
        here = _read(self.read(features), places[:, :, None])
        around = _read(picture, places[:, :, None] + self.beside)
        seen = torch.cat([x, here.reshape(batch, horizon, -1),
                          around.reshape(batch, horizon, -1)], dim=-1)
        told = torch.cat([self.summary(features), condition[:, pixels:]], dim=-1)
        hidden: Tensor = self.net(self.enter(seen), time, told)
        result: Tensor = self.leave(functional.silu(hidden))
        return result


def _read(image: Tensor, places: Tensor) -> Tensor:
    """Return an image [B, F, X, Y] at places x, y in [-1, 1] [B, H, M, 2], shape [B, H, M, F]."""
    read = functional.grid_sample(
        image, places.flip(-1), mode='bilinear', padding_mode='border', align_corners=False)
    return read.permute(0, 2, 3, 1)
