# SPDX-License-Identifier: Apache-2.0
"""Noise levels: at level i a noised motion is x_i = alpha_i x0 + sigma_i e, e ~ N(0, I).

A schedule maps a time (what the network is told) to the pair (alpha, sigma), and selects the
points that a sampler visits, from a start level to the clean end (alpha = 1, sigma = 0). Every
forward process in use is such a pair: variance preserving (alpha^2 + sigma^2 = 1), variance
exploding (alpha = 1) and flow matching (alpha = 1 - t, sigma = t).

Original: D. Kingma, T. Salimans, B. Poole, J. Ho, "Variational Diffusion Models", NeurIPS 2021
(section 3.1: the pair).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Levels:
    """K points in order of falling noise, and the clean end behind them.

    Attributes:
        time: What the network is told at each point, shape [K].
        alpha: Signal scales, shape [K + 1], the last is 1.
        sigma: Noise scales, shape [K + 1], the last is 0.
        scale: Second-order steps run straight in x / scale, shape [K + 1]: alpha for the
            variance-preserving processes, 1 where paths are straight already.
    """

    time: Array
    alpha: Array
    sigma: Array
    scale: Array

    def __post_init__(self) -> None:
        if len(self.time) < 1 or len(self.alpha) != len(self.time) + 1:
            raise ConfigurationError(
                'Noise levels need one network evaluation or more and a clean end.',
                where='levels', value=len(self.time), allowed='>= 1')
        with np.errstate(divide='ignore'):
            ratio = self.sigma / self.alpha
        if not (np.all(ratio[1:] < ratio[:-1]) and self.sigma[-1] == 0.0):
            raise ConfigurationError(
                'Noise levels must fall strictly to the clean end.', where='levels',
                value=[float(value) for value in ratio],
                remedy='ask for fewer steps, or start at a higher level')


class Schedule(Protocol):
    """A forward process and the points that a sampler visits."""

    name: str

    def scales(self, time: Array) -> tuple[Array, Array]:
        """Return alpha and sigma at the given times, shape as `time`."""
        ...

    def times(self, count: int, start: float) -> Array:
        """Return `count` times of falling noise; `start` in (0, 1] says how noisy the first is."""
        ...

    def training_times(self, generator: np.random.Generator, count: int) -> Array:
        """Return random times to train at, shape [count]."""
        ...

    def scale(self, alpha: Array) -> Array:
        """Return what second-order steps divide x by, shape as `alpha`."""
        ...


def at_times(schedule: Schedule, time: Array) -> Levels:
    """Return the levels at chosen (for instance optimised) times of falling noise."""
    time = np.asarray(time, dtype=np.float64)
    alpha, sigma = schedule.scales(time)
    alpha, sigma = np.append(alpha, 1.0), np.append(sigma, 0.0)
    return Levels(time, alpha, sigma, schedule.scale(alpha))


def select(schedule: Schedule, count: int, start: float = 1.0) -> Levels:
    """Return `count` levels from the start level to the clean end.

    Args:
        schedule: The forward process.
        count: Number of points K at which the sampler evaluates the network, at least 1.
        start: Share of the noise schedule that is run, in (0, 1]: 1 starts from pure noise, less
            is truncation, for a chain that starts from something better than noise.

    Raises:
        ConfigurationError: A count below 1, a start outside (0, 1], or more points than the
            schedule has.
    """
    if count < 1:
        raise ConfigurationError(
            'A sampler needs one network evaluation or more.', where='num_inference_steps',
            value=count, allowed='>= 1')
    if not 0.0 < start <= 1.0:
        raise ConfigurationError(
            'The start level is a share of the noise schedule.', where='warm_start_level',
            value=start, allowed='(0, 1]')
    return at_times(schedule, schedule.times(count, start))
