# SPDX-License-Identifier: Apache-2.0
"""The printed tables of `bench tracking`."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from diffusion_control.evaluation.bench_tracking_checks import of_part
from diffusion_control.evaluation.bench_tracking_quality import ABSENT
from diffusion_control.evaluation.tables import NOTHING, number, percent

Row = dict[str, Any]


def print_result(result: dict[str, Any]) -> None:
    """Print one table a part."""
    console, rows = Console(width=150), result['rows']
    for table in (_ticks(rows), _warm(rows), _peers(rows), _switch(rows), _quality(rows)):
        if table.row_count:
            console.print(table)


def _table(title: str, *columns: str, left: int = 1) -> Table:
    table = Table(title=title, title_justify='left')
    for index, name in enumerate(columns):
        table.add_column(name, justify='left' if index < left else 'right')
    return table


def _us(row: Row, name: str) -> str:
    return ' / '.join(f'{1e6 * row[f"{name}_p{p}_s"]:.0f}' for p in ('50', '99', '99.9', '100'))


def _violations(row: Row) -> str:
    found = {name: count for name, count in row['violations'].items() if count}
    return ', '.join(f'{count} {name}' for name, count in found.items()) or '0'


def _ticks(rows: list[Row]) -> Table:
    table = _table(
        'one tick, us, p50 / p99 / p99.9 / max; sample: a call that does always the same',
        'tracker', 'plans', 'n', 'N', 'thread', 'wall', 'sample', 'iterations',
        'limited', 'torque', 'solved', 'beyond limits', 'ticks', left=2)
    for row in of_part(rows, 'ticks'):
        table.add_row(
            row['tracker'], row['load'], str(row['joints']), str(row['horizon']),
            _us(row, 'cpu'), _us(row, 'wall'),
            f'{1e6 * row["sample_p50_s"]:.0f} / {1e6 * row["sample_p99_s"]:.0f}',
            f'{row["iterations_mean"]:.1f}',
            percent(row['limited_share']), percent(row['torque_share']),
            f'{row["solved_share"]:.1%}', _violations(row), str(row['ticks']))
    return table


def _warm(rows: list[Row]) -> Table:
    table = _table(
        'warm starts, the same problems: iterations; thread time of choosing and solving, mean us',
        'tracker', 'class', 'limited', 'iterations best', 'shifted', 'plan', 'cold', 'us best',
        'shifted', 'plan', 'cold', 'plan won', 'in 5 ms', 'ticks', left=2)
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for row in of_part(rows, 'warm'):
        found.setdefault((row['tracker'], row['class']), {})[row['warm_start']] = row
    order = ('best', 'shifted', 'plan', 'cold')
    for (tracker, kind), by in found.items():
        best = by['best']
        table.add_row(
            tracker, kind, percent(best['limited_share']),
            *(f'{by[name]["iterations_mean"]:.1f}' for name in order),
            *(f'{1e6 * by[name]["cpu_mean_s"]:.0f}' for name in order),
            percent(best['plan_share']), f'{best["solved"] / max(best["ticks"], 1):.1%}',
            str(best['ticks']))
    return table


def _peers(rows: list[Row]) -> Table:
    table = _table(
        'the same programme by other solvers, thread time us, p50 / p99 / p99.9 / max', 'solver',
        'time', 'solved', 'error of the first input p50 / p99 [rad/s²]')
    for row in of_part(rows, 'peers'):
        if ABSENT in row:
            table.add_row(row['solver'], row[ABSENT], NOTHING, NOTHING)
            continue
        error = ' / '.join(
            NOTHING if row[key] is None else f'{row[key]:.1e}'
            for key in ('error_p50_rad_s2', 'error_p99_rad_s2'))
        table.add_row(
            row['solver'], _us(row, 'cpu'), f'{row["solved"]} of {row["problems"]}', error)
    return table


def _switch(rows: list[Row]) -> Table:
    table = _table(
        'jump of the command at a change of plan', 'plans', 'latency', 'mrad', 'mrad/s',
        'velocity step / a T', 'naive mrad', 'naive mrad/s', 'switches', 'flips', 'goals',
        'beyond limits')
    for row in of_part(rows, 'switch'):
        table.add_row(
            row['kind'], f'{row["latency_ms"]} ms', number(row['jump_rad'], '', 3, 1e3),
            number(row['velocity_jump_rad_s'], '', 3, 1e3), f'{row["velocity_step_share"]:.3f}',
            number(row['naive_jump_rad'], '', 0, 1e3),
            number(row['naive_velocity_jump_rad_s'], '', 0, 1e3), str(row['switches']),
            str(row.get('flips', NOTHING)), str(row.get('goals', NOTHING)), _violations(row))
    return table


def _quality(rows: list[Row]) -> Table:
    table = _table(
        'following in MuJoCo: tool, mm', 'plans', 'plant', 'tracker', 'path rms / p99',
        'in time rms / p99', 'lag ms', 'joints mrad', 'at rest', 'jerk rms rad/s³',
        'beyond limits', 'true speed', 'true torque', left=3)
    absent: dict[str, str] = {}
    for row in of_part(rows, 'quality'):
        if ABSENT in row:
            absent[row['tracker']] = row[ABSENT]
            continue
        timed = NOTHING if row['time_rms_m'] is None else (
            f'{1e3 * row["time_rms_m"]:.2f} / {1e3 * row["time_p99_m"]:.2f}')
        table.add_row(
            row['plans'], row['plant'], row['tracker'],
            f'{1e3 * row["path_rms_m"]:.2f} / {1e3 * row["path_p99_m"]:.2f}', timed,
            number(row['lag_s'], '', 0, 1e3), number(row['joint_rms_rad'], '', 2, 1e3),
            number(row['rest_rms_m'], '', 2, 1e3), f'{row["jerk_rms_rad_s3"]:.0f}',
            _violations(row), percent(row['truth_velocity_share']),
            percent(row['truth_torque_share']))
    table.caption = '; '.join(f'{name} is absent: {why}' for name, why in absent.items()) or None
    return table
