# SPDX-License-Identifier: Apache-2.0
"""The denoising steps as a strip (PNG) and as an animation (GIF), drawn without a display."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from diffusion_control.explain.denoising import Trace
from diffusion_control.explain.stage import Stage

Array = NDArray[np.float64]
NOISED, CLEAN, PLAN = '#98a2b3', '#2f6fb0', '#3a9d5d'
MOST_PANELS = 5
FRAME_MS, LAST_MS = 450, 2500
MOST_DRAWN = 12


def draw_strip(stage: Stage, trace: Trace, plan: Array, path: Path) -> None:
    """Draw some steps side by side, the plan last.

    Args:
        stage: The scene.
        trace: The steps.
        plan: Places of the plan, [K, 3] [m].
        path: The PNG to write.
    """
    shown = np.unique(np.linspace(0, len(trace.steps) - 1, MOST_PANELS).round().astype(int))
    count = len(shown) + 1
    figure = Figure(figsize=(3.1 * count, 3.4), dpi=90, facecolor='white')
    canvas = FigureCanvasAgg(figure)
    for column, step in enumerate([*shown.tolist(), None]):
        axes = figure.add_axes(
            ((column + 0.16) / (count + 0.25), 0.16, 0.78 / (count + 0.25), 0.7),
            projection=stage.projection)
        stage.draw(axes, 'the plan' if step is None else trace.title(step))
        if step is None:
            stage.path(axes, plan, color=PLAN, linewidth=2.2, zorder=11)
            continue
        for places in trace.noised[step][:MOST_DRAWN]:
            stage.path(axes, places, color=NOISED, linewidth=0.5, alpha=0.8, zorder=9)
        for places in trace.clean[step][:MOST_DRAWN]:
            stage.path(axes, places, color=CLEAN, linewidth=0.9, alpha=0.8, zorder=10)
    canvas.figure.savefig(path)


def draw_animation(stage: Stage, trace: Trace, plan: Array, path: Path) -> None:
    """Draw every step as a frame of a GIF, the plan last; arguments as for `draw_strip`."""
    figure = Figure(figsize=(5.0, 4.2), dpi=80, facecolor='white')
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.12, 0.12, 0.82, 0.78), projection=stage.projection)
    stage.draw(axes, ' ')
    count = min(MOST_DRAWN, *(len(places) for places in trace.clean))
    grey = [stage.path(axes, trace.noised[0][k], color=NOISED, linewidth=0.7, zorder=9)
            for k in range(count)]
    blue = [stage.path(axes, trace.clean[0][k], color=CLEAN, linewidth=1.2, zorder=10)
            for k in range(count)]
    green = stage.path(axes, plan, color=PLAN, linewidth=3.0, zorder=11, visible=False)
    frames = []
    for step in range(len(trace.steps)):
        for k in range(count):
            stage.move(grey[k], trace.noised[step][k])
            stage.move(blue[k], trace.clean[step][k])
        axes.set_title(trace.title(step), loc='left', fontsize=9.5, fontweight='bold')
        frames.append(_frame(canvas))
    for line in grey:
        line.set_visible(False)
    green.set_visible(True)
    axes.set_title('the plan', loc='left', fontsize=9.5, fontweight='bold')
    frames.append(_frame(canvas))
    frames[0].save(
        path, save_all=True, append_images=frames[1:], loop=0, optimize=True,
        duration=[FRAME_MS] * (len(frames) - 1) + [LAST_MS])


def _frame(canvas: FigureCanvasAgg) -> Image.Image:
    """Return what is drawn now, in 64 colours."""
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    return Image.fromarray(np.ascontiguousarray(pixels)).quantize(64)
