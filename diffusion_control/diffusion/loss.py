# SPDX-License-Identifier: Apache-2.0
"""The training loss: denoise a noised motion, whatever the network puts out.

At x = alpha x0 + sigma e with x0^ = c_x x + c_out out (see `prediction`), the loss is the mean of

    w |x0^ - x0|^2,

since every target is the x0 error divided by c_out: with w = 1 / c_out^2 (`output`) this is the
usual |e - out|^2, |v - out|^2 or |velocity - out|^2, and for edm the weight of its paper. Other
weights: `sample` (w = 1), `snr` (w = s, s = alpha^2 / sigma^2), `min_snr` (w = min(s, 5)),
`inverse` (w = 1 / (sigma + 0.1), which keeps some at pure noise, for runs of few evaluations).

Original: J. Ho et al., NeurIPS 2020 (eq. 14); T. Karras et al., NeurIPS 2022 (eq. 8);
T. Salimans, J. Ho, ICLR 2022 (section 4: weights as functions of the signal-to-noise ratio);
T. Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", ICCV 2023 (eq. 4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion_control.diffusion.levels import Schedule
from diffusion_control.diffusion.prediction import Prediction
from diffusion_control.errors import require_known

WEIGHTINGS = ('output', 'sample', 'snr', 'min_snr', 'inverse')
MIN_SNR, LEAST_SIGMA = 5.0, 0.1


@dataclass(frozen=True)
class DiffusionLoss:
    """What training minimises.

    Attributes:
        schedule: The forward process.
        prediction: What the network puts out.
        weighting: One of `WEIGHTINGS`.
        clean_input: Whether known values are shown to the network without noise.
        penalty: A differentiable cost of clean motions, from [B, H, D] to [B].
        penalty_weight: What it counts, times f + (1 - f) alpha^2 / (alpha^2 + sigma^2): the
            estimate at high noise is a mean of motions, which need not be good itself.
        penalty_floor: f in [0, 1]: what the penalty still counts at pure noise.
    """

    schedule: Schedule
    prediction: Prediction
    weighting: str = 'output'
    clean_input: bool = False
    penalty: Callable[[Tensor], Tensor] | None = None
    penalty_weight: float = 0.0
    penalty_floor: float = 0.0

    def __post_init__(self) -> None:
        require_known(
            'Unknown weighting of the loss.', 'weighting', self.weighting, WEIGHTINGS)

    def weight(self, alpha: NDArray[np.float64], sigma: NDArray[np.float64]
               ) -> NDArray[np.float64]:
        """Return w at each level."""
        if self.weighting == 'output':
            return 1.0 / self.prediction.read(alpha, sigma).c_out ** 2
        if self.weighting == 'sample':
            return np.ones_like(alpha)
        if self.weighting == 'inverse':
            return 1.0 / (sigma + LEAST_SIGMA)
        ratio = (alpha / sigma) ** 2
        return ratio if self.weighting == 'snr' else np.minimum(ratio, MIN_SNR)

    def __call__(
        self, denoise: Callable[[Tensor, Tensor], Tensor], motions: Tensor, noise: Tensor,
        time: NDArray[np.float64], mask: Tensor | None = None, importance: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            denoise: The network with its conditions, from (scaled x, time [B]).
            motions: Clean motions, shape [B, H, D].
            noise: Standard normal, same shape.
            time: Of each motion, shape [B], from `schedule.training_times`.
            mask: 1 where values are known and cost nothing, broadcasts to [B, H, D].
            importance: Weight of each value, broadcasts to [B, H, D].
        """
        alpha, sigma = self.schedule.scales(time)
        reading = self.prediction.read(alpha, sigma)

        def spread(numbers: NDArray[np.float64]) -> Tensor:
            return torch.as_tensor(numbers, dtype=motions.dtype, device=motions.device)[
                :, None, None]

        x = spread(alpha) * motions + spread(sigma) * noise
        seen = spread(reading.c_in) * x
        counted = torch.ones_like(motions) if importance is None else (
            importance * torch.ones_like(motions))
        if mask is not None:
            counted = (1.0 - mask) * counted
            if self.clean_input:
                seen = mask * motions + (1.0 - mask) * seen
        out = denoise(seen, spread(time)[:, 0, 0])
        clean = spread(reading.c_x) * x + spread(reading.c_out) * out
        if mask is not None:
            clean = mask * motions + (1.0 - mask) * clean
        squared = spread(self.weight(alpha, sigma)) * counted * (clean - motions) ** 2
        loss = squared.sum() / counted.sum().clamp(min=1.0)
        if self.penalty is not None:
            floor = self.penalty_floor
            share = floor + (1.0 - floor) * spread(alpha**2 / (alpha**2 + sigma**2))[:, 0, 0]
            loss = loss + self.penalty_weight * (share * self.penalty(clean)).mean()
        return loss
