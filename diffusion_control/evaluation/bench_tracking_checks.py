# SPDX-License-Identifier: Apache-2.0
"""The rows of `bench tracking` as the result of the contract, with its required checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from diffusion_control import parameters
from diffusion_control.evaluation import statistics
from diffusion_control.evaluation.bench_tracking_modes import FORGOTTEN, KEPT
from diffusion_control.evaluation.bench_tracking_quality import (
    DIRECT,
    PEERS,
    SOFT_PAYLOAD,
    WITHOUT,
)
from diffusion_control.evaluation.host import host_information
from diffusion_control.evaluation.statistics import Check

SCHEMA_VERSION = 1
REQUIRED = ('tick_p99_s', 'tick_p999_s', 'command_violations', 'switch_jump_max',
            'switch_velocity_jump_max', 'warm_start_gain', 'solved_in_deadline')
DEFAULT = 'mpc'
ASKED = 5000
TICK_S = {'tick_p99_s': ('cpu_p99_s', 1e-3), 'tick_p999_s': ('cpu_p99.9_s', 2e-3),
          'tick_max_s': ('cpu_p100_s', 5e-3)}
TORQUE_P99_S, LEAST_ACTIVE = 3e-3, 0.6
MOST_JUMP_RAD, LEAST_SOLVED = 1e-3, 0.99
NOMINAL, MOST_NOMINAL, LEAST_FEWER = 'nominal', 1.05, 0.3
NOT_OURS = (DIRECT, *PEERS)
LEAST_ERROR_M = 5e-3
Row = dict[str, Any]


def result_of(
    rows: Sequence[Row], *, commit: str, command: str, quick: bool
) -> dict[str, Any]:
    """Return the result: all rows and the checks.

    Args:
        rows: Of every part.
        commit: Version of the code, for the result.
        command: Command line, for the result.
        quick: Times of a short run are shown and judge nothing.
    """
    checks = [*_ticks(rows, judge=not quick), *_commands(rows), *_switches(rows),
              *_warm(rows, judge=not quick), *_observer(rows, judge=not quick)]
    return {
        'schema_version': SCHEMA_VERSION, 'commit': commit, 'command': command,
        'host': host_information(), 'rows': list(rows),
        'checks': [check.row() for check in checks],
        'failed': statistics.failed_names(checks, REQUIRED)}


def of_part(rows: Sequence[Row], part: str) -> list[Row]:
    """Return the rows of a part; those that hold rows are unfolded."""
    found: list[Row] = []
    for row in rows:
        if row['part'] == part:
            found += row.get('rows', [row])
    return found


def best_warm_start(rows: Sequence[Row]) -> tuple[str, dict[str, float]] | None:
    """Return the default tracker's cheapest warm start, and mean processor time of each.

    The mean is over the classes of events, each weighing the same: there the choice matters.
    """
    spent: dict[str, list[float]] = {}
    for row in of_part(rows, 'warm'):
        if row['tracker'] == DEFAULT and row['class'] != NOMINAL and row['ticks']:
            spent.setdefault(row['warm_start'], []).append(row['cpu_mean_s'])
    if not spent:
        return None
    means = {name: sum(values) / len(values) for name, values in spent.items()}
    return min(means, key=lambda name: means[name]), means


def _ticks(rows: Sequence[Row], *, judge: bool) -> Iterator[Check]:
    """Yield the worst tick of the default tracker over easy and hard cases, and of (c)."""
    found = [row for row in of_part(rows, 'ticks') if row['usual'] and row['load'] != 'heavy']
    own = [row for row in found if row['tracker'] == DEFAULT]
    for name, (key, bound) in TICK_S.items():
        yield _worst(name, own, key, bound, judge)
    torque = [row for row in found if row['tracker'] == 'mpc_torque']
    yield _worst('tick_torque_p99_s', torque, 'cpu_p99_s', TORQUE_P99_S, judge)
    hard = [row['limited_share'] for row in own if row['load'] == 'hard']
    value = min(hard, default=None)
    yield Check('hard_active_share', value, LEAST_ACTIVE,
                None if value is None else value >= LEAST_ACTIVE,
                sum(row['ticks'] for row in own if row['load'] == 'hard'), None)


def _worst(name: str, rows: list[Row], key: str, bound: float, judge: bool) -> Check:
    value = max((row[key] for row in rows), default=None)
    ok = None if value is None or not judge else value <= bound
    return Check(name, value, bound, ok, sum(row['ticks'] for row in rows), None)


def _commands(rows: Sequence[Row]) -> Iterator[Check]:
    """Yield the onsets of commands beyond the robot's limits, of all our trackers."""
    found = [row for part in ('ticks', 'switch', 'quality') for row in of_part(rows, part)
             if row['tracker'] not in NOT_OURS and row.get('load') != 'heavy']
    count = sum(sum(row['violations'].values()) for row in found if row['tracker'] == DEFAULT)
    ticks = sum(row['ticks'] for row in found if row['tracker'] == DEFAULT)
    yield Check('command_violations', float(count), 0.0, count == 0 if ticks else None, ticks,
                statistics.count_interval(count))
    others = [row for row in found if row['tracker'] != DEFAULT]
    yield Check('command_violations_of_others',
                float(sum(sum(row['violations'].values()) for row in others)), None, None,
                sum(row['ticks'] for row in others), None)


