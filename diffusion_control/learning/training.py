# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control train CONFIG`: fit the denoiser, in one process or in several.

Every draw depends on (seed, step, process) alone, so that a resumed training continues with the
same numbers. With `torchrun` each process takes its share of the batch and gradients are averaged.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, distributed, nn

from diffusion_control.diffusion.ema import Ema
from diffusion_control.diffusion.loss import DiffusionLoss
from diffusion_control.diffusion.prediction import Prediction
from diffusion_control.diffusion.schedules import make_schedule
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.host import command_line
from diffusion_control.evaluation.workers import warm_robot
from diffusion_control.learning import bfloat16, checkpoint
from diffusion_control.learning.arm_batches import ArmBatches, Batch, shortest
from diffusion_control.learning.collision_penalty import CollisionPenalty
from diffusion_control.learning.data_set import read_about, read_parts
from diffusion_control.learning.network import make_network
from diffusion_control.learning.settings import PREDICTION, SCHEDULE, TrainSettings
from diffusion_control.learning.validation import keep_best

LAST, BEST = 'last.safetensors', 'best.safetensors'
UNDER_VALIDATION = 'under_validation.safetensors'
LEAST_RATE = 0.02
NOISE_SHARE, PENALTY_FLOOR = 0.15, 0.2
WEIGHTING = 'inverse'
SHOWN = 100


@dataclass
class Training:
    """All that a training changes."""

    settings: TrainSettings
    robot: Any
    batches: ArmBatches
    network: nn.Module
    ema: Ema
    optimiser: torch.optim.Optimizer
    about: dict[str, Any]
    progress: checkpoint.Progress
    rank: int
    world: int


def train(settings: TrainSettings, out: Path, *, resume: bool) -> Path:
    """Train until the settings' number of steps and return the checkpoint.

    Args:
        settings: What to train.
        out: Folder of the checkpoints.
        resume: Go on from the checkpoint that is there.

    Raises:
        ConfigurationError: Bad data, a checkpoint of other settings, or one where none is
            expected.
    """
    torch.set_num_threads(settings.threads)
    with _processes() as (rank, world):
        training = _prepare(settings, rank, world)
        last = out / LAST
        if resume and last.exists():
            found = checkpoint.load(last)
            checkpoint.require_same(found.settings, settings, str(last))
            found.restore(training.network, training.ema, training.optimiser)
            training.progress = found.progress
        elif last.exists():
            raise ConfigurationError(
                'the folder holds a training', where=str(last), allowed='an empty folder',
                remedy='add --resume, or choose another --out')
        _run(training, last)
    return last


def _prepare(settings: TrainSettings, rank: int, world: int) -> Training:
    """Return a training at its first step."""
    folder = Path(settings.data)
    about, data = read_about(folder), shortest(read_parts(folder), settings.longest_ratio)
    robot = warm_robot(settings.robot_config)
    if list(robot.joint_names) != about.get('joint_names'):
        raise ConfigurationError(
            'the data set is of another robot', where=str(folder),
            value=about.get('joint_names'), allowed=str(list(robot.joint_names)))
    if settings.batch % world:
        raise ConfigurationError(
            'the batch does not divide into the processes', where='batch', value=settings.batch,
            allowed=f'a multiple of {world}')
    batches = ArmBatches(robot, data, seed=settings.seed, reverse=settings.reverse)
    network = make_network(settings, batches.features.lengths, *data.free.shape[1:])
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98),
        weight_decay=settings.weight_decay)
    about = {**about, 'demonstrations': len(data), 'train_command': command_line()}
    return Training(
        settings, robot, batches, network, Ema(network, settings.ema_decay), optimiser, about,
        checkpoint.Progress(), rank, world)


def _run(training: Training, last: Path) -> None:
    """Take the steps that are left, and save on the way."""
    settings = training.settings
    begin, losses = training.progress.step, []
    with _bar(training) as (bar, task):
        for step in range(begin, settings.steps):
            losses.append(train_step(training, step))
            training.progress = replace(training.progress, step=step + 1)
            bar.update(
                task, advance=1, description=f'train: loss {np.mean(losses[-SHOWN:]):.4f}')
            if training.rank == 0:
                _keep(training, step + 1, last)


