# SPDX-License-Identifier: Apache-2.0
"""What `diffusion_control train CONFIG` reads: one YAML file, every value checked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from diffusion_control.errors import ConfigurationError, require_known

SCHEDULE, PREDICTION = 'flow', 'sample'


def setting(default: Any, low: float, high: float, text: str) -> Any:
    """Return a field with its allowed range and meaning."""
    return dataclasses.field(default=default, metadata={'low': low, 'high': high, 'text': text})


def text(default: str, meaning: str) -> Any:
    """Return a field that holds a name or a path."""
    return dataclasses.field(default=default, metadata={'text': meaning})


@dataclass(frozen=True)
class TrainSettings:
    """One training; the fields' `text` says what they mean."""

    robot_config: str = text('panda', 'name in config/robots, or a file')
    data: str = text('data/arm_panda', 'folder that `data generate` wrote')
    denoiser: str = text('mlp', 'a name of diffusion.denoisers')
    width: int = setting(384, 8, 4096, 'numbers between the blocks of the denoiser')
    depth: int = setting(4, 1, 64, 'blocks of the denoiser, where it can be told')
    condition: int = setting(256, 8, 4096, 'length of the condition vector')
    steps: int = setting(8000, 1, 10_000_000, 'optimiser steps')
    batch: int = setting(96, 1, 65536, 'questions per step, over all processes')
    repeats: int = setting(4, 1, 64, 'noised copies of each motion per step')
    learning_rate: float = setting(1e-3, 1e-7, 1.0, 'highest, of AdamW; cosine from there')
    weight_decay: float = setting(1e-3, 0.0, 1.0, 'of AdamW')
    warm_up_steps: int = setting(200, 0, 1_000_000, 'steps until the highest learning rate')
    gradient_norm: float = setting(1.0, 1e-3, 1e6, 'longest gradient')
    ema_decay: float = setting(0.998, 0.0, 0.999999, 'of the averaged weights, which are exported')
    collision_weight: float = setting(10.0, 0.0, 1e6, 'of the cost of the clean estimate [1/m^2]')
    regression: bool = setting(
        False, 0, 1, 'say the mean motion of a question, whatever the noise: behaviour cloning')
    reverse: bool = setting(
        True, 0, 1, 'run half of the motions backwards; not where a way back is another habit')
    longest_ratio: float = setting(
        1.2, 1.0, 100.0, 'motions longer than this times the shortest of their scene are left out')
    seed: int = setting(0, 0, 2**31 - 1, 'of weights, batches and noise')
    threads: int = setting(1, 1, 256, 'of torch, per process')
    bfloat16: bool = setting(
        True, 0, 1, 'compute the network in bfloat16, where the processor does so itself')
    checkpoint_every: int = setting(500, 1, 1_000_000, 'steps between checkpoints')
    validate_every: int = setting(4000, 0, 10_000_000, 'steps between validations; 0 = never')
    validation_scenes: int = setting(40, 2, 10_000, 'scenes of a validation, half of them hard')


def read_settings(path: Path) -> Any:
    """Return the settings of a YAML file; what it does not name has its default.

    They are `TrainSettings`, or `MazeSettings` where the file says `task: maze`.

    Raises:
        ConfigurationError: The file is missing, is no mapping, or holds a bad key or value.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(
            'cannot read the training settings', where=str(path), value=str(error),
            allowed='a YAML file', remedy='for example config/training/arm_panda.yaml') from error
    if not isinstance(values, dict):
        raise ConfigurationError(
            'the training settings are no mapping', where=str(path), value=values,
            allowed='name: value')
    return check_settings(values, str(path))


def check_settings(values: dict[str, Any], where: str) -> Any:
    """Return settings from a mapping; errors as in `read_settings`."""
    kind = settings_type(values.get('task'))
    known = {f.name: f for f in dataclasses.fields(kind)}
    for name, value in values.items():
        if name not in known:
            raise ConfigurationError(
                f'unknown setting {name}', where=where, value=value,
                allowed=', '.join(sorted(known)))
        _check(known[name], value, where)
    kinds: dict[str, Any] = {name: type(known[name].default) for name in values}
    return kind(**{name: kinds[name](value) for name, value in values.items()})


def settings_type(task: object) -> Any:
    """Return the class of the settings of a task; without one it is an arm's."""
    if task is None:
        return TrainSettings
    from diffusion_control.learning.maze_settings import MAZE_TASK, MazeSettings
    require_known('unknown task of a training', 'task', str(task), (MAZE_TASK,))
    return MazeSettings


def _check(field: dataclasses.Field[Any], value: Any, where: str) -> None:
    """Raise a ConfigurationError unless a value has its field's type and range."""
    wanted: type = type(field.default)
    if wanted is str or wanted is bool:
        good, allowed = isinstance(value, wanted), wanted.__name__
    else:
        low, high = field.metadata['low'], field.metadata['high']
        number = isinstance(value, int | float) and not isinstance(value, bool)
        good = number and low <= value <= high and (
            wanted is float or float(value).is_integer())
        allowed = f'{wanted.__name__} in [{low}, {high}]'
    if not good:
        raise ConfigurationError(
            f'bad value of {field.name}', where=f'{where}: {field.name}', value=value,
            allowed=f'{allowed} ({field.metadata["text"]})')
