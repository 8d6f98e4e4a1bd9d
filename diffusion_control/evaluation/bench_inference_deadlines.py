# SPDX-License-Identifier: Apache-2.0
"""Deadlines: is the answer there in time, and is it worth more where there was more time.

The default diffuser is asked with each deadline D over the same unseen scenes, with a new seed
each time. A model of which a single evaluation takes more than D / 2 (p99) is refused for that D,
as at configure.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import stats

from diffusion_control import planners
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.bench_inference_setup import (
    PLANNER,
    Row,
    Setup,
    Task,
    percentiles,
)

DEADLINES_MS = (10, 20, 30, 50, 100)
IN_TIME_SHARE, MOST_DROP = 0.99, 0.02
CAP_S = 30.0
WARM_PLANS = 3
REFUSED = 'refused'


def plan_in_time(setup: Setup, task: Task) -> Row:
    """Return wall times, network evaluations, costs and successes, one entry a scene.

    The cost of an answer is minus the score of its best candidate, which is the duration of a
    free motion [s]; what is not free costs `CAP_S`.
    """
    deadline_s = int(task.name.removesuffix(' ms')) / 1000.0
    planner: Any = planners.make(PLANNER, robot=setup.robot, model=setup.model)
    try:
        planner.require_deadline(deadline_s)
    except ConfigurationError as error:
        return {'deadline_s': deadline_s, REFUSED: error.allowed}
    problems = [setup.question(task.seed + index) for index in range(task.amount)]
    for problem in problems[:WARM_PLANS]:
        planner.plan(problem)
    found: dict[str, list[Any]] = {
        name: [] for name in ('wall_s', 'cpu_s', 'evaluations', 'cost_s', 'success')}
    for index, problem in enumerate(problems):
        planner.reset(1000 * round(1000 * deadline_s) + index)
        began, thread = time.perf_counter(), time.thread_time()
        answer = planner.plan(problem, deadline_s)
        found['cpu_s'].append(time.thread_time() - thread)
        found['wall_s'].append(time.perf_counter() - began)
        found['evaluations'].append(answer.evaluations)
        found['cost_s'].append(min(-float(answer.scores[0]), CAP_S))
        found['success'].append(answer.best is not None)
    return {'deadline_s': deadline_s, **found, **percentiles(found['wall_s'], 'wall')}


def conditions(rows: Sequence[Row]) -> dict[str, bool]:
    """Return what has to hold of the deadlines, by name, and whether it does.

    For each D: p99 in time and one evaluation or more; refused ones have said their time. From
    each D to the next: the cost is not higher (the paired 95 % interval of the mean difference
    does not lie above 0), and success is not lower by more than 2 points.
    """
    held: dict[str, bool] = {}
    kept = sorted((row for row in rows if REFUSED not in row), key=lambda row: row['deadline_s'])
    for row in rows:
        name = f'{1e3 * row["deadline_s"]:.0f} ms'
        if REFUSED in row:
            held[f'{name}: refused with its time'] = ' ms' in row[REFUSED]
            continue
        held[f'{name}: in time'] = in_time(row) >= IN_TIME_SHARE
        held[f'{name}: an evaluation'] = min(row['evaluations']) >= 1
    for less, more in pairwise(kept):
        name = f'{1e3 * less["deadline_s"]:.0f} to {1e3 * more["deadline_s"]:.0f} ms'
        held[f'{name}: cost'] = difference(less['cost_s'], more['cost_s'])[0] <= 0.0
        held[f'{name}: success'] = (
            np.mean(more['success']) >= np.mean(less['success']) - MOST_DROP - 1e-9)
    return {name: bool(value) for name, value in held.items()}


def in_time(row: Row) -> float:
    """Return the share of the answers that came within the deadline."""
    return float(np.mean(np.array(row['wall_s']) <= row['deadline_s']))


def difference(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of after - before (Student, "Biometrika" 6, 1908)."""
    change = np.array(after, dtype=float) - np.array(before, dtype=float)
    mean = float(change.mean())
    if len(change) < 2 or float(change.std()) == 0.0:
        return mean, mean
    half = float(stats.t.ppf(0.975, len(change) - 1) * stats.sem(change))
    return mean - half, mean + half
