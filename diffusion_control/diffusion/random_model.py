# SPDX-License-Identifier: Apache-2.0
"""A denoiser with random weights as a model's folder: to time a shape before anything is trained.

The graph is the whole sampler, as that of a trained planner, for any batch and any number of
steps.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from diffusion_control.diffusion.denoisers import make_denoiser
from diffusion_control.diffusion.export import export_sampler
from diffusion_control.diffusion.graph_step import STATE, SamplerStep, StepSpec

AXES = {'batch': 'B', 'rows': 'K'}
UNMEASURED = ('value', 'sem', 'episodes', 'expert', 'random', 'untrained')
FACTORS = (1, 2, 4)


def write_random(
    folder: Path, name: str, *, horizon: int, channels: int, condition: int, width: int,
    factors: Sequence[int] = FACTORS, seed: int = 0,
) -> int:
    """Write `model.onnx` and `card.json` to a folder and return the number of parameters.

    Args:
        folder: Made if it is not there.
        name: Of a U-Net in `denoisers`.
        horizon: Knots of a motion.
        channels: Numbers of a knot.
        condition: Length of the condition.
        width: Features of the first level.
        factors: Of the levels.
        seed: Of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make_denoiser(
            name, horizon, channels, condition, width=width, factors=factors)
    exported = export_sampler(SamplerStep(network, StepSpec(horizon, channels, condition)))
    model = exported.SerializeToString()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'model.onnx').write_bytes(model)
    (folder / 'card.json').write_text(
        json.dumps(_card(exported.graph, model, channels, seed)), encoding='utf-8')
    return sum(p.numel() for p in network.parameters())


def _tensors(values: Any) -> dict[str, Any]:
    """Return inputs or outputs of a graph as a card has them."""
    return {value.name: {'dtype': 'float32', 'shape': [
        size.dim_value or AXES[size.dim_param] for size in value.type.tensor_type.shape.dim]}
        for value in values}


def _card(graph: Any, model: bytes, channels: int, seed: int) -> dict[str, Any]:
    """Return the card of a model that was never trained."""
    return {
        'sha256': hashlib.sha256(model).hexdigest(), 'inputs': _tensors(graph.input),
        'outputs': _tensors(graph.output), 'state': {name: f'{name}_out' for name in STATE},
        'joint_names': [f'joint{i + 1}' for i in range(channels)], 'normaliser': {},
        'rate_hz': 10.0, 'train_command': ' '.join(sys.argv) or 'none', 'data_seed': seed,
        'commit': 'untrained', 'diffusion': {'schedule': 'cosine', 'prediction': 'epsilon'},
        'score': {'task': 'none', **dict.fromkeys(UNMEASURED)}}
