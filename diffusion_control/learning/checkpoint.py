# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: weights, averaged weights and optimiser in one safetensors file; never pickle."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from diffusion_control.diffusion.ema import Ema
from diffusion_control.errors import ConfigurationError
from diffusion_control.learning.settings import check_settings
from diffusion_control.whole_file import written_whole

MOMENTS = ('exp_avg', 'exp_avg_sq', 'step')
FORMAT = 1
FREE_TO_CHANGE = ('steps', 'threads', 'checkpoint_every', 'validate_every', 'validation_scenes')


class Coded(Protocol):
    """The map between motions and what the network says."""

    def as_dict(self) -> dict[str, Any]:
        """Return its names and numbers."""
        ...


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        step: Optimiser steps that are done.
        score: Best closed-loop score of a validation; None = none yet.
    """

    step: int = 0
    score: float | None = None


def save(
    path: Path, network: nn.Module, ema: Ema, optimiser: torch.optim.Optimizer, code: Coded,
    settings: Any, progress: Progress, about: dict[str, Any],
) -> None:
    """Write a checkpoint, whole or not at all."""
    tensors = {f'network.{name}': value for name, value in network.state_dict().items()}
    tensors |= {f'average.{name}': value for name, value in ema.model.state_dict().items()}
    for index, parameter in enumerate(optimiser.param_groups[0]['params']):
        state = optimiser.state[parameter]
        tensors |= {f'optimiser.{index}.{name}': state[name] for name in MOMENTS if name in state}
    text = json.dumps({
        'format': FORMAT, 'settings': asdict(settings), 'progress': asdict(progress),
        'code': code.as_dict(), 'ema_updates': ema.updates, 'about': about})
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as waiting:
        save_file({name: value.contiguous() for name, value in tensors.items()}, waiting,
                  metadata={'diffusion_control': text})


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes:
        tensors: By name.
        settings: Of the training.
        progress: How far it was.
        code: The map of motions.
        ema_updates: Of the averaged weights.
        about: The data set.
    """

    tensors: dict[str, Tensor]
    settings: Any
    progress: Progress
    code: dict[str, Any]
    ema_updates: int
    about: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors below a prefix, without it."""
        return {name.removeprefix(prefix): value for name, value in self.tensors.items()
                if name.startswith(prefix)}

    def restore(self, network: nn.Module, ema: Ema, optimiser: torch.optim.Optimizer) -> None:
        """Put weights, averages and moments back."""
        network.load_state_dict(self.part('network.'))
        ema.model.load_state_dict(self.part('average.'))
        ema.updates = self.ema_updates
        for index, parameter in enumerate(optimiser.param_groups[0]['params']):
            optimiser.state[parameter] = self.part(f'optimiser.{index}.')


def load(path: Path) -> Checkpoint:
    """Return the checkpoint in a file.

    Raises:
        ConfigurationError: It is missing, damaged, or of another kind.
    """
    try:
        with safe_open(path, framework='pt') as archive:
            about = json.loads((archive.metadata() or {})['diffusion_control'])
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
        if about['format'] != FORMAT:
            raise KeyError('format')
        return Checkpoint(
            tensors, check_settings(about['settings'], str(path)), Progress(**about['progress']),
            about['code'], about['ema_updates'], about['about'])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            'cannot read the checkpoint', where=str(path),
            value=f'{type(error).__name__}: {error}',
            allowed='a file that `diffusion_control train` wrote',
            remedy='name one such file, or train anew without --resume') from error


def require_same(found: Any, wanted: Any, where: str) -> None:
    """Refuse to go on with other settings than a checkpoint was made with."""
    old, new = asdict(found), asdict(wanted)
    differing = {
        name: (old[name], new[name]) for name in old
        if old[name] != new.get(name) and name not in FREE_TO_CHANGE}
    if differing:
        raise ConfigurationError(
            'the checkpoint was made with other settings', where=where,
            value={name: pair[0] for name, pair in differing.items()},
            allowed=str({name: pair[1] for name, pair in differing.items()}),
            remedy='train without --resume, or restore the settings')
