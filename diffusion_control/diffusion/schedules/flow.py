# SPDX-License-Identifier: Apache-2.0
"""Flow matching: straight lines from data to noise, alpha = 1 - t, sigma = t, t in [0, 1].

The points are t_i = start (1 - i / K), bent by `shift`: t <- s t / (1 + (s - 1) t), where s > 1
spends more of them at high noise. The network is told 1000 t.

Original: Y. Lipman, R. Chen, H. Ben-Hamu, M. Nickel, M. Le, "Flow Matching for Generative
Modeling", ICLR 2023 (eq. 20-22, with t reversed); X. Liu, C. Gong, Q. Liu, "Flow Straight and
Fast", ICLR 2023; the shift: P. Esser et al., "Scaling Rectified Flow Transformers for
High-Resolution Image Synthesis", ICML 2024 (eq. 23), and the log-normal training times (eq. 19).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array = NDArray[np.float64]
TIME_PER_T = 1000.0


@dataclass(frozen=True)
class FlowSchedule:
    """Linear interpolation between data and noise.

    Attributes:
        shift: s above; 1 leaves the points equidistant.
        logit_deviation: Training times are t = 1 / (1 + exp(-n)), n ~ N(0, this^2); 0 draws them
            uniformly.
        noise_share: Share of the training times that are t = 1, pure noise, where every run
            without a warm start begins.
    """

    shift: float = 1.0
    logit_deviation: float = 0.0
    noise_share: float = 0.0
    name: str = 'flow'

    def __post_init__(self) -> None:
        if self.shift <= 0.0:
            raise ConfigurationError(
                'The shift of the flow times must be positive.', where='shift',
                value=self.shift, allowed='> 0')

    def scales(self, time: Array) -> tuple[Array, Array]:
        """Return alpha = 1 - t and sigma = t, t = time / 1000."""
        t = np.asarray(time, dtype=np.float64) / TIME_PER_T
        return 1.0 - t, t

    def times(self, count: int, start: float) -> Array:
        """Return `count` times, falling from `start`; the first is 1000 `start`."""
        first = start / (self.shift - (self.shift - 1.0) * start)  # the shift maps it to `start`
        t = first * (1.0 - np.arange(count) / count)
        return TIME_PER_T * self.shift * t / (1.0 + (self.shift - 1.0) * t)

    def training_times(self, generator: np.random.Generator, count: int) -> Array:
        """Return random times in (0, 1000]."""
        if self.logit_deviation == 0.0:
            time = TIME_PER_T * generator.uniform(1e-4, 1.0, count)
        else:
            normal = generator.normal(size=count)
            time = TIME_PER_T / (1.0 + np.exp(-self.logit_deviation * normal))
        if self.noise_share == 0.0:
            return time
        return np.where(generator.random(count) < self.noise_share, TIME_PER_T, time)

    def scale(self, alpha: Array) -> Array:
        """Return 1: paths are straight in x over t."""
        return np.ones_like(alpha)
