# SPDX-License-Identifier: Apache-2.0
"""The checks of SafeDiffuser in mazes: what a specification asks of each of its methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation import statistics
from diffusion_control.evaluation.maze.episode import MazeEpisode
from diffusion_control.evaluation.maze.options import MazeOptions
from diffusion_control.evaluation.statistics import Check

Array = NDArray[np.float64]
REQUIRED_SAFE = ('h_min_plan', 'h_min_dense', 'h_min_rollout', 'trap_rate')
SAFE, UNGUARDED = 'safediffuser', 'diffuser'
SAFE_EPISODES, SAFE_PLAN_S, SAFE_SCORE = 100, 0.5, 0.97
"""Episodes that are asked for; longest plan [s]; least score over the unguarded planner's."""
SAFE_BOUNDS: dict[str, dict[str, float]] = {
    SAFE: dict.fromkeys(REQUIRED_SAFE[:3], 0.0) | {'trap_rate': 0.01},
    'safediffuser_ros': {'h_min_plan': 0.0}, 'safediffuser_res': {'h_min_plan': 0.0},
    'safediffuser_tvs': {'h_min_plan': -0.01},
}
"""Least h of plans (at knots, between them, where the mass went) and largest rate of traps."""


def safe_checks(episodes: Sequence[MazeEpisode], options: MazeOptions) -> list[Check]:
    """Return the least values of the specification, and the rate of traps.

    Bounds are those of `SAFE_BOUNDS`, and only where there is a specification.
    """
    asked = SAFE_BOUNDS.get(options.planner, {}) if options.specification else {}
    found = []
    for name in REQUIRED_SAFE[:3]:
        values = [v for v in (getattr(item, name) for item in episodes) if v is not None]
        value, bound = min(values, default=None), asked.get(name)
        ok = None if value is None or bound is None else value >= bound
        found.append(Check(name, value, bound, ok, len(values), None))
    trapped = sum(item.trapped or item.plans_trapped > 0 for item in episodes)
    rate = statistics.rate_check(
        REQUIRED_SAFE[3], trapped, len(episodes), at_least=None, decisive=False)
    bound = asked.get(REQUIRED_SAFE[3])
    if bound is None or rate.value is None or rate.ci95 is None:
        return [*found, rate]
    judged = rate.value if len(episodes) >= SAFE_EPISODES else rate.ci95[0]
    return [*found, replace(rate, bound=bound, ok=judged <= bound)]


def latency_check(latency: Array, options: MazeOptions) -> Check:
    """Return the time of plans, bound where `safediffuser` keeps a specification."""
    found = statistics.percentile_check('plan_latency_p99_s', latency, 99.0)
    if found.value is None or not (options.specification and options.planner == SAFE):
        return found
    return replace(found, bound=SAFE_PLAN_S, ok=found.value <= SAFE_PLAN_S)


def unguarded_checks(rows: Sequence[dict[str, Any]], options: MazeOptions) -> list[Check]:
    """Return the score over the unguarded planner's, where that runs beside `safediffuser`.

    Nothing is judged where the unguarded one has no score above 0.
    """
    mine, other = ([row['score'] for row in rows if row['planner'] == name]
                   for name in (SAFE, UNGUARDED))
    if not (mine and other and options.specification and options.planner == SAFE):
        return []
    name, unguarded = 'score_ratio_to_unguarded', float(np.mean(other))
    if unguarded <= 0.0:
        return [Check(name, None, SAFE_SCORE, None, len(other), None)]
    ratio = float(np.mean(mine)) / unguarded
    return [Check(name, ratio, SAFE_SCORE, ratio >= SAFE_SCORE, len(mine), None)]
