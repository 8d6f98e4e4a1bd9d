# SPDX-License-Identifier: Apache-2.0
"""The rows of `bench inference` as the result of the contract, with its required checks.

With fewer scenes than are asked for, a rate fails only if its whole 95 % interval lies on the
wrong side, and is not judged otherwise; a time is not judged at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation import statistics
from diffusion_control.evaluation.bench_inference_deadlines import REFUSED, conditions, difference
from diffusion_control.evaluation.bench_inference_plans import (
    DIFFUSER,
    DIFFUSER_16,
    EQUAL,
    IN_50_MS,
    IN_65_MS,
)
from diffusion_control.evaluation.bench_inference_setup import (
    ABSENT,
    DEADLINE,
    ORACLE,
    PEERS,
    PLANS,
    PREFIX,
    WARM,
    Row,
    of_part,
)
from diffusion_control.evaluation.host import host_information
from diffusion_control.evaluation.statistics import Check, Interval

Array = NDArray[np.float64]
Rows = Sequence[Row]
SCHEMA_VERSION = 1
REQUIRED = ('latency_vs_best_peer', 'plan16_p99_s', 'warm2_vs_cold20', 'deadlines_met',
            'prefix_latency_300ms', 'oracles')
PLANS_ASKED, LOOPS_ASKED, ROUNDS_ASKED = 200, 100, 10
MOST_PEER_RATIO = 0.5
TIMES: dict[str, tuple[str, float | None]] = {
    'plan16_p99_s': (IN_50_MS, 0.050), 'plan_p99_s': (IN_65_MS, 0.065),
    'plan16_no_deadline_p99_s': (DIFFUSER_16, None), 'plan_no_deadline_p99_s': (DIFFUSER, None)}
"""Name of the check -> the planner whose wall times it takes, bound [s]."""
MOST_EQUAL_DURATION, LEAST_KEPT, MOST_JERK = 0.85, 0.95, 1.2


def result_of(rows: Rows, *, commit: str, command: str) -> dict[str, Any]:
    """Return the result: all rows and the checks."""
    checks = [*_peers(rows), *_plans(rows), *_warm(rows), *_deadlines(rows), *_prefix(rows),
              *_oracles(rows)]
    return {
        'schema_version': SCHEMA_VERSION, 'commit': commit, 'command': command,
        'host': host_information(), 'rows': list(rows),
        'checks': [check.row() for check in checks],
        'failed': statistics.failed_names(checks, REQUIRED)}


def judged(
    name: str, value: float | None, bound: float, n: int, asked: int,
    ci95: Interval | None = None, *, at_least: bool = False,
) -> Check:
    """Return a check of a value that shall be at most (or at least) a bound; see above."""
    def holds(number: float) -> bool:
        return number >= bound if at_least else number <= bound
    if value is None:
        return Check(name, None, bound, None, n, ci95)
    if n >= asked:
        return Check(name, value, bound, holds(value), n, ci95)
    best = None if ci95 is None else ci95[1 if at_least else 0]
    wrong = best is not None and not holds(best)
    return Check(name, value, bound, False if wrong else None, n, ci95)


def _time(name: str, row: Row | None, bound: float | None) -> Check:
    """Return the 99th percentile of the wall times of a planner, judged of a complete run."""
    samples = np.array([] if row is None else row['wall_s'], dtype=float)
    check = statistics.percentile_check(name, samples, 99.0)
    if bound is None or check.value is None or check.n < PLANS_ASKED:
        return replace(check, bound=bound)
    return replace(check, bound=bound, ok=check.value <= bound)


def _peers(rows: Rows) -> list[Check]:
    """Return the worst ratio to the best peer at batch 1, over shapes and our networks."""
    found = of_part(rows, PEERS)
    cells = [cell for row in found.values() for cell in row['cells'] if cell['batch'] == 1]
    rounds = max((row['amount'] for row in found.values()), default=0)
    worst = max((cell['ratio'] for cell in cells), default=None)
    check = judged('latency_vs_best_peer', worst, MOST_PEER_RATIO, rounds, ROUNDS_ASKED)
    return [replace(check, n=sum(cell['n'] for cell in cells))]


def _plans(rows: Rows) -> list[Check]:
    plans = of_part(rows, PLANS)
    checks = [_time(name, plans.get(planner), bound)
              for name, (planner, bound) in TIMES.items()]
    mine, equal = plans.get(DIFFUSER), plans.get(EQUAL)
    if mine is None or equal is None:
        return checks
    both = [pair for pair in zip(mine['duration_s'], equal['duration_s'], strict=True)
            if None not in pair]
    lasting = statistics.ratio_check('', *np.array(both, dtype=float).reshape(-1, 2).T)
    success = _ratio('equal_ms_success_ratio', mine['success'], equal['success'])
    return [*checks,
            judged('equal_ms_success_ratio', success.value, 1.0, success.n, PLANS_ASKED,
                   success.ci95, at_least=True),
            judged('equal_ms_duration_ratio', lasting.value, MOST_EQUAL_DURATION,
                   len(mine['success']), PLANS_ASKED, lasting.ci95)]


def _ratio(name: str, values: Sequence[Any], references: Sequence[Any]) -> Check:
    """Return the ratio of the means of paired values; None where nothing can be divided by."""
    over, under = np.array(values, dtype=float), np.array(references, dtype=float)
    if not len(under) or under.mean() == 0.0:
        return Check(name, None, None, None, len(under), None)
    check = statistics.ratio_check(name, over, under)
    finite = check.ci95 is not None and bool(np.isfinite(check.ci95).all())
    return Check(name, check.value, None, None, check.n, check.ci95 if finite else None)


def _change(name: str, values: Sequence[Any], references: Sequence[Any]) -> Check:
    """Return the mean of paired differences as a row that judges nothing."""
    if not values:
        return Check(name, None, None, None, 0, None)
    mean = float(np.mean(np.array(values, dtype=float) - np.array(references, dtype=float)))
    interval = difference(references, values) if len(values) > 1 else None
    return Check(name, mean, None, None, len(values), interval)


def paired(rows: Rows, part: str, one: str, other: str) -> list[tuple[Row, Row]]:
    """Return the rows of two arrangements in the scenes that both were run in."""
    found = {(row['name'], row['seed']): row for row in rows if row['part'] == part}
    seeds = [seed for name, seed in found if name == one and (other, seed) in found]
    return [(found[one, seed], found[other, seed]) for seed in seeds]


def _of(pairs: list[tuple[Row, Row]], key: str) -> tuple[list[Any], list[Any]]:
    """Return the values of a key of both, where both have one."""
    kept = [(one[key], other[key]) for one, other in pairs
            if one[key] is not None and other[key] is not None]
    return [one for one, _ in kept], [other for _, other in kept]


def _warm(rows: Rows) -> list[Check]:
    pairs = paired(rows, WARM, 'warm 2', 'cold 20')
    success = _ratio('warm2_vs_cold20', *_of(pairs, 'success'))
    return [
        judged('warm2_vs_cold20', success.value, LEAST_KEPT, success.n, LOOPS_ASKED, success.ci95,
               at_least=True),
        _ratio('warm2_vs_cold20_time', *_of(pairs, 'time_s')),
        _change('warm2_less_cold20_flips', *_of(pairs, 'flips')),
        _change('warm2_less_cold20_distance_rad', *_of(pairs, 'plan_distance_rad'))]


def _deadlines(rows: Rows) -> list[Check]:
    """Return the share of the conditions that hold."""
    found = list(of_part(rows, DEADLINE).values())
    held = conditions(found) if found else {}
    fewest = min((len(row['wall_s']) for row in found if REFUSED not in row), default=0)
    if not found or fewest == 0:
        return [Check('deadlines_met', None, 1.0, None, 0, None)]
    value = float(np.mean(list(held.values())))
    return [judged('deadlines_met', value, 1.0, fewest, PLANS_ASKED, at_least=True)]


def _prefix(rows: Rows) -> list[Check]:
    """Return success and jerk at 300 ms over those at 0 ms, and both in one value.

    The jerk is compared in the scenes in which both reached the goal.
    """
    pairs = paired(rows, PREFIX, 'frozen 300', 'frozen 0')
    success = _ratio('prefix_success_ratio', *_of(pairs, 'success'))
    solved = [(one, other) for one, other in pairs if one['success'] and other['success']]
    jerk = _ratio('prefix_jerk_ratio', *_of(solved, 'jerk_rms_rad_s3'))
    value = None
    if success.value is not None and jerk.value is not None:
        value = min(success.value, float(jerk.value <= MOST_JERK))
    interval = success.ci95 if value == success.value else None
    return [judged('prefix_latency_300ms', value, LEAST_KEPT, success.n, LOOPS_ASKED, interval,
                   at_least=True), success, jerk]


def _oracles(rows: Rows) -> list[Check]:
    held: list[bool] = [row['holds'] for row in of_part(rows, ORACLE).values()]
    value = float(np.mean(held)) if held else None
    return [judged('oracles', value, 1.0, len(held), 1, at_least=True)]


def reasons(rows: Rows, say: Callable[[str], None]) -> None:
    """Say of every row that could not be measured why."""
    for row in rows:
        if ABSENT in row:
            say(f'absent: {row["part"]}, {row["name"]}: {row[ABSENT]}')
