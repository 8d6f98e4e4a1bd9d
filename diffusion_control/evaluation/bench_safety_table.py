# SPDX-License-Identifier: Apache-2.0
"""The printed tables of `bench safety`."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from diffusion_control.evaluation.adversarial_episode import ARRANGEMENTS, Adversarial
from diffusion_control.evaluation.bench_safety_checks import episodes_of

ARRANGEMENT_NAMES = {
    'full': 'filter and verification', 'off': 'no monitor', 'filter': 'filter alone',
    'tail': 'verification alone'}


def print_result(result: dict[str, Any]) -> None:
    """Print the adversarial table and the table of times."""
    console = Console(width=140)
    console.print(_adversarial(result['rows']))
    console.print(_times(result['rows']))


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify='left')
    for index, name in enumerate(columns):
        table.add_column(name, justify='left' if index == 0 else 'right')
    return table


def _adversarial(rows: list[dict[str, Any]]) -> Table:
    table = _table('adversarial episodes, 5 s each: share with at least one', (
        'arrangement', 'time-out', 'contact moving', 'self or wall', 'limit', 'contact at rest',
        'all violations', 'stored tail', 'n'))
    for name in ARRANGEMENTS:
        groups: dict[float | None, list[Adversarial]] = {}
        for item in episodes_of(rows, name):
            groups.setdefault(item.receiver_timeout_s, []).append(item)
        for timeout_s, found in groups.items():
            table.add_row(
                ARRANGEMENT_NAMES[name], '-' if timeout_s is None else f'{timeout_s:g} s',
                *_cells(found))
    return table


def _cells(found: list[Adversarial]) -> list[str]:
    """Return the numbers of a group of episodes."""
    count = len(found)
    limits = [any(item.violations.get(key) for key in (
        'position', 'velocity', 'acceleration', 'torque')) for item in found]
    shares = [
        sum(item.contact_moving > 0 for item in found),
        sum(item.violations.get('self_or_wall', 0) > 0 for item in found), sum(limits),
        sum(item.contacts_at_rest > 0 for item in found)]
    ticks = sum(5.0 * item.rate_hz for item in found)
    return [
        *(f'{100 * share / count:.1f} %' for share in shares),
        str(sum(item.violation_count for item in found)),
        f'{100 * sum(item.fallback_ticks for item in found) / ticks:.1f} % of ticks', str(count)]


def _times(rows: list[dict[str, Any]]) -> Table:
    table = _table('thread time (us), p50 / p99 / p99.9', (
        'run', 'filter', 'filter, candidates, verification', 'whole tick', 'tracker', 'ticks'))
    for row in rows:
        if row['part'] != 'timing':
            continue
        cells = ['-' if f'{part}_p50_s' not in row else ' / '.join(
            f'{1e6 * row[f"{part}_p{p}_s"]:.0f}' for p in ('50', '99', '99.9'))
            for part in ('filter', 'full', 'step', 'tracker')]
        table.add_row(row['name'], *cells, str(row['ticks']))
    return table
