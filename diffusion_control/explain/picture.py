# SPDX-License-Identifier: Apache-2.0
"""`explain.png`: guidance, counterfactuals, score norms, costs and constraints in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from diffusion_control.evaluation.picture_style import QUIET, style
from diffusion_control.explain.compare import Variant
from diffusion_control.explain.constraints import Active
from diffusion_control.explain.denoising import NO_TRACE, Trace
from diffusion_control.explain.stage import Stage

Array = NDArray[np.float64]
PLAN = '#3a9d5d'
COLOURS = ('#c0473f', '#d9822b', '#7b61b5', '#8c6b4f', '#cf6ea8', '#2f6fb0', '#667085')


def draw_explanation(
    stage: Stage, plan: Array, paths: Mapping[str, Array], swept: Sequence[Variant],
    without: Sequence[Variant], trace: Trace | None, terms: Mapping[str, Sequence[float]],
    active: Active, path: Path,
) -> None:
    """Draw the picture.

    Args:
        stage: The scene.
        plan: Places of the explained plan, [K, 3] [m].
        paths: Places of the variants by name.
        swept: Plans over strengths of guidance.
        without: Counterfactuals.
        trace: Reverse steps; None for a planner that has none.
        terms: Cost terms of the candidates by name.
        active: Constraints along the plan.
        path: The PNG to write.
    """
    figure = Figure(figsize=(13.0, 8.6), dpi=90, facecolor='white')
    canvas = FigureCanvasAgg(figure)
    width, bottom = (0.29, 0.46) if stage.flat else (0.42, 0.48)
    left = figure.add_axes((0.05, bottom, width, 0.48), projection=stage.projection)
    right = figure.add_axes((0.54, bottom, width, 0.48), projection=stage.projection)
    legend: dict[str, Any] = {'bbox_to_anchor': (1.0, 1.0)} if stage.flat else {
        'bbox_to_anchor': (0.04, 0.0), 'ncols': 2}
    stage.draw(left, 'Guidance: weak (dark) to strong (bright)')
    shades = matplotlib.colormaps['plasma'](np.linspace(0.0, 0.9, max(len(swept), 1)))
    _paths(left, stage, swept, paths, list(shades))
    stage.draw(right, 'Without ...')
    _paths(right, stage, without, paths, COLOURS)
    for axes in (left, right):
        stage.path(axes, plan, color=PLAN, linewidth=2.6, zorder=12, label='the plan')
        axes.legend(fontsize=7, frameon=False, loc='upper left', **legend)
    for variant in without:
        if variant.obstacle is not None:
            stage.name(right, variant.obstacle)
    grid = figure.add_gridspec(1, 3, left=0.06, right=0.97, top=0.34, bottom=0.12, wspace=0.28)
    _norms(figure.add_subplot(grid[0]), trace)
    _terms(figure.add_subplot(grid[1]), terms)
    _constraints(figure.add_subplot(grid[2]), active)
    canvas.figure.savefig(path)


def _paths(
    axes: Any, stage: Stage, variants: Sequence[Variant], paths: Mapping[str, Array],
    colours: Sequence[Any],
) -> None:
    for k, variant in enumerate(variants):
        stage.path(
            axes, paths[variant.name], color=colours[k % len(colours)], linewidth=1.5, zorder=11,
            linestyle='-' if variant.numbers['free'] else ':',
            label=variant.name.removeprefix('guidance_scale=')
            + ('' if variant.numbers['free'] else ' (not free)'))


def _norms(axes: Any, trace: Trace | None) -> None:
    style(axes, 'Score norm of each knot', 'reverse step', 'knot')
    axes.grid(False)
    if trace is None:
        axes.text(0.5, 0.5, NO_TRACE, transform=axes.transAxes,
                  ha='center', color=QUIET, fontsize=8)
        return
    norms = trace.score_norms()
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    image = axes.imshow(
        norms, aspect='auto', cmap='magma', interpolation='nearest',
        extent=(0.5, norms.shape[1] + 0.5, len(norms) + 0.5, 0.5))
    axes.figure.colorbar(image, ax=axes, pad=0.02).ax.tick_params(labelsize=7)


def _terms(axes: Any, terms: Mapping[str, Sequence[float]]) -> None:
    style(axes, 'Cost terms of the candidates', '', 'candidate')
    count = len(next(iter(terms.values()), ()))
    bottom, places = np.zeros(count), np.arange(1, count + 1)
    for k, (name, values) in enumerate(terms.items()):
        axes.bar(places, values, bottom=bottom, color=COLOURS[k % len(COLOURS)], label=name,
                 width=0.7)
        bottom += np.asarray(values)
    axes.set_xticks(places)
    axes.set_ylim(top=1.15 * max(float(bottom.max(initial=0.0)), 1e-9))
    axes.legend(fontsize=7, frameon=False, ncols=3, loc='upper left')


def _constraints(axes: Any, active: Active) -> None:
    style(axes, "The filter's room along the plan (0: active)", "g'v - b", 'time [s]')
    for k, (name, row) in enumerate(active.slack.items()):
        if np.isfinite(row).any():
            axes.plot(active.times_s, row, color=COLOURS[k % len(COLOURS)], linewidth=1.2,
                      label=name.replace('_', ' '))
    axes.axhline(0.0, color='#b42318', linewidth=0.8)
    axes.set_yscale('symlog', linthresh=0.1)
    axes.legend(fontsize=6.5, frameon=False, ncols=3, loc='upper left',
                bbox_to_anchor=(0.0, -0.2))
