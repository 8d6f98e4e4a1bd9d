# SPDX-License-Identifier: Apache-2.0
"""Which knot looks at which: the attention maps of a network that has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from diffusion_control.evaluation.picture_style import style
from diffusion_control.explain.denoising import STEPS
from diffusion_control.explain.question import LEAST_STEPS, Question
from diffusion_control.inference import packages
from diffusion_control.inference.attention import AttentionReader

Array = NDArray[np.float64]
NONE, UNREAD = 'the network has no attention', 'the package onnx is needed to read attention maps'


class _Listener:
    """A sampler that keeps what it is asked; everything else is the sampler's own."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler
        self.asked: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

    def run(self, inputs: Mapping[str, Any], steps: int) -> Any:
        """Keep the question and pass it on."""
        self.asked.append(dict(inputs))
        return self._sampler.run(inputs, steps)


def attention_maps(question: Question, steps: int | None) -> list[Array] | str:
    """Return the maps of each reverse step, [layers, heads, T, T], averaged over the motions.

    Token 0 is the condition, the others are the knots in their order. Without such a network the
    answer says so.
    """
    network = getattr(question.planner, 'network', None)
    if network is None:
        return NONE
    if not packages.installed('onnx'):
        return UNREAD
    reader = AttentionReader(network.folder)
    if not reader.layers:
        return NONE
    count = steps or max(LEAST_STEPS, question.values[STEPS])
    chain, kept = network.chain, network.chain.sampler
    listener = _Listener(kept)
    chain.sampler = listener
    try:
        question.plan(observer=lambda step: None, num_inference_steps=count)
    finally:
        chain.sampler = kept
    return [np.stack([layer.mean((0, 1)) for layer in reader.maps(inputs)]).astype(float)
            for inputs in listener.asked[:count]]


def draw_attention(maps: list[Array], path: Path) -> None:
    """Draw the heads' mean of each layer (rows) at the first, a middle and the last step."""
    shown = sorted({0, len(maps) // 2, len(maps) - 1})
    layers = len(maps[0])
    figure = Figure(figsize=(3.0 * len(shown), 2.8 * layers), dpi=90, facecolor='white')
    canvas = FigureCanvasAgg(figure)
    grid = figure.subplots(layers, len(shown), squeeze=False)
    for layer in range(layers):
        for column, step in enumerate(shown):
            axes = grid[layer][column]
            style(axes, f'layer {layer + 1}, step {step + 1}', 'looks', 'at (0: condition)')
            axes.grid(False)
            axes.imshow(maps[step][layer].mean(0), cmap='magma', vmin=0.0)
    figure.tight_layout()
    canvas.figure.savefig(path)
