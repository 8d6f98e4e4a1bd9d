# SPDX-License-Identifier: Apache-2.0
"""What `diffusion_control train CONFIG` reads where CONFIG says `task: maze`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from diffusion_control.errors import ConfigurationError
from diffusion_control.learning.settings import setting, text

MAZE_TASK = 'maze'
CHANNELS = 4
MULTIPLES = {'horizon': 4, 'batch': 8, 'knot_s': 0.02}


@dataclass(frozen=True)
class MazeSettings:
    """One training of the planner of mazes; the fields' `text` says what they mean."""

    task: str = text(MAZE_TASK, 'maze')
    data: str = text('data/maze', 'folder of the drives; made if it is not there')
    drives: int = setting(16000, 10, 10_000_000, 'demonstrations to make')
    jobs: int = setting(2, 1, 256, 'processes that make them')
    horizon: int = setting(32, 4, 1024, 'knots of a window, a multiple of 4')
    knot_s: float = setting(0.04, 0.02, 1.0, 'time between knots, a multiple of 0.02 [s]')
    value_model: str = text('', 'model whose value network is taken over; empty: one is fitted')
    value_steps: int = setting(1500, 1, 1_000_000, 'optimiser steps of the value network')
    value_batch: int = setting(64, 1, 65536, 'maps per step')
    width: int = setting(32, 8, 1024, 'features of the first level of the U-Net')
    steps: int = setting(8000, 1, 10_000_000, 'optimiser steps of the denoiser')
    batch: int = setting(128, 8, 65536, 'windows per step, a multiple of 8')
    learning_rate: float = setting(1e-3, 1e-7, 1.0, 'highest, of AdamW; cosine from there')
    weight_decay: float = setting(1e-4, 0.0, 1.0, 'of AdamW')
    warm_up_steps: int = setting(200, 0, 1_000_000, 'steps until the highest learning rate')
    gradient_norm: float = setting(1.0, 1e-3, 1e6, 'longest gradient')
    ema_decay: float = setting(0.998, 0.0, 0.999999, 'of the averaged weights, which are exported')
    wall_weight: float = setting(20.0, 0.0, 1e6, 'of what clean estimates are in walls [1/cell^2]')
    walls_from: int = setting(4000, 0, 10_000_000, 'step from which walls cost')
    regression: bool = setting(
        False, 0, 1, 'say the mean motion, whatever the noise: behaviour cloning')
    seed: int = setting(0, 0, 2**31 - 1, 'of data, weights, batches and noise')
    threads: int = setting(1, 1, 256, 'of torch')
    checkpoint_every: int = setting(500, 1, 1_000_000, 'steps between checkpoints')

    def __post_init__(self) -> None:
        """Refuse what is no multiple of what it has to be."""
        for name, unit in MULTIPLES.items():
            value = getattr(self, name)
            if not math.isclose(value / unit, round(value / unit), abs_tol=1e-6):
                raise ConfigurationError(
                    'bad setting', where=name, value=value, allowed=f'a multiple of {unit}')
