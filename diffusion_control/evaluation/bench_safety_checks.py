# SPDX-License-Identifier: Apache-2.0
"""The rows of `bench safety` as the result of the contract, with its required checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diffusion_control.evaluation import statistics
from diffusion_control.evaluation.adversarial_episode import FULL, OFF, Adversarial
from diffusion_control.evaluation.host import host_information
from diffusion_control.evaluation.hostile import Timed
from diffusion_control.evaluation.statistics import Check

SCHEMA_VERSION = 1
REQUIRED = ('violations_filter_on', 'contact_share_filter_off', 'goals_kept', 'time_ratio',
            'tick_filter_p99_s', 'tick_full_p99_s', 'tick_paced_p99_s')
EPISODES_ASKED, GOALS_ASKED = 1000, 50
LEAST_CONTACT_SHARE, LEAST_KEPT, MOST_TIME = 0.3, 0.9, 1.25


def result_of(
    rows: Sequence[dict[str, Any]], timed: Mapping[str, Timed], *, commit: str, command: str,
    quick: bool,
) -> dict[str, Any]:
    """Return the result: all rows and the checks.

    Args:
        rows: Of every part.
        timed: The robot's checks on times by name.
        commit: Version of the code, for the result.
        command: Command line, for the result.
        quick: Times of a short run are shown and judge nothing.
    """
    checks = [*_adversarial(rows), *_goals(rows), *_times(rows, timed, judge=not quick)]
    return {
        'schema_version': SCHEMA_VERSION, 'commit': commit, 'command': command,
        'host': host_information(), 'rows': list(rows),
        'checks': [check.row() for check in checks],
        'failed': statistics.failed_names(checks, REQUIRED)}


def episodes_of(rows: Sequence[dict[str, Any]], arrangement: str) -> list[Adversarial]:
    """Return the adversarial episodes of an arrangement."""
    return [Adversarial.of(row) for row in rows
            if row['part'] == 'adversarial' and row['arrangement'] == arrangement]


def _adversarial(rows: Sequence[dict[str, Any]]) -> list[Check]:
    """Return violations with the filter, at all time-outs and at each, and contacts without."""
    on, off = episodes_of(rows, FULL), episodes_of(rows, OFF)
    timeouts = sorted({item.receiver_timeout_s for item in on if item.receiver_timeout_s})
    at = {f'violations_filter_on_{timeout_s:g}s': [
        item for item in on if item.receiver_timeout_s == timeout_s] for timeout_s in timeouts}
    enough = all(len(some) >= EPISODES_ASKED for some in (at or {'': on}).values())
    return [
        _no_violation('violations_filter_on', on, enough),
        *(_no_violation(name, some, len(some) >= EPISODES_ASKED) for name, some in at.items()),
        statistics.rate_check(
            'contact_share_filter_off', sum(item.touched for item in off), len(off),
            at_least=LEAST_CONTACT_SHARE, decisive=len(off) >= EPISODES_ASKED)]


def _no_violation(name: str, episodes: Sequence[Adversarial], decisive: bool) -> Check:
    return statistics.count_check(
        name, sum(item.violation_count for item in episodes), len(episodes), at_most=0,
        decisive=decisive)


def _goals(rows: Sequence[dict[str, Any]]) -> list[Check]:
    """Return how many of the expert's goals are kept, and in which time.

    The time is compared where the goal was reached both with and without the monitor.
    """
    found = {(row['arrangement'], row['seed']): row for row in rows if row['part'] == 'goal'}
    reachable = [seed for name, seed in found if name == 'expert' and found[name, seed]['success']]
    kept = [seed for seed in reachable if found['on', seed]['success']]
    both = [seed for seed in kept if found['off', seed]['success']]
    enough = len(reachable) >= GOALS_ASKED - 2
    ratio = statistics.ratio_check(
        'time_ratio', *(np.array([found[name, seed]['time_s'] for seed in both])
                        for name in ('on', 'off')))
    low = ratio.ci95[0] if ratio.ci95 and not enough else ratio.value
    ticks = sum(row['ticks'] for row in found.values() if row['arrangement'] == 'on')
    fallback = sum(
        row['fallback_ticks'] for row in found.values() if row['arrangement'] == 'on')
    hours = ticks / 360_000
    return [
        statistics.rate_check('goals_kept', len(kept), len(reachable), at_least=LEAST_KEPT,
                              decisive=enough),
        Check('time_ratio', ratio.value, MOST_TIME, None if low is None else low <= MOST_TIME,
              ratio.n, ratio.ci95),
        Check('fallback_ticks_per_hour', fallback / hours if hours else None, None, None, ticks,
              None)]


def _times(
    rows: Sequence[dict[str, Any]], timed: Mapping[str, Timed], *, judge: bool
) -> list[Check]:
    runs = {row['name']: row for row in rows if row['part'] == 'timing'}
    checks = []
    for name, asked in timed.items():
        row, bound = runs.get(asked.run), asked.at_most_s
        value = None if row is None else row[asked.key]
        ok = None if value is None or bound is None or not judge else value <= bound
        checks.append(Check(name, value, bound, ok, 0 if row is None else row['ticks'], None))
    return checks
