# SPDX-License-Identifier: Apache-2.0
"""The verbs from demonstrations to a model: data, train, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffusion_control import console
from diffusion_control.cli_options import Jobs, Json, RobotConfig, Seed
from diffusion_control.demo.options import check_choice
from diffusion_control.errors import ConfigurationError


def data(
    what: Annotated[str, typer.Argument(
        metavar='WHAT', help='generate: the scripted expert shows motions; from-bag: the plans of '
        'a recorded run; card: say what a data set holds.')],
    source: Annotated[Path | None, typer.Argument(
        metavar='SOURCE', help='from-bag: a run folder or run.mcap; card: the data set.')] = None,
    robot_config: RobotConfig = 'panda',
    scenes: Annotated[
        int, typer.Option('--scenes', metavar='N', min=1, help='Scenes to generate.')] = 8000,
    habit: Annotated[str, typer.Option(
        '--habit', metavar='NAME', help='upright or left: what the expert keeps beside, in scenes '
        'of its own; no planner is told.')] = '',
    jobs: Jobs = 1,
    resume: Annotated[
        bool, typer.Option('--resume', help='Keep the finished parts of --out.')] = False,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(
        '--out', metavar='DIR', help='Folder of the data set.')] = Path('data/arm_panda'),
    json: Json = False,
) -> int:
    """Make or describe a data set of demonstrations."""
    check_choice('WHAT', what, ('generate', 'from-bag', 'card'))
    with console.output(json):
        from diffusion_control.evaluation.host import commit_of_code
        from diffusion_control.learning import data_card
        if what == 'generate':
            from diffusion_control.learning.generate import GenerateOptions, generate
            generate(GenerateOptions(
                robot_config=robot_config, scenes=scenes, seed=seed, jobs=jobs, resume=resume,
                out=out, commit=commit_of_code(), habit=habit))
        elif what == 'from-bag':
            from diffusion_control.learning.from_bag import from_bag
            from_bag(_source(source), out, robot_config=robot_config, commit=commit_of_code())
        card = data_card.describe(_source(source) if what == 'card' else out)
    if json:
        console.print_json(card)
    else:
        console.print_table(
            'data set', [{'what': key, 'value': str(value)} for key, value in card.items()])
    return console.OK


def _source(source: Path | None) -> Path:
    """Return what was given as SOURCE, or say that it is missing."""
    if source is None or not source.exists():
        raise ConfigurationError(
            'no such source', where='SOURCE', value=None if source is None else str(source),
            allowed='a folder or a file', remedy='diffusion_control data --help')
    return source


def train(
    config: Annotated[Path, typer.Argument(metavar='CONFIG', help='YAML of the settings.')],
    resume: Annotated[
        bool, typer.Option('--resume', help='Go on from the checkpoint of --out.')] = False,
    seed: Annotated[int | None, typer.Option(
        '--seed', metavar='N', help='Seed in place of the one of CONFIG.')] = None,
    out: Annotated[Path, typer.Option(
        '--out', metavar='DIR', help='Folder of the checkpoints.')] = Path('runs/train'),
    json: Json = False,
) -> int:
    """Train the network of a planner; `torchrun -m diffusion_control.cli train` in parallel."""
    with console.output(json):
        from dataclasses import replace

        from diffusion_control.learning.settings import read_settings
        settings = read_settings(config)
        if seed is not None:
            settings = replace(settings, seed=seed)
        from diffusion_control.learning.settings import TrainSettings
        if isinstance(settings, TrainSettings):
            from diffusion_control.learning.training import train as run_training
            last = run_training(settings, out, resume=resume)
        else:
            from diffusion_control.learning.maze_training import train_maze
            last = train_maze(settings, out, resume=resume)
    if json:
        console.print_json({'checkpoint': str(last)})
    else:
        print(last)
    return console.OK


def export(
    checkpoint: Annotated[Path, typer.Option(
        '--checkpoint', metavar='FILE', help='What train wrote.')] = Path(
            'runs/train/last.safetensors'),
    untrained: Annotated[bool, typer.Option(
        '--untrained', help='Export the random weights that the training began with.')] = False,
    torch_program: Annotated[bool, typer.Option(
        '--torch-program', help='Write model.pt2 as well, for the backends torch, '
        'torch_compiled and torch_cuda_graphs.')] = False,
    scores: Annotated[Path | None, typer.Option(
        '--scores', metavar='FILE', help='result.json of `evaluate arm --tier both --untrained` '
        'or of `evaluate maze2d`: its score goes into the card of --out; nothing else is '
        'written.')] = None,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(
        '--out', metavar='DIR', help='Folder of the model.')] = Path('models/diffuser_panda'),
    json: Json = False,
) -> int:
    """Write a trained network as one ONNX graph with its card."""
    del seed  # taken by every verb; nothing here is random
    with console.output(json):
        from diffusion_control.evaluation.host import commit_of_code
        if scores is not None:
            from diffusion_control.learning.scores import put_scores
            put_scores(scores, out)
        else:
            from diffusion_control.learning.export_model import ExportOptions
            from diffusion_control.learning.export_model import export as write
            write(ExportOptions(checkpoint, out, untrained=untrained, commit=commit_of_code(),
                                torch_program=torch_program))
    if json:
        console.print_json({'model': str(out)})
    else:
        print(out)
    return console.OK
