# SPDX-License-Identifier: Apache-2.0
"""The EDM schedule: nothing is scaled down (alpha = 1), noise up to sigma_max.

    sigma(u) = (sigma_min^(1/rho) + u (sigma_max^(1/rho) - sigma_min^(1/rho)))^rho,  u in [0, 1],

the points are equidistant in u, from `start` to 0 and then the clean end. The network is told
1000 c_noise, c_noise = ln(sigma) / 4 (1000 so that one time embedding serves all schedules).
Training draws ln(sigma) ~ N(-1.2, 1.2^2).

Original: T. Karras, M. Aittala, T. Aila, S. Laine, "Elucidating the Design Space of
Diffusion-Based Generative Models", NeurIPS 2022 (eq. 5, table 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array = NDArray[np.float64]
TIME_PER_LOG_SIGMA = 250.0


@dataclass(frozen=True)
class EdmSchedule:
    """Noise scales in units of the data.

    Attributes:
        sigma_min: The last noise scale before the clean end.
        sigma_max: The first one.
        rho: How much the points crowd at low noise.
        log_mean: Mean of ln(sigma) in training.
        log_deviation: Its standard deviation.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    log_mean: float = -1.2
    log_deviation: float = 1.2
    name: str = 'edm'

    def __post_init__(self) -> None:
        if not 0.0 < self.sigma_min < self.sigma_max:
            raise ConfigurationError(
                'The noise scales of the EDM schedule must rise.', where='sigma_min',
                value=(self.sigma_min, self.sigma_max), allowed='0 < sigma_min < sigma_max')

    def scales(self, time: Array) -> tuple[Array, Array]:
        """Return alpha = 1 and sigma = exp(time / 250)."""
        sigma = np.exp(np.asarray(time, dtype=np.float64) / TIME_PER_LOG_SIGMA)
        return np.ones_like(sigma), sigma

    def times(self, count: int, start: float) -> Array:
        """Return `count` times of falling noise from the share `start` of the ramp."""
        low, high = self.sigma_min ** (1.0 / self.rho), self.sigma_max ** (1.0 / self.rho)
        u = np.linspace(start, 0.0, count)
        times: Array = TIME_PER_LOG_SIGMA * self.rho * np.log(low + u * (high - low))
        return times

    def training_times(self, generator: np.random.Generator, count: int) -> Array:
        """Return times whose noise scales are log-normal."""
        return TIME_PER_LOG_SIGMA * generator.normal(self.log_mean, self.log_deviation, count)

    def scale(self, alpha: Array) -> Array:
        """Return 1: paths are straight in x over sigma."""
        return np.ones_like(alpha)
