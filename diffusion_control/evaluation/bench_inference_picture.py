# SPDX-License-Identifier: Apache-2.0
"""`result.png` of `bench inference`: latency, whole plans, deadlines, closed loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from diffusion_control.evaluation.bench_inference_deadlines import REFUSED, in_time
from diffusion_control.evaluation.bench_inference_setup import (
    DEADLINE,
    GRID,
    PLANS,
    PREFIX,
    WARM,
    Row,
    of_part,
)
from diffusion_control.evaluation.picture_style import MOVING, QUIET, STANDING, style

SIZE_IN, DPI = (12.6, 8.4), 110
LINES = ('#2f6fb0', '#d9822b', '#3a9d5d', '#c0473f')
ENOUGH = 0.99


def draw_result(rows: Sequence[Row], path: Path) -> None:
    """Draw what was measured; a part without rows leaves its axes empty.

    Args:
        rows: Of the bench.
        path: The PNG to write.
    """
    figure = Figure(figsize=SIZE_IN, dpi=DPI, facecolor='white', layout='constrained')
    FigureCanvasAgg(figure)
    parts: tuple[Callable[[Any, Sequence[Row]], None], ...] = (
        _grid, _plans, _deadlines, _loops)
    for axes, draw in zip(figure.subplots(2, 2).flat, parts, strict=True):
        draw(axes, rows)
    figure.savefig(path)


def _grid(axes: Any, rows: Sequence[Row]) -> None:
    """Draw the latency of one denoising run over its evaluations, p50 as lines, p99 as dots."""
    style(axes, 'one denoising run, one thread: p50, dots p99', 'ms', 'evaluations')
    for (name, row), line in zip(of_part(rows, GRID).items(), ('-', '--', ':', '-.'),
                                 strict=False):
        counts = sorted({cell['candidates'] for cell in row['cells']})
        for count, colour in zip(counts, LINES, strict=False):
            cells = [cell for cell in row['cells'] if cell['candidates'] == count]
            steps = [cell['evaluations'] for cell in cells]
            axes.plot(steps, [1e3 * cell['wall_p50_s'] for cell in cells], line, color=colour,
                      linewidth=1.3, label=f'{name}, {count}')
            axes.plot(steps, [1e3 * cell['wall_p99_s'] for cell in cells], '.', color=colour,
                      markersize=4)
    if axes.lines:
        axes.set_xscale('log')
        axes.set_yscale('log')
        axes.set_xticks(steps, [str(count) for count in steps])
        axes.minorticks_off()
        axes.legend(fontsize=6, ncols=2, frameon=False)


def _plans(axes: Any, rows: Sequence[Row]) -> None:
    """Draw how long whole plans take, and how many succeed."""
    style(axes, 'whole plans from rest: p50, p99, success', '', 'ms')
    plans = of_part(rows, PLANS)
    for place, row in enumerate(reversed(plans.values())):
        axes.barh(place, 1e3 * row['wall_p99_s'], color=STANDING, alpha=0.45, height=0.6)
        axes.barh(place, 1e3 * row['wall_p50_s'], color=STANDING, height=0.6)
        axes.text(1e3 * row['wall_p99_s'], place, f'  {np.mean(row["success"]):.0%}', va='center',
                  fontsize=7, color=QUIET)
    axes.set_yticks(range(len(plans)), list(reversed(plans)), fontsize=7)


def _deadlines(axes: Any, rows: Sequence[Row]) -> None:
    """Draw the share of answers in time, and the cost of the best candidate, over deadlines."""
    style(axes, 'deadlines: answers in time, success, cost', 'share', 'ms')
    kept = {1e3 * row['deadline_s']: row for row in of_part(rows, DEADLINE).values()
            if REFUSED not in row}
    if not kept:
        return
    times = sorted(kept)
    axes.plot(times, [in_time(kept[t]) for t in times], 'o-', color=LINES[0], label='in time')
    axes.plot(times, [np.mean(kept[t]['success']) for t in times], 's-', color=LINES[2],
              label='success')
    axes.axhline(ENOUGH, color=QUIET, linewidth=0.6, linestyle=':')
    axes.set_ylim(0.0, 1.05)
    cost = axes.twinx()
    cost.plot(times, [np.mean(kept[t]['cost_s']) for t in times], '^--', color=MOVING,
              label='cost [s]')
    cost.set_ylim(bottom=0.0)
    cost.tick_params(labelsize=7.5, colors=MOVING)
    axes.legend(handles=[*axes.lines[:2], *cost.lines], fontsize=7, frameon=False, loc='best')


def _loops(axes: Any, rows: Sequence[Row]) -> None:
    """Draw success of the closed loops by arrangement, with one standard error."""
    style(axes, 'closed loops: success by start and by latency')
    found = [row for row in rows if row['part'] in (WARM, PREFIX)]
    names = list(dict.fromkeys(row['name'] for row in found))
    for place, name in enumerate(names):
        good = np.array([row['success'] for row in found if row['name'] == name], dtype=float)
        colour = MOVING if name.startswith('naive') else STANDING
        axes.bar(place, good.mean(), color=colour, width=0.65,
                 yerr=np.sqrt(good.mean() * (1.0 - good.mean()) / len(good)), ecolor=QUIET)
    axes.set_xticks(range(len(names)), names, rotation=35, ha='right', fontsize=7)
    axes.set_ylim(0.0, 1.05)
