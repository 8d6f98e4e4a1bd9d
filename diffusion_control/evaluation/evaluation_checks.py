# SPDX-License-Identifier: Apache-2.0
"""The rows of an evaluation as the result of the contract, with its required checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from diffusion_control.evaluation import statistics
from diffusion_control.evaluation.episode import Episode, scored
from diffusion_control.evaluation.host import host_information
from diffusion_control.evaluation.kinds import KINDS, Bounds, Kind
from diffusion_control.evaluation.statistics import Check

SCHEMA_VERSION = 1
EXPERT = 'expert'
SUCCESS = 'success_vs_expert'
REQUIRED = (SUCCESS, 'contact_moving', 'violations', 'plan_latency_p99_s', 'time_ratio_to_expert')
ROW_KEYS = ('episode', 'seed', 'planner', 'success', 'time_s', 'contact_moving',
            'contacts_at_rest', 'violations', 'return', 'score', 'evaluations', 'plan_p50_s',
            'clearance_min_m', 'tier', 'end', 'goals_reached', 'plans', 'plans_rejected',
            'final_state', 'states_s')


def result_of(
    rows: Sequence[dict[str, Any]], planner: str, *, commit: str, command: str,
    kind: Kind = KINDS['arm'],
) -> dict[str, Any]:
    """Return the result: rows with their scores, and the checks of the judged planner.

    Args:
        rows: Rows of all planners in all scenes.
        planner: The one that is judged.
        commit: Version of the code, for the result.
        command: Command line, for the result.
        kind: Whose bounds count.
    """
    checks = checks_of([Episode.of(row) for row in rows], planner, kind)
    return {
        'schema_version': SCHEMA_VERSION, 'commit': commit, 'command': command,
        'host': host_information(),
        'rows': [{key: row[key] for key in ROW_KEYS} for row in _scored(rows)],
        'checks': [check.row() for check in checks],
        'failed': statistics.failed_names(checks, REQUIRED)}


def checks_of(
    episodes: Sequence[Episode], planner: str, kind: Kind = KINDS['arm']
) -> list[Check]:
    """Return the required checks of one planner, beside the expert in the same scenes.

    The value of `success_vs_expert` is the share of the scenes that the expert solved in which
    the planner reached the goal too; of several tiers the one with the least surplus stands under
    this name, and each under its own. Contacts and violations are counts over all episodes.
    """
    expert = {_scene(item): item for item in episodes
              if item.planner == EXPERT and item.success and item.time_s is not None}
    mine = [item for item in episodes if item.planner == planner]
    bounds = kind.bounds(planner)
    enough = bool(mine) and all(
        sum(item.tier == tier for item in mine) >= bounds.episodes
        for tier in {item.tier for item in mine})
    both = [item for item in mine if item.time_s is not None and _scene(item) in expert]
    latency = np.array([value for item in mine for value in item.plan_latency_s])
    return [
        *_success_checks(mine, expert, enough, bounds),
        statistics.count_check(
            'contact_moving', sum(item.contact_moving for item in mine), len(mine),
            at_most=0, decisive=enough),
        statistics.count_check(
            'violations', sum(item.violation_count for item in mine), len(mine),
            at_most=0, decisive=enough),
        statistics.percentile_check('plan_latency_p99_s', latency, 99.0),
        statistics.ratio_check(
            'time_ratio_to_expert', np.array([item.time_s for item in both], dtype=float),
            np.array([expert[_scene(item)].time_s for item in both], dtype=float),
            at_most=kind.time_ratio, decisive=enough),
    ]


def _success_checks(
    mine: Sequence[Episode], expert: dict[tuple[str | None, int], Episode], enough: bool,
    bounds: Bounds,
) -> list[Check]:
    """Return the check of success, and one per tier where there are several."""
    checks = []
    for tier in dict.fromkeys(item.tier for item in mine):
        solvable = [item for item in mine if item.tier == tier and _scene(item) in expert]
        checks.append(statistics.rate_check(
            f'{SUCCESS}_{tier}', sum(item.success for item in solvable), len(solvable),
            at_least=bounds.success.get(tier or ''), decisive=enough))
    if not checks:
        return [Check(SUCCESS, None, None, None, 0, None)]
    worst = min(checks, key=_surplus)
    return [replace(worst, name=SUCCESS), *(checks if len(checks) > 1 else [])]


def _surplus(check: Check) -> tuple[bool, float]:
    """Return the order of checks: failed ones first, then by value above bound."""
    if check.value is None or check.bound is None:
        return True, float('inf')
    return check.ok is not False, check.value - check.bound


def _scene(episode: Episode) -> tuple[str | None, int]:
    """Return what names a scene."""
    return episode.tier, episode.episode


def _scored(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with their score against the expert of the same scene."""
    times = {(row['tier'], row['episode']): row['time_s'] for row in rows
             if row['planner'] == EXPERT and row['success']}
    return [row for item in rows
            for row in scored([item], times.get((item['tier'], item['episode'])))]
