# SPDX-License-Identifier: Apache-2.0
"""The printed tables of `bench inference`."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from diffusion_control.evaluation.bench_inference_checks import reasons
from diffusion_control.evaluation.bench_inference_deadlines import REFUSED, conditions, in_time
from diffusion_control.evaluation.bench_inference_grid import HORIZON
from diffusion_control.evaluation.bench_inference_setup import (
    DEADLINE,
    GRID,
    ORACLE,
    PEERS,
    PLANS,
    PREFIX,
    SCENES,
    WARM,
    Row,
    of_part,
)
from diffusion_control.evaluation.tables import NOTHING, number, percent

LOOP_COLUMNS = ('success', 'time to goal', 'flips per plan', 'plans', 'refused')


def print_result(result: dict[str, Any]) -> None:
    """Print one table a part, the checks, and why a row is absent."""
    console, rows = Console(width=140), result['rows']
    for table in (*_grids(rows), _horizons(rows), _peers(rows), _plans(rows), _deadlines(rows),
                  _loops(rows, WARM, 'distance of plans', 'plan_distance_rad', 'mrad', 1e3),
                  _loops(rows, PREFIX, 'jerk rms', 'jerk_rms_rad_s3', 'rad/s³', 1.0),
                  _oracles(rows), _scenes(rows)):
        if table.row_count:
            console.print(table)
    late = [name for name, held in conditions(
        list(of_part(rows, DEADLINE).values())).items() if not held]
    if late:
        console.print(f'deadlines, not held: {"; ".join(late)}', markup=False)
    reasons(rows, lambda text: console.print(text, markup=False))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify='left')
    for index, name in enumerate(columns):
        table.add_column(name, justify='left' if index == 0 else 'right')
    return table


def _ms(row: Row, name: str) -> str:
    return f'{1e3 * row[f"{name}_p50_s"]:.1f} / {1e3 * row[f"{name}_p99_s"]:.1f}'


def _grids(rows: list[Row]) -> list[Table]:
    """Return latency of one denoising run, one table a network."""
    tables = []
    for name, row in of_part(rows, GRID).items():
        counts = sorted({cell['evaluations'] for cell in row['cells']})
        memory = row.get('memory_mb')
        held = f', process of {memory:.0f} MB' if memory else ''
        table = _table(
            f'one denoising run, {name}, one thread, wall p50 / p99 ms{held}; 64 candidates take '
            f'{row["growth"]:.1f} times as long as 1',
            'candidates', *(f'K = {count}' for count in counts), 'each evaluation')
        for candidates in sorted({cell['candidates'] for cell in row['cells']}):
            cells = [_ms(cell, 'wall') for cell in row['cells']
                     if cell['candidates'] == candidates]
            each_s = row['per_evaluation_s'][str(candidates)]
            table.add_row(str(candidates), *cells, number(each_s, 'ms', 2, 1e3))
        tables.append(table)
    return tables


def _horizons(rows: list[Row]) -> Table:
    """Return how latency grows with the horizon: p50 over that of the shortest."""
    found = {int(name.removeprefix(HORIZON)): row['cells']
             for name, row in of_part(rows, GRID).items() if name.startswith(HORIZON)}
    sizes = sorted(found)
    table = _table('growth with the horizon: p50 over that of the shortest', 'candidates',
                   'evaluations', *(f'{size} knots' for size in sizes))
    for places in zip(*(found[size] for size in sizes), strict=True) if len(sizes) > 1 else ():
        cell = places[0]
        table.add_row(str(cell['candidates']), str(cell['evaluations']), *(
            f'{other["wall_p50_s"] / cell["wall_p50_s"]:.2f}' for other in places))
    return table


def _peers(rows: list[Row]) -> Table:
    table = _table('beside the peers: p50 over that of the best of them', 'network', 'horizon',
                   'batch', 'p50', 'ratio', 'in one round', 'best peer')
    for row in of_part(rows, PEERS).values():
        for cell in row['cells']:
            least, most = cell['ratio_rounds']
            table.add_row(
                cell['network'], str(cell['horizon']), str(cell['batch']),
                number(cell['p50_s'], 'ms', 2, 1e3), f'{cell["ratio"]:.2f}',
                f'{least:.2f} to {most:.2f}', cell['best_peer'])
    return table


def _plans(rows: list[Row]) -> Table:
    table = _table('whole plans from rest, back to back, p50 / p99 ms', 'planner', 'wall',
                   'thread', 'success', 'motion', 'scenes', 'parameters')
    for name, row in of_part(rows, PLANS).items():
        lasting = [value for value in row['duration_s'] if value is not None]
        chosen = ', '.join(f'{key} {value}' for key, value in row['parameters'].items())
        table.add_row(
            name, _ms(row, 'wall'), _ms(row, 'cpu'), percent(np.mean(row['success'])),
            number(float(np.mean(lasting)), 's', 2) if lasting else NOTHING,
            str(len(row['success'])), chosen)
    return table


def _deadlines(rows: list[Row]) -> Table:
    table = _table('deadlines, a new seed each time', 'deadline', 'in time', 'wall p50 / p99 ms',
                   'evaluations', 'cost', 'success', 'scenes')
    for name, row in of_part(rows, DEADLINE).items():
        if REFUSED in row:
            table.add_row(name, REFUSED, row[REFUSED], *[NOTHING] * 4)
            continue
        table.add_row(
            name, percent(in_time(row)), _ms(row, 'wall'),
            f'{min(row["evaluations"])} to {max(row["evaluations"])}',
            number(float(np.mean(row['cost_s'])), 's', 2), percent(np.mean(row['success'])),
            str(len(row['success'])))
    return table


def _loops(
    rows: list[Row], part: str, what: str, key: str, unit: str, factor: float
) -> Table:
    """Return the arrangements of a closed loop, means over their scenes."""
    titles = {WARM: 'replanning in closed loop: evaluations from the plan before, from noise',
              PREFIX: 'latency in closed loop, ms: frozen prefix, naive switching'}
    table = _table(titles[part], 'arrangement', *LOOP_COLUMNS, what, 'scenes')
    for name in dict.fromkeys(row['name'] for row in rows if row['part'] == part):
        found = [row for row in rows if row['part'] == part and row['name'] == name]
        plans = sum(row['plans'] for row in found)
        table.add_row(
            name, percent(np.mean([row['success'] for row in found])),
            number(_mean(found, 'time_s'), 's', 2),
            number(sum(row['flips'] for row in found) / max(plans, 1), '', 3), str(plans),
            str(sum(row['rejected'] for row in found)),
            number(_mean(found, key), unit, 1, factor), str(len(found)))
    return table


def _mean(rows: list[Row], key: str) -> float | None:
    values = [row[key] for row in rows if row[key] is not None]
    return float(np.mean(values)) if values else None


def _oracles(rows: list[Row]) -> Table:
    table = _table('closed-form checks of the engine', 'oracle', 'value', 'bound', 'holds')
    for name, row in of_part(rows, ORACLE).items():
        sign = '>=' if row['at_least'] else '<='
        table.add_row(name, f'{row["value"]:.3g}', f'{sign} {row["bound"]:g}',
                      'yes' if row['holds'] else 'NO')
    return table


def _scenes(rows: list[Row]) -> Table:
    """Return what `evaluate arm` found in closed loop."""
    table = _table('closed loops of `evaluate arm`', 'planner', 'tier', 'success',
                   "of the expert's", 'time / expert', 'contacts moving', 'violations',
                   'evaluations', 'plan p50', 'scenes')
    for row in of_part(rows, SCENES).values():
        for cell in row['cells']:
            ratio = cell['time_ratio']
            table.add_row(
                cell['planner'], cell['tier'] or NOTHING, percent(cell['success']),
                percent(cell['of_the_expert']), number(ratio, '', 2), str(cell['contact_moving']),
                str(cell['violations']), f'{cell["evaluations"]:.0f}',
                number(cell['plan_p50_s'], 'ms', 0, 1e3), str(cell['n']))
    return table
