# SPDX-License-Identifier: Apache-2.0
"""The printed comparison of planners: one line a planner and tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from diffusion_control.evaluation import statistics
from diffusion_control.evaluation.episode import Episode

COLUMNS = ('planner', 'success', "of the expert's", 'time / expert', 'contacts moving',
           'at rest', 'violations', 'clearance p50 / min m', 'latency p50 / p99 s', 'roll-outs',
           'n')


def expert_times(episodes: Sequence[Episode]) -> dict[tuple[str | None, int], float]:
    """Return the expert's time [s] in each (tier, episode) that it solved."""
    return {(item.tier, item.episode): item.time_s for item in episodes
            if item.planner == 'expert' and item.success and item.time_s is not None}


def comparison(episodes: Sequence[Episode], tier: str | None, task: str = 'arm') -> Table:
    """Return the table of one tier, the planners in order of appearance."""
    table = Table(title=f'evaluate {task}, {tier or "scenes"}', title_justify='left')
    for index, name in enumerate(COLUMNS):
        table.add_column(name, justify='left' if index == 0 else 'right')
    solved = expert_times(episodes)
    of_tier = [item for item in episodes if item.tier == tier]
    for planner in dict.fromkeys(item.planner for item in of_tier):
        table.add_row(*_cells([item for item in of_tier if item.planner == planner], solved))
    return table


def print_comparison(episodes: Sequence[Episode], task: str = 'arm') -> None:
    """Print the table of each tier."""
    console = Console(width=160)
    for tier in dict.fromkeys(item.tier for item in episodes):
        console.print(comparison(episodes, tier, task))
        if not any(of_tier == tier for of_tier, _ in expert_times(episodes)):
            console.print('the expert reached no goal in time: there is nothing to compare with')


def figures(
    mine: Sequence[Episode], solved: Mapping[tuple[str | None, int], float]
) -> dict[str, Any]:
    """Return one planner's numbers, None for what nothing can be said of.

    Args:
        mine: Its episodes.
        solved: Times of the expert, see `expert_times`.
    """
    of_expert = [item for item in mine if (item.tier, item.episode) in solved]
    both = [item for item in of_expert if item.success and item.time_s is not None]
    spent = np.array([item.time_s for item in both], dtype=float)
    best = np.array([solved[item.tier, item.episode] for item in both], dtype=float)
    return {
        'n': len(mine), 'success': float(np.mean([item.success for item in mine])),
        'of_the_expert': len(both) / len(of_expert) if of_expert else None,
        'time_ratio': float(spent.mean() / best.mean()) if both else None,
        'contact_moving': sum(item.contact_moving for item in mine),
        'violations': sum(item.violation_count for item in mine),
        'evaluations': float(np.mean([item.evaluations for item in mine]))}


def _cells(mine: list[Episode], solved: dict[tuple[str | None, int], float]) -> list[str]:
    """Return one planner's cells."""
    found = figures(mine, solved)
    count, ratio, share = found['n'], found['time_ratio'], found['of_the_expert']
    near = np.array([item.clearance_min_m for item in mine if item.clearance_min_m is not None])
    latency = np.array([value for item in mine for value in item.plan_latency_s])
    error = 100 * statistics.standard_error(sum(item.success for item in mine), count)
    return [
        mine[0].planner,
        f'{100 * found["success"]:.1f} ± {error:.1f} %',
        '-' if share is None else f'{100 * share:.1f} %',
        '-' if ratio is None else f'{ratio:.2f}',
        str(found['contact_moving']),
        str(sum(item.contacts_at_rest for item in mine)),
        str(found['violations']),
        f'{np.median(near):.3f} / {near.min():.3f}' if len(near) else '-',
        (f'{np.median(latency):.3f} / {np.percentile(latency, 99):.3f}' if len(latency) else '-'),
        f'{found["evaluations"]:.0f}',
        str(count),
    ]
