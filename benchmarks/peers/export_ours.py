# SPDX-License-Identifier: Apache-2.0
"""Write one of our denoisers with random weights as a model's folder, by a python with torch.

Usage: PYTHONPATH=. TORCH/bin/python benchmarks/peers/export_ours.py film_unet /tmp/model

The graph is the whole sampler, as a trained planner would be exported, for any batch and number
of steps. Prints one line of JSON: {name, torch, parameters}.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from diffusion_control.diffusion.denoisers import DENOISERS
from diffusion_control.diffusion.random_model import write_random


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
    parameters = write_random(
        asked.folder, asked.name, horizon=asked.horizon, channels=asked.channels,
        condition=asked.condition, width=asked.width, factors=asked.factors, seed=asked.seed)
    print(json.dumps({'name': asked.name, 'torch': torch.__version__, 'parameters': parameters}))


if __name__ == '__main__':
    main()
