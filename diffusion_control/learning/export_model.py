# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control export`: from a checkpoint to `models/NAME/`, one graph and its card."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from diffusion_control.diffusion.export import export_encoder, export_sampler, with_encoder
from diffusion_control.diffusion.graph_step import SamplerStep, StepSpec
from diffusion_control.evaluation.workers import warm_robot
from diffusion_control.learning import checkpoint
from diffusion_control.learning.card import write_model
from diffusion_control.learning.network import ConditionalDenoiser, make_network
from diffusion_control.learning.settings import PREDICTION, SCHEDULE, TrainSettings
from diffusion_control.planners.arm_features import ArmFeatures
from diffusion_control.planners.spline_problem import FREE_POINTS

RATE_HZ = 5.0
UNTRAINED = 'untrained'


@dataclass(frozen=True)
class ExportOptions:
    """What to export.

    Attributes:
        checkpoint: File that `train` wrote.
        out: Folder of the model.
        untrained: Export the random weights that the training began with.
        train_command: Commands that make this model again; '' = from what the checkpoint knows.
        commit: Version of the code.
    """

    checkpoint: Path
    out: Path
    untrained: bool = False
    train_command: str = ''
    commit: str = ''


def export(options: ExportOptions) -> Path:
    """Write the averaged weights of a checkpoint as a model and return its folder."""
    found = checkpoint.load(options.checkpoint)
    settings = found.settings
    if not isinstance(settings, TrainSettings):
        from diffusion_control.learning.maze_export import export_maze
        return export_maze(found, options)
    robot = warm_robot(settings.robot_config)
    network = make_network(settings, ArmFeatures(robot).lengths, FREE_POINTS, robot.dof)
    if not options.untrained:
        network.load_state_dict(found.part('average.'))
    return write_network(network, found, options)


def write_network(
    network: ConditionalDenoiser, found: checkpoint.Checkpoint, options: ExportOptions
) -> Path:
    """Write a network as a model and return its folder."""
    settings = found.settings
    spec = StepSpec(FREE_POINTS, len(found.about['joint_names']), settings.condition)
    network.eval()
    model = with_encoder(
        export_sampler(SamplerStep(network.denoiser, spec)), export_encoder(network.encoder))
    return write_model(options.out, model, {
        'joint_names': found.about['joint_names'], 'normaliser': found.code, 'rate_hz': RATE_HZ,
        'train_command': options.train_command or _commands(found),
        'data_seed': int(found.about['seed']), 'commit': options.commit or 'unknown',
        'task': 'arm', 'robot': found.about['robot'],
        'diffusion': {'schedule': SCHEDULE, 'prediction': PREDICTION},
        'training': {
            'steps': found.progress.step, 'demonstrations': found.about['demonstrations'],
            'expert': found.about['expert'], 'settings': asdict(settings),
            'weights': UNTRAINED if options.untrained else 'averaged'}})


def _commands(found: checkpoint.Checkpoint) -> str:
    """Return the commands behind a checkpoint; a CONFIG of old ones is the card's settings."""
    about, settings = found.about, found.settings
    habit = f' --habit {about["habit"]}' if about.get('habit') else ''
    made = [f'data from-bag {run} --robot-config {settings.robot_config}'
            for run in about.get('runs', ())] or [
        f'data generate --robot-config {settings.robot_config} --scenes {about["scenes"]} '
        f'--seed {about["seed"]}{habit}']
    data = ' && diffusion_control '.join(f'{part} --out {settings.data}' for part in made)
    train = about.get('train_command', 'diffusion_control train CONFIG')
    return f'diffusion_control {data} && {train} && diffusion_control export'
