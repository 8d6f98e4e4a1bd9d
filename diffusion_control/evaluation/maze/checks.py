# SPDX-License-Identifier: Apache-2.0
"""The rows of a maze evaluation as the result of the contract, with its required checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation import statistics
from diffusion_control.evaluation.evaluation_checks import SCHEMA_VERSION
from diffusion_control.evaluation.host import host_information
from diffusion_control.evaluation.maze.episode import MazeEpisode
from diffusion_control.evaluation.maze.layouts import MAZES
from diffusion_control.evaluation.maze.options import EXPERT, MAZE2D, RANDOM, MazeOptions
from diffusion_control.evaluation.maze.published import BEST_MULTI, BEST_SINGLE
from diffusion_control.evaluation.maze.safe_checks import (
    REQUIRED_SAFE,
    SAFE_BOUNDS,
    latency_check,
    safe_checks,
    unguarded_checks,
)
from diffusion_control.evaluation.statistics import Check

Array = NDArray[np.float64]
REQUIRED = ('score', 'success', 'contact_or_wall', 'plan_latency_p99_s', 'time_ratio_to_expert')
CONTACTS_OF_WALLS = ('plan', 'inter_sample', 'roll_out')
ROW_KEYS = ('episode', 'seed', 'planner', 'layout', 'success', 'time_s', 'contact_moving',
            'contacts_at_rest', 'violations', 'return', 'score', 'evaluations', 'plan_p50_s',
            'clearance_min_m', 'steps', 'plans', 'failures', 'trapped', 'plans_trapped',
            'h_min_plan', 'h_min_dense', 'h_min_rollout', 'changed')


@dataclass(frozen=True)
class Bounds:
    """What the judged planner is held against; None asks for nothing.

    Attributes:
        score: To be passed by the mean over the layouts.
        success: Least share.
        time_ratio: Largest mean time over the expert's, where both arrive.
        episodes: Of each layout that the bounds ask for.
    """

    score: float | None
    success: float | None
    time_ratio: float | None
    episodes: int


def bounds_of(options: MazeOptions) -> Bounds:
    """Return the bounds of an evaluation: named mazes, unseen ones, or changes in the middle."""
    plain = not options.specification and not options.ideal
    if options.changes:
        return Bounds(None, 0.90, None, 100)
    named = options.named and options.task == MAZE2D and plain and options.goals is None
    if named:
        best = BEST_MULTI if options.multi else BEST_SINGLE
        return Bounds(best if options.ref_min is None else None, 0.99, None, 300)
    unseen = plain and all(name not in MAZES for name in options.names)
    return Bounds(None, 0.95, 1.25, 100) if unseen else Bounds(None, None, None, 100)


def scored(rows: Sequence[dict[str, Any]], options: MazeOptions) -> list[dict[str, Any]]:
    """Return the rows with their score, null where the layout has no reference returns.

    maze2d: 100 (R - ref_min) / (ref_max - ref_min). pointmaze: with the mean returns of random
    controls and of the expert in this very evaluation in place of ref_min and ref_max.
    """
    found = []
    for row in rows:
        low, high = _references(rows, row['layout'], options)
        score = None
        if low is not None and high is not None and high > low:
            score = 100.0 * (row['return'] - low) / (high - low)
        found.append({**row, 'score': score})
    return found


def _references(
    rows: Sequence[dict[str, Any]], layout: str, options: MazeOptions
) -> tuple[float | None, float | None]:
    """Return the returns that score 0 and 100 in a layout."""
    if options.ref_min is not None:
        return options.ref_min, options.ref_max
    if options.task == MAZE2D:
        maze = MAZES.get(layout)
        return (None, None) if maze is None else (maze.ref_min, maze.ref_max)
    mean = {name: [row['return'] for row in rows
                   if row['layout'] == layout and row['planner'] == name]
            for name in (RANDOM, EXPERT)}
    low, high = (float(np.mean(values)) if values else None for values in mean.values())
    return low, high


def result_of(rows: Sequence[dict[str, Any]], options: MazeOptions) -> dict[str, Any]:
    """Return the result: rows with their scores, and the checks of the judged planner."""
    done = scored(rows, options)
    checks = checks_of(done, options)
    required = (*REQUIRED, *(REQUIRED_SAFE if options.planner in SAFE_BOUNDS else ()))
    return {
        'schema_version': SCHEMA_VERSION, 'commit': options.commit, 'command': options.command,
        'host': host_information(), 'rows': [{key: row[key] for key in ROW_KEYS} for row in done],
        'checks': [check.row() for check in checks],
        'failed': statistics.failed_names(checks, required)}


def checks_of(rows: Sequence[dict[str, Any]], options: MazeOptions) -> list[Check]:
    """Return the required checks of the judged planner.

    Where something is to happen in mid-episode, only the episodes count in which it did.
    """
    counted = [row for row in rows if row['changed'] or not options.changes]
    mine = [row for row in counted if row['planner'] == options.planner]
    bounds, episodes = bounds_of(options), [MazeEpisode.of(row) for row in mine]
    groups = [np.array([row['score'] for row in mine if row['layout'] == name], dtype=float)
              for name in dict.fromkeys(row['layout'] for row in mine)]
    enough = bool(groups) and min(len(group) for group in groups) >= bounds.episodes
    expert = {(row['layout'], row['episode']): row['time_s'] for row in counted
              if row['planner'] == EXPERT and row['success']}
    both = [item for item in episodes if item.success and (item.layout, item.episode) in expert]
    scores = [] if any(np.isnan(group).any() for group in groups) else groups
    latency = np.array([value for item in episodes for value in item.plan_latency_s])
    return [
        statistics.mean_check('score', scores, above=bounds.score, decisive=enough),
        statistics.rate_check('success', sum(item.success for item in episodes), len(episodes),
                              at_least=bounds.success, decisive=enough),
        counted_only('contact_or_wall', [
            item.contact_moving + item.contacts_at_rest for item in episodes]),
        latency_check(latency, options),
        statistics.ratio_check(
            'time_ratio_to_expert', np.array([item.time_s for item in both], dtype=float),
            np.array([expert[item.layout, item.episode] for item in both], dtype=float),
            at_most=bounds.time_ratio, decisive=enough),
        *[counted_only(f'violations_{name}', [item.violations[name] or 0 for item in episodes])
          for name in CONTACTS_OF_WALLS],
        *safe_checks(episodes, options),
        *unguarded_checks(counted, options),
    ]


def counted_only(name: str, counts: Sequence[int]) -> Check:
    """Return a count over episodes as a row that judges nothing."""
    if not counts:
        return Check(name, None, None, None, 0, None)
    total = sum(counts)
    return Check(name, float(total), None, None, len(counts), statistics.count_interval(total))
