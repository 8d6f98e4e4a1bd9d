# SPDX-License-Identifier: Apache-2.0
"""Known values: the start, the goal, or the prefix that is already being executed.

With mask m (1 where a value is known, 0 where it is free), after every evaluation

    x0 <- m known + (1 - m) x0,

so the clean estimate is exact at every moment, and nothing that comes before it, guidance
included, moves a known value. Every sampler here is affine in (x, x0, noise) and maps
alpha x0 + sigma e to alpha' x0 + sigma' e' for a constant x0; so if the run starts from
alpha known + sigma e at the known values, x stays a properly noised known value by itself.

The network sees either this noised value or, like Diffuser, the clean one (`clean_input`): as it
was trained. A mask between 0 and 1 mixes: a prefix that fades out.

Original: A. Lugmayr et al., "RePaint: Inpainting using Denoising Diffusion Probabilistic Models",
CVPR 2022 (eq. 8: noised known values); M. Janner, Y. Du, J. Tenenbaum, S. Levine, "Planning with
Diffusion for Flexible Behavior Synthesis", ICML 2022 (section 3.3: clean ones); K. Black,
M. Galliker, S. Levine, "Real-Time Execution of Action Chunking Flow Policies", NeurIPS 2025 (the
frozen prefix).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array = Any  # of numpy or of torch


@dataclass(frozen=True)
class Known:
    """Values that the sample must have.

    Attributes:
        mask: 1 where known, 0 where free, shape [B, H, D] or one that broadcasts to it.
        values: The known values, same shape; finite everywhere.
        clean_input: Whether the network was trained to see known values without noise.
    """

    mask: Array
    values: Array
    clean_input: bool = False

    def held(self, clean: Array) -> Array:
        """Return the clean estimate with the known values in it."""
        return self.mask * self.values + (1.0 - self.mask) * clean

    def noised(self, x: Array, alpha: Any, sigma: Any, noise: Array) -> Array:
        """Return x with the known values in it, noised to the level (alpha, sigma)."""
        return self.mask * (alpha * self.values + sigma * noise) + (1.0 - self.mask) * x

    def shown(self, x: Array) -> Array:
        """Return what the network sees."""
        return self.held(x) if self.clean_input else x

    def free(self, gradient: Array) -> Array:
        """Return a gradient without its part at known values."""
        return (1.0 - self.mask) * gradient


def prefix_knots(delay_s: float, knot_s: float) -> int:
    """Return how many knots will have been passed when the plan arrives.

    Args:
        delay_s: Measured time from reading the state to using the plan [s].
        knot_s: Time between knots [s].

    Raises:
        ConfigurationError: A negative delay or no time between knots.
    """
    if not (delay_s >= 0.0 and knot_s > 0.0 and math.isfinite(delay_s)):
        raise ConfigurationError(
            'The frozen prefix needs a delay and the time between knots.', where='delay_s',
            value=(delay_s, knot_s), allowed='delay_s >= 0, knot_s > 0')
    return math.ceil(delay_s / knot_s - 1e-9) + 1  # the knot at the end of the delay, too


def prefix_mask(horizon: int, knots: int, fade: int = 0) -> NDArray[np.float32]:
    """Return the mask of a frozen prefix, shape [H, 1].

    Args:
        horizon: Number of knots H of a motion.
        knots: How many of them are frozen, at most H.
        fade: Over how many knots after that the mask falls linearly to 0.

    Raises:
        ConfigurationError: More knots than the motion has.
    """
    if not 0 <= knots <= horizon or fade < 0:
        raise ConfigurationError(
            'The frozen prefix is longer than the motion.', where='prefix', value=knots,
            allowed=f'0 .. {horizon}', remedy='plan further ahead or get faster')
    behind = np.arange(horizon) - knots + 1
    mask = np.clip(1.0 - behind / (fade + 1.0), 0.0, 1.0)
    return mask.astype(np.float32)[:, None]
