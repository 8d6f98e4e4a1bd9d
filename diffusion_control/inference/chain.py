# SPDX-License-Identifier: Apache-2.0
"""A denoising run of a planner's model: from noise or from a plan, whole or against a deadline."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.diffusion import sampling
from diffusion_control.diffusion.anytime import affordable
from diffusion_control.diffusion.inpainting import Known
from diffusion_control.diffusion.table import ALPHA
from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.protocol import Sampler
from diffusion_control.inference.stepwise import Clock, run_stepwise
from diffusion_control.inference.tables import rows32, table_of
from diffusion_control.inference.tensor import Array

Array32 = NDArray[np.float32]
Improve = Callable[[Array32], Array32]
"""From clean estimates [B, H, D] to better ones."""
Watch = Callable[[Array32, Array32, float, float], None]
"""Is shown x [B, H, D] and its clean estimate at (alpha, sigma) of every evaluation."""
Held = tuple[Array32, Array32]
"""Mask, 1 where a value is known, and the values, shape [B, H, D] each."""
Move = Callable[[Array32, Array32, float], Array32]
"""From x before and after an evaluation, and the share of the run that is done, to another x."""
UNBOUNDED, FORGET = 1e6, 0.9
MOTION = ('x', 'base', 'clean')


@dataclass(frozen=True)
class Run:
    """What a run gave.

    Attributes:
        clean: Clean motions, shape [B, H, D].
        evaluations: Of the network, for each motion of the batch.
    """

    clean: Array32
    evaluations: int


class DenoisingChain:
    """A sampler whose card says how it was trained, ready to be asked.

    Attributes:
        longest_s: The longest evaluation of late, which deadlines reckon with [s].
    """

    def __init__(self, sampler: Sampler, *, clock: Clock = time.monotonic) -> None:
        missing = [name for name in (*MOTION, 'table', 'fresh_noise', 'mask', 'known')
                   if name not in sampler.card.inputs]
        if missing:
            raise ConfigurationError(
                'the model is no sampler of motions', where='card.json: inputs', value=missing,
                allowed='inputs as in docs/diffusion.md', remedy='export the model again')
        self.sampler, self.card, self.clock = sampler, sampler.card, clock
        table_of(self.card, 1)
        self.longest_s = 0.0

    def run(
        self, conditions: Mapping[str, Array], noise: Array32, evaluations: int, *,
        start: float = 1.0, plan: Array32 | None = None, improve: Improve | None = None,
        until_s: float = math.inf, held: Held | None = None, move: Move | None = None,
        watch: Watch | None = None,
    ) -> Run:
        """Return motions after at most so many evaluations, at least one.

        Without deadline and `improve` the whole run is one call of the graph. Against a deadline
        no more evaluations are tabulated than fit, and none is begun that would be late.

        Args:
            conditions: Inputs of the model beside those of the sampler.
            noise: Standard normal, shape [B, H, D].
            evaluations: Of a run without deadline.
            start: Level to start from, in (0, 1].
            plan: Motions to start from, shape [B, H, D]; None = pure noise.
            improve: Applied to the clean estimates between the evaluations, not after the last.
            until_s: When the motions are needed, a reading of the clock [s].
            held: What the motions must have.
            move: Applied to the moves of x.
            watch: Is shown every evaluation, which is then a call of its own.
        """
        if math.isfinite(until_s) and self.longest_s > 0.0:
            evaluations = affordable(until_s - self.clock(), self.longest_s, evaluations)
        known = None if held is None else Known(*held)
        table = table_of(self.card, evaluations, start=start)
        rows = rows32(table)
        inputs = {**conditions, **self._inputs(
            table.alpha, table.sigma, noise, plan, known),
                  'table': rows,
                  'fresh_noise': np.zeros((evaluations, *noise.shape), np.float32)}
        if improve is None and move is None and watch is None and math.isinf(until_s):
            outputs = self.sampler.run(inputs, evaluations)
            return Run(outputs['clean_out'], evaluations)

        before = inputs['x']

        def amend(outputs: dict[str, Array], row: int) -> dict[str, Array]:
            nonlocal before
            if watch is not None:
                watch(before, outputs['clean_out'], *rows[row, ALPHA:].tolist())
            after, last = _state(outputs), row == evaluations - 1
            if improve is not None and not last:
                clean = improve(after.clean)
                after = sampling.amended(
                    after, rows[row], clean if known is None else known.held(clean))
            if move is not None:
                x = move(before, after.x, (row + 1) / evaluations)
                x = x if known is None or not last else known.held(x)
                after = sampling.State(x, x, x if last else after.clean)
            before = after.x
            return {**outputs, 'x_out': after.x, 'base_out': after.base, 'clean_out': after.clean}

        done = run_stepwise(
            self.sampler, inputs, until_s=until_s, clock=self.clock,
            longest_s=FORGET * self.longest_s, amend=amend)
        self.longest_s = done.longest_s
        return Run(done.outputs['clean_out'], done.evaluations)

    def _inputs(
        self, alpha: float, sigma: float, noise: Array32, plan: Array32 | None,
        known: Known | None,
    ) -> dict[str, Array]:
        """Return the state that a run begins with, and what is known."""
        state = sampling.begin(np.float32(alpha), np.float32(sigma), noise, plan, known)
        nothing = np.zeros_like(noise)
        return {
            'x': state.x, 'base': state.base, 'clean': state.clean,
            'mask': nothing if known is None else known.mask,
            'known': nothing if known is None else known.values,
            'clip_bound': np.full(1, UNBOUNDED, np.float32)}


def _state(outputs: Mapping[str, Array]) -> sampling.State:
    """Return the state in the outputs of a step."""
    return sampling.State(*(outputs[f'{name}_out'] for name in MOTION))
