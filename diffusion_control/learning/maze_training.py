# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control train config/training/maze.yaml`: drives, then both networks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional

from diffusion_control.diffusion.denoisers.map_unet import MapUNet
from diffusion_control.diffusion.ema import Ema
from diffusion_control.diffusion.value_iteration import ValueIteration
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.host import command_line
from diffusion_control.inference.card import CARD_FILE, parse
from diffusion_control.learning import checkpoint
from diffusion_control.learning.maze_batches import MazeBatches
from diffusion_control.learning.maze_data import (
    DATA_FILE,
    MazeData,
    cells_to_go,
    generate,
    read_data,
    write_data,
)
from diffusion_control.learning.maze_loss import loss_of
from diffusion_control.learning.maze_settings import CHANNELS, MazeSettings
from diffusion_control.learning.training import LAST, learning_rate
from diffusion_control.planners.models import TRAINED, model_directory
from diffusion_control.planners.point_mass import map_view
from diffusion_control.robots.point_mass import PointMass

Array32 = NDArray[np.float32]
VALUE_RATE, FEWEST_ROUNDS, MOST_ROUNDS, SLOWER = 5e-3, 6, 40, 15
VALUE_ROUNDS, AT_ONCE = 80, 512
SHOWN = 100


class MazeNetwork(nn.Module):
    """Both networks of the planner; a regression is told neither motion nor time."""

    def __init__(self, settings: MazeSettings) -> None:
        super().__init__()
        self.regression = settings.regression
        self.value = ValueIteration()
        self.denoiser = MapUNet(
            settings.horizon, CHANNELS, map_view.CONDITION, (map_view.LAYERS, map_view.SIDE),
            map_view.PLACE_SCALE, settings.width)

    def forward(self, code: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return the denoiser's output [B, H, 4]."""
        if self.regression:
            code, time = torch.zeros_like(code), torch.zeros_like(time)
        result: Tensor = self.denoiser(code, time, condition)
        return result


@dataclass
class MazeTraining:
    """All that a training changes."""

    settings: MazeSettings
    data: MazeData
    network: MazeNetwork
    ema: Ema
    optimiser: torch.optim.Optimizer
    progress: checkpoint.Progress


@dataclass(frozen=True)
class Scales:
    """What turns cells into channels, as a card keeps it."""

    def as_dict(self) -> dict[str, Any]:
        """Return names and numbers."""
        return {'place_cells': map_view.PLACE_SCALE, 'speed_cells_s': map_view.SPEED_SCALE,
                'value_cells': map_view.VALUE_SCALE}


def make_maze_network(settings: MazeSettings) -> MazeNetwork:
    """Return the networks with the random weights of the settings' seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return MazeNetwork(settings)


def train_maze(settings: MazeSettings, out: Path, *, resume: bool) -> Path:
    """Train until the settings' number of steps and return the checkpoint; see `training.train`.

    Raises:
        ConfigurationError: Bad data, a checkpoint of other settings, or one where none is
            expected.
    """
    torch.set_num_threads(settings.threads)
    last = out / LAST
    if last.exists() and not resume:
        raise ConfigurationError(
            'the folder holds a training', where=str(last), allowed='an empty folder',
            remedy='add --resume, or choose another --out')
    training = _prepare(settings)
    if last.exists():
        found = checkpoint.load(last)
        checkpoint.require_same(found.settings, settings, str(last))
        found.restore(training.network, training.ema, training.optimiser)
        training.progress = found.progress
    else:
        if settings.value_model:
            take_value(training)
        else:
            fit_value(training)
        _save(training, last)
    _run(training, last)
    return last


def _prepare(settings: MazeSettings) -> MazeTraining:
    """Return a training at its first step; the drives are made if they are not there."""
    folder = Path(settings.data)
    if not (folder / DATA_FILE).exists():
        made = generate(settings.drives, settings.seed, settings.jobs)
        write_data(made, folder, settings.drives, settings.seed)
    data = read_data(folder, settings.drives, settings.seed)
    network = make_maze_network(settings)
    optimiser = torch.optim.AdamW(
        network.denoiser.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98),
        weight_decay=settings.weight_decay)
    return MazeTraining(settings, data, network, Ema(network, settings.ema_decay), optimiser,
                        checkpoint.Progress())


def fit_value(training: MazeTraining) -> None:
    """Fit the value network to the cells to go: smooth |v + d|, where d is within its rounds."""
    settings, data = training.settings, training.data
    network, steps = training.network.value, training.settings.value_steps
    optimiser = torch.optim.Adam(network.parameters(), VALUE_RATE)
    generator = np.random.default_rng([settings.seed, 88])
    ways: dict[int, Array32] = {}
    with _bar('value', steps, 0) as (bar, task):
        for step in range(steps):
            drives = generator.integers(len(data.maze), size=settings.value_batch)
            for drive in drives:
                if int(drive) not in ways:
                    ways[int(drive)] = cells_to_go(
                        data.walls[data.maze[drive]], goal_cell(data, drive)).astype(np.float32)
            far = torch.as_tensor(np.stack([ways[int(drive)] for drive in drives]))
            most = min(FEWEST_ROUNDS + step // SLOWER, MOST_ROUNDS)
            rounds = int(generator.integers(max(4, most // 2), most + 1))
            value = network(*maps(data, drives), rounds)
            error = (value + far)[far <= rounds]
            loss = functional.smooth_l1_loss(error, torch.zeros_like(error))
            for group in optimiser.param_groups:
                group['lr'] = VALUE_RATE * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + 1e-5
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_norm)
            optimiser.step()
            bar.update(task, advance=1, description=f'value: error {error.abs().mean():.3f} cells')
    training.ema.model.load_state_dict(training.network.state_dict())


def take_value(training: MazeTraining) -> None:
    """Take over the value network of a model, so that both see the same values."""
    folder = model_directory(training.settings.value_model, TRAINED, PointMass())
    card = parse((folder / CARD_FILE).read_bytes(), str(folder / CARD_FILE))
    training.network.value.load_weights(card.normaliser['value_network'])
    training.ema.model.load_state_dict(training.network.state_dict())


def goal_cell(data: MazeData, drive: int) -> tuple[int, int]:
    """Return the cell of a drive's goal."""
    cell = np.floor(data.goal[drive]).astype(int)
    return int(cell[0]), int(cell[1])


def maps(data: MazeData, drives: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Return walls and goals of drives, shape [B, N, N] each."""
    walls = data.walls[data.maze[drives]].astype(np.float32)
    goals = np.zeros_like(walls)
    cells = np.floor(data.goal[drives]).astype(int)
    goals[np.arange(len(drives)), cells[:, 0], cells[:, 1]] = 1.0
    return torch.as_tensor(walls), torch.as_tensor(goals)


@torch.no_grad()
def values_of(network: ValueIteration, data: MazeData) -> Array32:
    """Return what the value network says of all drives, shape [E, N, N]."""
    parts = [network(*maps(data, drives), VALUE_ROUNDS).numpy() for drives in np.split(
        np.arange(len(data.maze)), np.arange(AT_ONCE, len(data.maze), AT_ONCE))]
    return np.concatenate(parts)


@torch.no_grad()
def walks_of(
    network: ValueIteration, data: MazeData, rounds: int, maze: NDArray[np.int64],
    cell: NDArray[np.int64],
) -> Array32:
    """Return how far all cells are from cells [B, 2] in mazes of numbers [B], [B, N, N]."""
    walls = data.walls[maze].astype(np.float32)
    mark = np.zeros_like(walls)
    mark[np.arange(len(cell)), cell[:, 0], cell[:, 1]] = 1.0
    found: Array32 = -network(torch.as_tensor(walls), torch.as_tensor(mark), rounds).numpy()
    return found


def _run(training: MazeTraining, last: Path) -> None:
    """Take the steps that are left, and save on the way."""
    settings, begin, losses = training.settings, training.progress.step, []
    batches = MazeBatches(
        training.data, values_of(training.network.value, training.data), settings,
        partial(walks_of, training.network.value, training.data, map_view.walk_rounds(
            (settings.horizon - 1) * settings.knot_s)))
    with _bar('train', settings.steps, begin) as (bar, task):
        for step in range(begin, settings.steps):
            for group in training.optimiser.param_groups:
                group['lr'] = learning_rate(settings, step)
            batch, generator = batches.draw(step, settings.batch)
            loss = loss_of(
                training.network, batch, generator, settings.knot_s,
                settings.wall_weight if step >= settings.walls_from else 0.0)
            training.optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(
                training.network.denoiser.parameters(), settings.gradient_norm)
            training.optimiser.step()
            training.ema.update(training.network)
            losses.append(float(loss.detach()))
            training.progress = replace(training.progress, step=step + 1)
            bar.update(
                task, advance=1, description=f'train: loss {np.mean(losses[-SHOWN:]):.5f}')
            if (step + 1) % settings.checkpoint_every == 0 or step + 1 == settings.steps:
                _save(training, last)


def _save(training: MazeTraining, path: Path) -> None:
    checkpoint.save(
        path, training.network, training.ema, training.optimiser, Scales(), training.settings,
        training.progress, {
            'seed': training.settings.seed, 'demonstrations': len(training.data.maze),
            'mazes': len(training.data.walls),
            'train_command': command_line().replace(' --resume', '')})


def _bar(name: str, total: int, done: int) -> Any:
    """Return a context of a progress bar on stderr and its task."""
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task(name, total=total, completed=done)

    class _Shown:
        def __enter__(self) -> tuple[Progress, Any]:
            bar.start()
            return bar, task

        def __exit__(self, *_: object) -> None:
            bar.stop()

    return _Shown()
