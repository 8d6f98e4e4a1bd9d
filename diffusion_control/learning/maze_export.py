# SPDX-License-Identifier: Apache-2.0
"""Write the planner of mazes: the sampler as one graph, the value network in its card."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from diffusion_control.diffusion.export import export_sampler
from diffusion_control.diffusion.graph_step import SamplerStep, StepSpec
from diffusion_control.learning import checkpoint
from diffusion_control.learning.card import write_model
from diffusion_control.learning.export_model import UNTRAINED, ExportOptions
from diffusion_control.learning.maze_settings import CHANNELS
from diffusion_control.learning.maze_training import make_maze_network
from diffusion_control.learning.settings import PREDICTION, SCHEDULE
from diffusion_control.planners.point_mass import map_view
from diffusion_control.robots.point_mass import PointMass


def export_maze(found: checkpoint.Checkpoint, options: ExportOptions) -> Path:
    """Write the averaged weights of a checkpoint as a model and return its folder."""
    network = make_maze_network(found.settings)
    if not options.untrained:
        network.load_state_dict(found.part('average.'))
    network.eval()
    step = SamplerStep(network, StepSpec(
        found.settings.horizon, CHANNELS, map_view.CONDITION, clean_input=True))
    return write_model(options.out, export_sampler(step), {
        'joint_names': list(PointMass.joint_names),
        'normaliser': {**found.code, 'value_network': network.value.weights()},
        'rate_hz': 1.0 / found.settings.knot_s,
        'train_command': options.train_command or (
            f'{found.about["train_command"]} && diffusion_control export'),
        'data_seed': int(found.about['seed']), 'commit': options.commit or 'unknown',
        'task': 'maze2d', 'robot': PointMass.name,
        'diffusion': {'schedule': SCHEDULE, 'prediction': PREDICTION},
        'training': {
            'steps': found.progress.step, 'demonstrations': found.about['demonstrations'],
            'mazes': found.about['mazes'], 'expert': 'near-time-optimal, scripted',
            'settings': asdict(found.settings),
            'weights': UNTRAINED if options.untrained else 'averaged'}})
