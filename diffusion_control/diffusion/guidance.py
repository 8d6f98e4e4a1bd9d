# SPDX-License-Identifier: Apache-2.0
"""Guidance: steering the clean estimate by a cost, and the network by its condition.

Cost guidance moves the clean estimate down a gradient whose norm is capped per motion,

    x0 <- x0 - strength g min(1, cap / |g|),     g = (1 - mask) grad cost(x0),

so that no cost, however steep, throws a motion further than strength * cap, and known values do
not move (they are also written back afterwards, see `inpainting`). Classifier-free guidance mixes
two outputs of one network,

    out = out_0 + w (out_c - out_0),

out_0 without the condition: w = 0 is the unconditional law, 1 the conditional one.

Original: P. Dhariwal, A. Nichol, "Diffusion Models Beat GANs on Image Synthesis", NeurIPS 2021
(section 4); M. Janner et al., ICML 2022 (algorithm 1: a return as the classifier); J. Ho,
T. Salimans, "Classifier-Free Diffusion Guidance", NeurIPS 2021 workshop, arXiv:2207.12598 (eq. 6,
there with w + 1 for w); on the clean estimate: H. Chung et al., "Diffusion Posterior Sampling for
General Noisy Inverse Problems", ICLR 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diffusion_control.diffusion.inpainting import Known
from diffusion_control.diffusion.sampling import Denoise
from diffusion_control.errors import ConfigurationError

Array = Any  # of numpy or of torch
TINY = 1e-12  # a least value, not an addend: torch's exporter takes an addend below 1e-8 for 0


def capped(gradient: Array, cap: Any) -> Array:
    """Return a gradient [B, H, D] whose norm over each motion is at most `cap`."""
    square = (gradient * gradient).sum(-1).sum(-1)[..., None, None]
    norm = square.clip(min=TINY) ** 0.5
    return gradient * (cap / norm).clip(max=1.0)


@dataclass(frozen=True)
class CostGuide:
    """Steps down a cost on every clean estimate.

    Attributes:
        gradient: Of the cost, from [B, H, D] to [B, H, D].
        strength: Step length per unit of gradient; 0 switches guidance off.
        cap: Largest norm of the gradient of one motion, above 0.
        known: Values that guidance leaves alone.
        repeats: Steps per evaluation of the network.
    """

    gradient: Callable[[Array], Array]
    strength: Any = 1.0
    cap: Any = 1.0
    known: Known | None = None
    repeats: int = 1

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ConfigurationError(
                'Guidance takes one step or more per evaluation.', where='repeats',
                value=self.repeats, allowed='>= 1')

    def __call__(self, clean: Array, factor: Any) -> Array:
        """Return the improved clean estimate; `factor` is that of the table's row."""
        for _ in range(self.repeats):
            slope = self.gradient(clean)
            if self.known is not None:
                slope = self.known.free(slope)
            clean = clean - (factor * self.strength) * capped(slope, self.cap)
        return clean


@dataclass(frozen=True)
class ClipGuide:
    """Keeps the clean estimate within +- bound, then goes on to another guide if there is one.

    Where little signal is left (alpha small) an epsilon network's errors are divided by alpha, so
    that the estimate needs bounds: C. Saharia et al., "Photorealistic Text-to-Image Diffusion
    Models with Deep Language Understanding", NeurIPS 2022 (section 2.3, static thresholding).
    """

    bound: Any
    then: Callable[[Array, Any], Array] | None = None

    def __call__(self, clean: Array, factor: Any) -> Array:
        """Return the bounded clean estimate."""
        clean = clean.clip(-self.bound, self.bound)
        return clean if self.then is None else self.then(clean, factor)


def classifier_free(conditional: Denoise, unconditional: Denoise, scale: Any) -> Denoise:
    """Return the network whose condition counts `scale` times."""
    def mixed(x: Array, time: Any) -> Array:
        without = unconditional(x, time)
        return without + scale * (conditional(x, time) - without)
    return mixed