def _switches(rows: Sequence[Row]) -> Iterator[Check]:
    """Yield the largest jumps; of the velocity also its step in a tick, where it is largest."""
    found = of_part(rows, 'switch')
    count = sum(row['switches'] for row in found)
    jump = max((row['jump_rad'] for row in found), default=None)
    yield Check('switch_jump_max', jump, MOST_JUMP_RAD,
                None if jump is None else jump <= MOST_JUMP_RAD, count, None)
    worst = max(found, key=lambda row: row['velocity_step_share'], default=None)
    if worst is None:
        yield Check('switch_velocity_jump_max', None, None, None, 0, None)
        return
    value = max(worst['velocity_step_rad_s'], *(row['velocity_jump_rad_s'] for row in found))
    bound = worst['velocity_step_bound_rad_s']
    yield Check('switch_velocity_jump_max', value, bound, value <= bound * (1 + 1e-9), count, None)
    naive = [max((row[key] for row in found if row[key] is not None), default=None) for key in (
        'naive_jump_rad', 'naive_velocity_jump_rad_s')]
    yield Check('naive_switch_jump_max', naive[0], None, None, count, None)
    yield Check('naive_switch_velocity_jump_max', naive[1], None, None, count, None)
    flips = {row['kind']: row['flips'] / row['goals'] for row in found if 'flips' in row}
    yield Check('mode_flips_per_goal', flips.get(f'modes {KEPT}'),
                flips.get(f'modes {FORGOTTEN}'), None, count, None)


def _observer(rows: Sequence[Row], *, judge: bool) -> Iterator[Check]:
    """Yield soft drives' error with 1 kg and no observer [m], and the share that it takes away."""
    found = {row['tracker']: row for row in of_part(rows, 'quality')
             if row['plant'] == SOFT_PAYLOAD}
    if DEFAULT not in found or DEFAULT + WITHOUT not in found:
        return
    kept, lost = found[DEFAULT], found[DEFAULT + WITHOUT]
    error, ticks = lost['time_rms_m'], lost['ticks']
    yield Check('payload_error_without_observer_m', error, LEAST_ERROR_M,
                error >= LEAST_ERROR_M if judge else None, ticks, None)
    yield Check('observer_share', 1.0 - kept['time_rms_m'] / error, None, None, ticks, None)


def _warm(rows: Sequence[Row], *, judge: bool) -> Iterator[Check]:
    """Yield the default's gain on cold (processor time in events), iterations, and what solved.

    `warm_start_gain` holds where the default is the table's cheapest, up to 2 % of noise.
    """
    default = str(parameters.defaults('tracker')['warm_start'])
    found = [row for row in of_part(rows, 'warm') if row['tracker'] == DEFAULT]
    ticks = sum(row['ticks'] for row in found if row['warm_start'] == default)
    best = best_warm_start(rows)
    gain = ok = None
    if best is not None:
        means = best[1]
        gain = 1.0 - means[default] / means['cold']
        ok = means[default] <= 1.02 * means[best[0]] if judge else None
    yield Check('warm_start_gain', gain, None, ok, ticks, None)
    yield from _iterations(found, ticks)
    solved = sum(row['solved'] for row in found if row['warm_start'] == default)
    yield statistics.rate_check(
        'solved_in_deadline', solved, ticks, at_least=LEAST_SOLVED, decisive=ticks >= ASKED)


def _iterations(found: list[Row], ticks: int) -> Iterator[Check]:
    """Yield best against shifted in nominal ticks, and against both in events, in iterations."""
    def mean(choice: str, events: bool) -> float:
        chosen = [row for row in found if row['warm_start'] == choice and row['ticks']
                  and (row['class'] != NOMINAL) == events]
        total = sum(row['iterations_mean'] * row['ticks'] for row in chosen)
        return float(total / max(sum(row['ticks'] for row in chosen), 1))

    if not found:
        return
    nominal = mean('best', False) / max(mean('shifted', False), 1e-9)
    fewer = 1.0 - mean('best', True) / max(mean('cold', True), 1e-9)
    shifted = 1.0 - mean('best', True) / max(mean('shifted', True), 1e-9)
    yield Check('warm_nominal_iterations_ratio', nominal, MOST_NOMINAL, None, ticks, None)
    yield Check('warm_event_iterations_gain', fewer, LEAST_FEWER, None, ticks, None)
    yield Check('warm_event_iterations_gain_on_shifted', shifted, 0.0, None, ticks, None)
