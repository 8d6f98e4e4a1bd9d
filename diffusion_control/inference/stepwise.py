# SPDX-License-Identifier: Apache-2.0
"""Run a sampler row by row until its table or the time has ended.

The graph is the same as for a whole run, with one row of each per-step input at a time; what the
card calls its state is carried from the outputs of one row to the inputs of the next. After every
row there is a clean estimate to return, so a deadline costs quality, not the plan.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from diffusion_control.diffusion.anytime import take_until
from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.protocol import Sampler
from diffusion_control.inference.tensor import Array

Clock = Callable[[], float]
Amend = Callable[[dict[str, Array], int], dict[str, Array]]


@dataclass(frozen=True)
class Stepwise:
    """The outcome of a run row by row.

    Attributes:
        outputs: Of the last row that was run, by name.
        evaluations: Rows that were run, at least 1.
        rows: Rows of the table.
        longest_s: The longest single evaluation so far, the given one included [s].
    """

    outputs: dict[str, Array]
    evaluations: int
    rows: int
    longest_s: float

    @property
    def finished(self) -> bool:
        """Return whether the whole table was run."""
        return self.evaluations == self.rows


def run_stepwise(
    sampler: Sampler, inputs: Mapping[str, Array], *, until_s: float = math.inf,
    clock: Clock = time.monotonic, longest_s: float = 0.0, amend: Amend | None = None,
) -> Stepwise:
    """Run row after row while one more evaluation still fits.

    The first row is always run. A further one is run if the time now plus the longest evaluation
    so far is not after `until_s`.

    Args:
        sampler: Its card names a state.
        inputs: As for a whole run; the length of the per-step ones is the number of rows.
        until_s: When the result is needed, a reading of `clock` [s].
        clock: Steady time [s].
        longest_s: What one evaluation is known to take, from earlier runs [s].
        amend: Given the outputs of a row and its number, returns better ones (guidance by a
            compiled kernel, see `diffusion.sampling.amended`).

    Raises:
        ConfigurationError: The card names no state or no per-step input; wrong inputs.
    """
    card = sampler.card
    per_step = [name for name, tensor in card.inputs.items() if tensor.per_step]
    if not card.state or not per_step:
        raise ConfigurationError(
            'this model cannot run step by step', where='card.json: state',
            value=dict(card.state), allowed='an input -> output, and an input with first axis K',
            remedy='export it with its state, or run it as a whole')
    rows = _rows(inputs, per_step)
    taken = take_until(
        _results(sampler, inputs, per_step, rows, amend), until_s, clock, longest_s)
    return Stepwise(taken.last, taken.evaluations, rows, taken.longest_s)


def _results(
    sampler: Sampler, inputs: Mapping[str, Array], per_step: list[str], rows: int,
    amend: Amend | None,
) -> Iterator[dict[str, Array]]:
    """Yield the outputs of one row after the other."""
    current = dict(inputs)
    for row in range(rows):
        current |= {name: inputs[name][row:row + 1] for name in per_step}
        outputs = sampler.run(current, 1)
        if amend is not None:
            outputs = amend(outputs, row)
        yield outputs
        current |= {name: outputs[source] for name, source in sampler.card.state.items()}


def _rows(inputs: Mapping[str, Array], per_step: list[str]) -> int:
    """Return the common length of the per-step inputs."""
    lengths = {name: len(inputs[name]) for name in per_step
               if name in inputs and np.ndim(inputs[name]) > 0}
    if len(lengths) < len(per_step) or len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ConfigurationError(
            'the per-step inputs have no common number of rows', where='run_stepwise: inputs',
            value=lengths, allowed=f'{", ".join(per_step)}, with one length >= 1')
    return next(iter(lengths.values()))
