# SPDX-License-Identifier: Apache-2.0
"""Variance-preserving schedules over T discrete steps: linear and cosine.

With b_t the variance added at step t, abar_t = prod_{s <= t} (1 - b_s), alpha = sqrt(abar),
sigma = sqrt(1 - abar). The network is told the step t in 0 .. T - 1.

    linear   b_t from 1e-4 to 0.02
    cosine   abar at u = t / T is cos^2((u + s) / (1 + s) pi / 2) / (its value at 0), s = 0.008,
             and b_t at most 0.999

Original: J. Ho, A. Jain, P. Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020
(eq. 4, section 4); A. Nichol, P. Dhariwal, "Improved Denoising Diffusion Probabilistic Models",
ICML 2021 (eq. 17). The spacings are those of S. Lin, B. Liu, J. Li, X. Yang, "Common Diffusion
Noise Schedules and Sample Steps Are Flawed", WACV 2024 (table 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError, require_known

Array = NDArray[np.float64]
STEPS = 1000
SPACINGS = ('trailing', 'leading', 'linspace')


@dataclass(frozen=True)
class DiscreteSchedule:
    """A variance-preserving process that is known at T steps.

    Attributes:
        name: Of the schedule.
        signal: abar, the share of signal power, falling, shape [T].
        spacing: Which steps a short run visits: 'trailing' begins at the noisiest step,
            'leading' ends at step 0, 'linspace' does both.
    """

    name: str
    signal: Array
    spacing: str = 'trailing'

    def __post_init__(self) -> None:
        require_known('Unknown spacing of the steps.', 'spacing', self.spacing, SPACINGS)

    def scales(self, time: Array) -> tuple[Array, Array]:
        """Return alpha and sigma at integer steps.

        Raises:
            ConfigurationError: A step that is not an integer in 0 .. T - 1.
        """
        step = np.asarray(time, dtype=np.float64)
        index = np.rint(step).astype(np.int64)
        if np.any(index != step) or index.min() < 0 or index.max() >= len(self.signal):
            raise ConfigurationError(
                'A discrete schedule is known at its steps only.', where='time',
                value=step.tolist(), allowed=f'integers in 0 .. {len(self.signal) - 1}')
        signal = self.signal[index]
        return np.sqrt(signal), np.sqrt(1.0 - signal)

    def times(self, count: int, start: float) -> Array:
        """Return `count` steps, falling, from the share `start` of the schedule.

        Raises:
            ConfigurationError: More points than there are steps.
        """
        steps = round(start * len(self.signal))
        if steps < count:
            raise ConfigurationError(
                'More evaluations than steps of the noise schedule.',
                where='num_inference_steps', value=count, allowed=f'1 .. {steps}',
                remedy='ask for fewer evaluations or start at a higher level')
        index = np.arange(count, dtype=np.float64)
        times: Array = np.rint(np.linspace(steps - 1.0, 0.0, count))
        if self.spacing == 'trailing':
            times = np.rint(steps - index * (steps / count)) - 1.0
        elif self.spacing == 'leading':
            times = index[::-1] * float(steps // count)
        return times

    def training_times(self, generator: np.random.Generator, count: int) -> Array:
        """Return steps drawn uniformly."""
        return generator.integers(0, len(self.signal), count).astype(np.float64)

    def scale(self, alpha: Array) -> Array:
        """Return alpha: second-order steps run in x / alpha over sigma / alpha."""
        return alpha.copy()


def linear_schedule(
    first: float = 1e-4, last: float = 0.02, steps: int = STEPS, spacing: str = 'trailing'
) -> DiscreteSchedule:
    """Return the schedule of DDPM: variances from `first` to `last` in `steps` equal strides."""
    signal = np.cumprod(1.0 - np.linspace(first, last, steps), dtype=np.float64)
    return DiscreteSchedule('linear', signal, spacing)


def cosine_schedule(
    offset: float = 0.008, steps: int = STEPS, largest: float = 0.999, spacing: str = 'trailing'
) -> DiscreteSchedule:
    """Return the cosine schedule; `largest` caps the variance that one step adds."""
    u = np.arange(steps + 1) / steps
    signal = np.cos((u + offset) / (1.0 + offset) * np.pi / 2.0) ** 2
    added = np.minimum(1.0 - signal[1:] / signal[:-1], largest)
    return DiscreteSchedule('cosine', np.cumprod(1.0 - added), spacing)
