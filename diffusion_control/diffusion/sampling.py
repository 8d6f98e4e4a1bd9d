# SPDX-License-Identifier: Apache-2.0
"""The one loop that runs every sampler, in numpy, in torch and inside an exported graph.

For each row of the table (see `table`), with out = denoise(c_in x, time):

    x0   <- c_x x + c_out out                     the clean estimate,
    x0   <- the known values in it, guide(x0), the known values again,
    x    <- a x + b x0 + c x0_before + d noise + e base,
    base <- base if the row keeps it, else the new x.

Written with + and * alone, so that the arrays may be numpy's or torch's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from diffusion_control.diffusion.inpainting import Known
from diffusion_control.diffusion.table import (
    ALPHA,
    C_IN,
    C_OUT,
    C_X,
    GUIDE,
    KEEP,
    SIGMA,
    TIME,
    A,
    B,
    C,
    D,
    E,
    Table,
)
from diffusion_control.errors import ConfigurationError

Array = Any  # of numpy or of torch, one kind per run
Denoise = Callable[[Array, Any], Array]
"""(scaled x [B, H, D], time) to the network's output [B, H, D]."""
Guide = Callable[[Array, Any], Array]
"""(clean estimate [B, H, D], factor of this evaluation) to a better clean estimate."""


@dataclass(frozen=True)
class State:
    """What one evaluation hands to the next, shape [B, H, D] each.

    Attributes:
        x: The noised motions.
        base: Where the present step began (for samplers of several evaluations a step).
        clean: The clean estimate of the evaluation before.
    """

    x: Array
    base: Array
    clean: Array


@dataclass(frozen=True)
class Estimate:
    """The best clean estimate so far.

    Attributes:
        clean: Shape [B, H, D].
        evaluations: How many network evaluations it took.
        complete: Whether the run came to its end.
    """

    clean: Array
    evaluations: int
    complete: bool


def begin(alpha: Any, sigma: Any, noise: Array, plan: Array | None = None,
          known: Known | None = None) -> State:
    """Return the state before the first evaluation.

    Args:
        alpha: Share of signal at the start level.
        sigma: Noise scale there.
        noise: Standard normal, shape [B, H, D].
        plan: Clean motions to start from (see `warm_start`); none starts from noise.
        known: Values that are known, as in `step`.
    """
    x = sigma * noise
    if plan is not None:
        x = alpha * plan + x
    if known is not None:
        x = known.noised(x, alpha, sigma, noise)
    return State(x, x, 0.0 * x)


def step(state: State, row: Sequence[Any] | Array, noise: Array, denoise: Denoise,
         guide: Guide | None = None, known: Known | None = None) -> State:
    """Return the state after one evaluation of the network.

    Args:
        state: The state before.
        row: One row of the table.
        noise: Standard normal, shape [B, H, D]; any finite value where the row draws none.
        denoise: The network with its conditions.
        guide: Improves the clean estimate.
        known: Values that are known; they override whatever the network and the guide say.
    """
    seen = row[C_IN] * state.x
    if known is not None:
        seen = known.shown(seen)
    clean = row[C_X] * state.x + row[C_OUT] * denoise(seen, row[TIME])
    if known is not None:
        clean = known.held(clean)  # so that costs see the true start of a motion
    if guide is not None:
        clean = guide(clean, row[GUIDE])
        clean = clean if known is None else known.held(clean)
    x = (row[A] * state.x + row[B] * clean + row[C] * state.clean + row[D] * noise
         + row[E] * state.base)
    return State(x, row[KEEP] * state.base + (1.0 - row[KEEP]) * x, clean)


def amended(after: State, row: Sequence[Any] | Array, clean: Array) -> State:
    """Return the state after an evaluation as if it had found another clean estimate.

    The move is linear in x0, so guidance may also be computed outside of an exported step, by a
    compiled kernel: x <- x + b (clean - x0). The caller holds the known values in `clean`.

    Args:
        after: The state after `step`.
        row: The row of the table that it was made with.
        clean: The better clean estimate, shape [B, H, D].
    """
    x = after.x + row[B] * (clean - after.clean)
    return State(x, row[KEEP] * after.base + (1.0 - row[KEEP]) * x, clean)


def run(denoise: Denoise, table: Table, noise: Array, *, fresh: Sequence[Array] | None = None,
        plan: Array | None = None, guide: Guide | None = None,
        known: Known | None = None) -> Iterator[Estimate]:
    """Yield the clean estimate after every evaluation; the last one is the sample.

    Args:
        denoise: The network with its conditions.
        table: The coefficients.
        noise: Standard normal that the run starts with, shape [B, H, D].
        fresh: Standard normal of each evaluation, K of shape [B, H, D]; needed by the samplers
            that draw noise.
        plan: Clean motions to start from.
        guide: Improves each clean estimate.
        known: Values that are known.

    Raises:
        ConfigurationError: A sampler that draws noise was given none, or too little.
    """
    if table.draws_noise and (fresh is None or len(fresh) < table.evaluations):
        raise ConfigurationError(
            'This sampler draws noise at every evaluation.', where='fresh',
            value=0 if fresh is None else len(fresh), allowed=f'>= {table.evaluations}',
            remedy='pass noise for every evaluation, or take a deterministic sampler')
    rows = table.rows.tolist()  # floats of Python leave the type of the motions as it is
    state = begin(rows[0][ALPHA], rows[0][SIGMA], noise, plan, known)
    for i, row in enumerate(rows):
        drawn = noise if fresh is None or row[D] == 0.0 else fresh[i]
        state = step(state, row, drawn, denoise, guide, known)
        yield Estimate(state.clean, i + 1, i + 1 == len(rows))


def sample(denoise: Denoise, table: Table, noise: Array, *,
           fresh: Sequence[Array] | None = None, plan: Array | None = None,
           guide: Guide | None = None, known: Known | None = None) -> Array:
    """Return the motions that the whole run ends at, shape [B, H, D]; arguments as for `run`."""
    estimates = run(denoise, table, noise, fresh=fresh, plan=plan, guide=guide, known=known)
    return deque(estimates, maxlen=1).pop().clean
