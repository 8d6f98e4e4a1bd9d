# SPDX-License-Identifier: Apache-2.0
"""Write one of our denoisers with random weights as a model's folder, by a python with torch.

Usage: PYTHONPATH=. TORCH/bin/python benchmarks/peers/export_ours.py film_unet /tmp/model

The graph is the whole sampler, as a trained planner would be exported, for any batch and number
of steps. Prints one line of JSON: {name, torch, parameters}.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch

from diffusion_control.diffusion.denoisers import DENOISERS, make_denoiser
from diffusion_control.diffusion.export import export_sampler
from diffusion_control.diffusion.graph_step import STATE, SamplerStep, StepSpec

AXES = {'batch': 'B', 'rows': 'K'}


def tensors(values: Any) -> dict[str, Any]:
    """Return inputs or outputs of a graph as a card has them."""
    return {value.name: {'dtype': 'float32', 'shape': [
        size.dim_value or AXES[size.dim_param] for size in value.type.tensor_type.shape.dim]}
        for value in values}


def card(graph: Any, model: bytes, channels: int, seed: int) -> dict[str, Any]:
    """Return the card of a model that was never trained."""
    unmeasured = dict.fromkeys(
        ('value', 'sem', 'episodes', 'expert', 'random', 'untrained'))
    return {
        'sha256': hashlib.sha256(model).hexdigest(), 'inputs': tensors(graph.input),
        'outputs': tensors(graph.output), 'state': {name: f'{name}_out' for name in STATE},
        'joint_names': [f'joint{i + 1}' for i in range(channels)], 'normaliser': {},
        'rate_hz': 10.0, 'train_command': ' '.join(sys.argv), 'data_seed': seed,
        'commit': 'untrained', 'score': {'task': 'none', **unmeasured}}


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('name', choices=sorted(DENOISERS))
    parser.add_argument('folder', type=Path)
    parser.add_argument('--horizon', type=int, default=16)
    parser.add_argument('--channels', type=int, default=7)
    parser.add_argument('--condition', type=int, default=14, help='length of the condition')
    parser.add_argument('--width', type=int, default=64, help='features of the first level')
    parser.add_argument('--factors', type=int, nargs='+', default=[1, 2, 4])
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Write the folder."""
    asked = arguments()
    torch.manual_seed(asked.seed)
    network = make_denoiser(asked.name, asked.horizon, asked.channels, asked.condition,
                            width=asked.width, factors=asked.factors)
    exported = export_sampler(SamplerStep(
        network, StepSpec(asked.horizon, asked.channels, asked.condition)))
    model = exported.SerializeToString()
    asked.folder.mkdir(parents=True, exist_ok=True)
    (asked.folder / 'model.onnx').write_bytes(model)
    (asked.folder / 'card.json').write_text(
        json.dumps(card(exported.graph, model, asked.channels, asked.seed)), encoding='utf-8')
    print(json.dumps({'name': asked.name, 'torch': torch.__version__,
                      'parameters': sum(p.numel() for p in network.parameters())}))


if __name__ == '__main__':
    main()