def _keep(training: Training, done: int, last: Path) -> None:
    """Write a checkpoint, and validate it, where the settings ask for it."""
    settings, ended = training.settings, done == training.settings.steps
    validated = settings.validate_every > 0 and (
        ended or done % settings.validate_every == 0)
    if not (ended or validated or done % settings.checkpoint_every == 0):
        return
    if validated:
        waiting = last.with_name(UNDER_VALIDATION)  # an interrupted one is made up for by --resume
        save(training, waiting)
        score = keep_best(
            training.robot, waiting, last.with_name(BEST), settings.validation_scenes,
            training.progress.score)
        training.progress = replace(training.progress, score=score)
        waiting.unlink()
    save(training, last)


def save(training: Training, path: Path) -> None:
    """Write a checkpoint of the training."""
    checkpoint.save(
        path, training.network, training.ema, training.optimiser, training.batches.code,
        training.settings, training.progress, training.about)


def train_step(training: Training, step: int) -> float:
    """Take one optimiser step and return its loss."""
    settings = training.settings
    rate = learning_rate(settings, step)
    for group in training.optimiser.param_groups:
        group['lr'] = rate
    batch, generator = training.batches.draw(
        step, training.rank, settings.batch // training.world)
    loss = loss_of(training, batch, generator)
    training.optimiser.zero_grad()
    loss.backward()
    if training.world > 1:
        _average([p.grad for p in training.network.parameters() if p.grad is not None])
    nn.utils.clip_grad_norm_(training.network.parameters(), settings.gradient_norm)
    training.optimiser.step()
    training.ema.update(training.network)
    return float(loss.detach())


def loss_of(training: Training, batch: Batch, generator: np.random.Generator) -> Tensor:
    """Return the loss of a batch: denoising and collisions of the clean estimate."""
    settings, repeats = training.settings, training.settings.repeats
    schedule = make_schedule(SCHEDULE, noise_share=NOISE_SHARE)
    penalty = CollisionPenalty(training.robot, training.batches.code, batch.chosen, repeats)
    loss = DiffusionLoss(
        schedule, Prediction(PREDICTION), weighting=WEIGHTING,
        penalty=penalty if settings.collision_weight > 0 else None,
        penalty_weight=settings.collision_weight, penalty_floor=PENALTY_FLOOR)
    motions = torch.as_tensor(batch.code).repeat_interleave(repeats, 0)
    noise = torch.as_tensor(generator.standard_normal(motions.shape, dtype=np.float32))
    time = schedule.training_times(generator, len(motions))
    inputs = {name: torch.as_tensor(value) for name, value in batch.inputs.items()}
    short = settings.bfloat16 and bfloat16.in_hardware()

    def denoise(code: Tensor, at: Tensor) -> Tensor:
        with torch.autocast('cpu', torch.bfloat16) if short else nullcontext():
            out: Tensor = training.network(code, at, inputs, repeats)
        return out.float()

    return loss(denoise, motions, noise, time)


def learning_rate(settings: Any, step: int) -> float:
    """Return the rate of a step: linear to the highest, then half a cosine to 2 % of it."""
    rising = min(1.0, (step + 1) / max(settings.warm_up_steps, 1))
    falling = 0.5 * (1.0 + math.cos(math.pi * step / settings.steps))
    return settings.learning_rate * rising * (LEAST_RATE + (1.0 - LEAST_RATE) * falling)


def _average(gradients: list[Tensor]) -> None:
    """Average gradients over the processes, in one message."""
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, part in zip(
            gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


@contextmanager
def _processes() -> Iterator[tuple[int, int]]:
    """Yield rank and number of the processes that `torchrun` started, (0, 1) without it."""
    world = int(os.environ.get('WORLD_SIZE', '1'))
    if world == 1:
        yield 0, 1
        return
    distributed.init_process_group('gloo')
    try:
        yield distributed.get_rank(), world
    finally:
        distributed.destroy_process_group()


@contextmanager
def _bar(training: Training) -> Iterator[tuple[Progress, Any]]:
    """Yield a progress bar on stderr; only the first process shows it."""
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=training.rank > 0) as bar:
        yield bar, bar.add_task(
            'train', total=training.settings.steps, completed=training.progress.step)
