# SPDX-License-Identifier: Apache-2.0
"""The printed comparison in the mazes: a line a planner, a table a layout, averages, sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from diffusion_control.evaluation import statistics
from diffusion_control.evaluation.maze.options import EXPERT, MAZE2D, MazeOptions
from diffusion_control.evaluation.maze.published import PUBLISHED, Published

Array = NDArray[np.float64]
COLUMNS = ('planner', 'return', 'score', 'success', 'time s', '/ expert', 'evaluations',
           'plan ms p50 / p99', 'plans', 'between', 'ball', 'trapped', 'n')
"""`plans`, `between` and `ball` are overlaps with walls: at knots, between knots, of the mass."""
H_COLUMNS = ('h plan', 'h between', 'h ball')


def print_mazes(rows: Sequence[dict[str, Any]], options: MazeOptions) -> None:
    """Print a table for each layout, the averages over them, and what is published."""
    console = Console(width=190 if options.specification else 160)
    counted = [row for row in rows if row['changed'] or not options.changes]
    if options.changes:
        console.print(f'changed on the way: {len(counted)} of {len(rows)} drives; these count')
    layouts = list(dict.fromkeys(row['layout'] for row in counted))
    for layout in layouts:
        console.print(layout_table([r for r in counted if r['layout'] == layout], options))
    if len(layouts) > 1:
        console.print(average_table(counted, options))
    if options.task == MAZE2D and options.named:
        console.print(published_table(options.multi))
        console.print(origin(rows, options))


def layout_table(rows: Sequence[dict[str, Any]], options: MazeOptions) -> Table:
    """Return the table of one layout, the planners in order of appearance."""
    title = f'evaluate {options.task}, {rows[0]["layout"]}{kind_of(options)}'
    table = Table(title=f'{title}; in walls: plans at knots, plans between, the ball',
                  title_justify='left')
    for index, name in enumerate((*COLUMNS, *(H_COLUMNS if options.specification else ()))):
        table.add_column(name, justify='left' if index == 0 else 'right', no_wrap=True)
    expert = {row['episode']: row['time_s'] for row in rows
              if row['planner'] == EXPERT and row['success']}
    for planner in dict.fromkeys(row['planner'] for row in rows):
        mine = [row for row in rows if row['planner'] == planner]
        table.add_row(*_cells(mine, expert), *(_least_h(mine) if options.specification else ()))
    return table


def kind_of(options: MazeOptions) -> str:
    """Return what was asked for besides the layout, as words of a title."""
    goals = options.goals.name if options.goals else ''
    words = {
        'goals drawn': options.multi, f'goals of {goals}': goals,
        f'specification {options.specification}': options.specification,
        'without filter': options.specification and not options.safety,
        'open loop': options.open_loop, 'ideal tracker': options.ideal,
        f'goal moved at {options.move_goal_at}': options.move_goal_at,
        f'cell blocked at {options.block_cell_at}': options.block_cell_at,
        f'model {options.model}': options.model, f'seed {options.seed}': options.seed}
    return ''.join(f', {text}' for text, given in words.items() if given)


def _least_h(mine: Sequence[dict[str, Any]]) -> list[str]:
    """Return least h, and in how many episodes it is below 0: in plans, between, of the ball."""
    found = []
    for name in ('h_min_plan', 'h_min_dense', 'h_min_rollout'):
        values = np.array([row[name] for row in mine if row[name] is not None], dtype=float)
        found.append(f'{values.min():.3f} ({(values < 0.0).sum()})' if len(values) else '-')
    return found


def mean_text(groups: Sequence[Array]) -> str:
    """Return `mean ± standard error` of the mean of groups; `-` where a score is missing."""
    if not groups or any(np.isnan(group).any() for group in groups):
        return '-'
    value = float(np.mean([group.mean() for group in groups]))
    return f'{value:.1f} ± {statistics.mean_error(groups):.1f}'


def average_table(rows: Sequence[dict[str, Any]], options: MazeOptions) -> Table:
    """Return mean score and success over the layouts."""
    table = Table('planner', 'mean score', 'success', 'n', title='over the layouts',
                  title_justify='left')
    layouts = list(dict.fromkeys(row['layout'] for row in rows))
    for planner in dict.fromkeys(row['planner'] for row in rows):
        mine = [row for row in rows if row['planner'] == planner]
        groups = [_scores([r for r in mine if r['layout'] == name]) for name in layouts]
        if min(len(group) for group in groups):
            table.add_row(planner, mean_text(groups), _success(mine), str(len(mine)))
    return table


def published_table(multi: bool) -> Table:
    """Return the published scores for single or drawn goals."""
    table = Table('published', 'umaze', 'medium', 'large', 'mean', 'source',
                  title='learned from the data of D4RL', title_justify='left')
    for item in PUBLISHED:
        scores = item.multi if multi else item.single
        if scores is not None:
            table.add_row(*_published(item, scores))
    return table


def origin(rows: Sequence[dict[str, Any]], options: MazeOptions) -> str:
    """Return the sentence without which the scores cannot be compared."""
    groups = [_scores([r for r in rows if r['planner'] == EXPERT and r['layout'] == name])
              for name in options.names]
    return ("The published planners were trained on D4RL data; ours on its own scripted expert's "
            f'drives, which score {mean_text(groups)} here.')


def _published(item: Published, scores: Sequence[float]) -> list[str]:
    return [item.name, *(f'{score:.1f}' for score in scores), f'{np.mean(scores):.1f}',
            item.source]


def _scores(rows: Sequence[dict[str, Any]]) -> Array:
    return np.array([row['score'] for row in rows], dtype=float)


def _success(rows: Sequence[dict[str, Any]]) -> str:
    good = sum(row['success'] for row in rows)
    error = 100.0 * statistics.standard_error(good, len(rows))
    return f'{100.0 * good / len(rows):.1f} ± {error:.1f} %'


def _cells(mine: Sequence[dict[str, Any]], expert: dict[int, float]) -> list[str]:
    """Return one planner's cells."""
    reached = [row for row in mine if row['success']]
    both = [row for row in reached if row['episode'] in expert]
    spent = np.array([row['time_s'] for row in both], dtype=float)
    best = np.array([expert[row['episode']] for row in both], dtype=float)
    latency = 1e3 * np.array([value for row in mine for value in row['plan_latency_s']])
    return [
        mine[0]['planner'], f'{np.mean([row["return"] for row in mine]):.0f}',
        mean_text([_scores(mine)]), _success(mine),
        f'{np.mean([row["time_s"] for row in reached]):.2f}' if reached else '-',
        f'{spent.mean() / best.mean():.2f}' if both else '-',
        f'{np.mean([row["evaluations"] for row in mine]):.0f}',
        f'{np.median(latency):.1f} / {np.percentile(latency, 99):.1f}' if len(latency) else '-',
        *(str(sum(row['violations'][name] or 0 for row in mine))
          for name in ('plan', 'inter_sample', 'roll_out')),
        str(sum(row['trapped'] for row in mine)), str(len(mine))]
