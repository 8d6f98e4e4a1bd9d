# SPDX-License-Identifier: Apache-2.0
"""Starting the chain from the previous plan instead of noise.

The previous plan is shifted by the time that has passed and noised to the level at which the table
starts, x = alpha plan + sigma noise (`sampling.begin`); so a table that is tabulated from a start
level below 1, with few evaluations, refines it. Noise of low level keeps the plan's way round the
obstacles, noise of high level may find another one.

Original: M. Janner et al., "Planning with Diffusion for Flexible Behavior Synthesis", ICML 2022
(section 5.4, warm-starting); the noise-then-denoise idea: C. Meng et al., "SDEdit: Guided Image
Synthesis and Editing with Stochastic Differential Equations", ICLR 2022.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array = NDArray[np.floating]


def shift_knots(plan: Array, elapsed_s: float, knot_s: float) -> Array:
    """Return a plan as seen `elapsed_s` later, with its last knot held at the end.

    Knot i of the result is the plan at time i knot_s + elapsed_s, linear between knots.

    Args:
        plan: Shape [..., H, D].
        elapsed_s: Time since the plan's first knot [s], at least 0.
        knot_s: Time between knots [s].

    Raises:
        ConfigurationError: A negative time, or no time between knots.
    """
    if not (elapsed_s >= 0.0 and knot_s > 0.0):
        raise ConfigurationError(
            'A plan is shifted forward in time only.', where='elapsed_s',
            value=(elapsed_s, knot_s), allowed='elapsed_s >= 0, knot_s > 0')
    last = plan.shape[-2] - 1
    at = np.minimum(np.arange(last + 1) + elapsed_s / knot_s, last)
    before = np.minimum(np.floor(at).astype(np.int64), max(last - 1, 0))
    share = (at - before)[:, None].astype(plan.dtype)
    after = np.minimum(before + 1, last)
    shifted: Array = (1 - share) * plan[..., before, :] + share * plan[..., after, :]
    return shifted


def candidates(plan: Array, count: int) -> Array:
    """Return one plan [H, D] or several [P, H, D] repeated to `count` starts [count, H, D]."""
    several = plan if plan.ndim == 3 else plan[None]
    return several[np.arange(count) % len(several)]
