# SPDX-License-Identifier: Apache-2.0
"""The reverse steps of one plan, kept and put into numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.explain.question import LEAST_STEPS, Question
from diffusion_control.planners.trace import Denoised

Array = NDArray[np.float64]
STEPS = 'num_inference_steps'
MOTIONS = 'motions'
NO_TRACE = 'this planner shows no reverse steps'


@dataclass(frozen=True)
class Trace:
    """The steps of one plan.

    Attributes:
        steps: In the order in which they were made.
        noised: Places of the tool (or the base) of each step's noised motions, [K][M, S, 3] [m].
        clean: The same of its clean estimates.
    """

    steps: tuple[Denoised, ...]
    noised: tuple[Array, ...]
    clean: tuple[Array, ...]

    def score_norms(self) -> Array:
        """Return sigma |score| of each knot, averaged over the motions, shape [K, F].

        Of several parts it is the last one's.
        """
        return np.array([step.knot_norms.mean(0) for step in self.steps
                         if step.part == self.steps[-1].part])

    def title(self, index: int) -> str:
        """Return what step `index` is called."""
        step = self.steps[index]
        same = [k for k, other in enumerate(self.steps) if other.part == step.part]
        part = f'{step.part}: ' if step.part else ''
        return f'{part}step {same.index(index) + 1} of {len(same)}, noise {step.sigma:.2f}'

    def as_list(self) -> list[dict[str, Any]]:
        """Return each step in numbers."""
        return [{
            'step': k + 1, 'part': step.part or MOTIONS, 'sigma': step.sigma,
            'motions': len(step.clean),
            'score_norm_knots': step.knot_norms.mean(0).tolist(),
            'score_norm_knots_max': step.knot_norms.max(0).tolist(),
            'spread_m': _spread_m(self.clean[k]),
            'noise_m': float(np.linalg.norm(self.noised[k] - self.clean[k], axis=2).mean()),
        } for k, step in enumerate(self.steps)]


def traced(question: Question, steps: int | None) -> Trace | None:
    """Return the reverse steps of a plan; None for a planner that denoises nothing."""
    if not question.watched or STEPS not in question.values:
        return None
    count = steps or max(LEAST_STEPS, question.values[STEPS])
    seen: list[Denoised] = []
    question.plan(observer=seen.append, num_inference_steps=count)
    first = _first_runs(seen)
    return Trace(
        first, tuple(_places(question, step.noised) for step in first),
        tuple(_places(question, step.clean) for step in first)) if first else None


def _first_runs(seen: list[Denoised]) -> tuple[Denoised, ...]:
    """Return the steps of the first run of each part; noise falls within a run."""
    runs: list[list[Denoised]] = []
    for step in seen:
        last = runs[-1][-1] if runs else None
        if last is None or step.part != last.part or step.sigma > 1.001 * last.sigma:
            runs.append([])
        runs[-1].append(step)
    first: dict[str, list[Denoised]] = {}
    for run in runs:
        first.setdefault(run[0].part, run)
    return tuple(step for run in first.values() for step in run)


def _places(question: Question, motions: Array) -> Array:
    """Return the places of the tool along motions [M, S, n], shape [M, S, 3]."""
    rows = motions.reshape(-1, motions.shape[-1])
    return np.asarray(question.robot.tool_positions(rows)).reshape(*motions.shape[:2], 3)


def _spread_m(places: Array) -> float:
    """Return the mean distance of the motions from their mean [m]."""
    return float(np.linalg.norm(places - places.mean(0), axis=2).mean())
