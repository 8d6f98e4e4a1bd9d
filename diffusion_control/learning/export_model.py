# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control export`: from a checkpoint to `models/NAME/`, one graph and its card."""

from __future__ import annotations

import hashlib
import inspect
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, fx, nn
from torch._higher_order_ops.scan import scan

from diffusion_control.diffusion.conditioning import ConditionEncoder
from diffusion_control.diffusion.export import export_encoder, export_sampler, with_encoder
from diffusion_control.diffusion.graph_step import SamplerStep, StepSpec
from diffusion_control.diffusion.scan import SCANNED, STATE
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.workers import warm_robot
from diffusion_control.inference.pt2_file import PT2_FILE
from diffusion_control.learning import checkpoint
from diffusion_control.learning.card import tensors, write_model
from diffusion_control.learning.network import ConditionalDenoiser, make_network
from diffusion_control.learning.settings import PREDICTION, SCHEDULE, TrainSettings
from diffusion_control.planners.arm_features import ArmFeatures
from diffusion_control.planners.spline_problem import FREE_POINTS
from diffusion_control.whole_file import written_whole

RATE_HZ = 5.0
UNTRAINED = 'untrained'
EXAMPLE_SIZES = {'B': 3, 'K': 4, 'N': 5}
LARGEST = 4096
LOCAL = ('stack_trace', 'nn_module_stack', 'source_fn_stack')


@dataclass(frozen=True)
class ExportOptions:
    """What to export.

    Attributes:
        checkpoint: File that `train` wrote.
        out: Folder of the model.
        untrained: Export the random weights that the training began with.
        train_command: Commands that make this model again; '' = from what the checkpoint knows.
        commit: Version of the code.
        torch_program: Write `model.pt2` as well, for the backends that begin with torch.
    """

    checkpoint: Path
    out: Path
    untrained: bool = False
    train_command: str = ''
    commit: str = ''
    torch_program: bool = False


def export(options: ExportOptions) -> Path:
    """Write the averaged weights of a checkpoint as a model and return its folder."""
    found = checkpoint.load(options.checkpoint)
    settings = found.settings
    if not isinstance(settings, TrainSettings):
        if options.torch_program:
            raise ConfigurationError(
                f'{PT2_FILE} is written for arms only', where='export --torch-program',
                value=str(options.checkpoint), allowed='the checkpoint of an arm',
                remedy='leave --torch-program out')
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
    step = SamplerStep(network.denoiser, spec)
    model = with_encoder(export_sampler(step), export_encoder(network.encoder))
    return write_model(options.out, model, {
        'joint_names': found.about['joint_names'], 'normaliser': found.code, 'rate_hz': RATE_HZ,
        'train_command': options.train_command or _commands(found),
        'data_seed': int(found.about['seed']), 'commit': options.commit or 'unknown',
        **program_file(options, model, step, network.encoder),
        'task': 'arm', 'robot': found.about['robot'],
        'diffusion': {'schedule': SCHEDULE, 'prediction': PREDICTION},
        'training': {
            'steps': found.progress.step, 'demonstrations': found.about['demonstrations'],
            'expert': found.about['expert'], 'settings': asdict(settings),
            'weights': UNTRAINED if options.untrained else 'averaged'}})


def program_file(
    options: ExportOptions, model: onnx.ModelProto, step: SamplerStep,
    encoder: ConditionEncoder | None = None,
) -> dict[str, dict[str, str]]:
    """Write `model.pt2` if it was asked for; return what the card says of it, as `files`.

    Args:
        options: Whether and where.
        model: The graph beside it.
        step: The same sampler.
        encoder: What makes its condition; None = the condition is an input.
    """
    if not options.torch_program:
        return {}
    data = torch_program(tensors(model.graph.input), step, encoder)
    options.out.mkdir(parents=True, exist_ok=True)
    with written_whole(options.out / PT2_FILE) as waiting:
        waiting.write_bytes(data)
    return {'files': {PT2_FILE: hashlib.sha256(data).hexdigest()}}


class _Rows(nn.Module):
    """The whole loop over the table as one module: the graph of `diffusion.scan`, in torch."""

    def __init__(
        self, names: Sequence[str], step: SamplerStep, encoder: ConditionEncoder | None
    ) -> None:
        super().__init__()
        self.step, self.encoder = step, encoder

        def forward(*inputs: Tensor) -> tuple[Tensor, ...]:
            return self._run(dict(zip(names, inputs, strict=True)))

        vars(forward)['__signature__'] = inspect.Signature([  # so the program names its arguments
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names])
        self.forward = forward

    def _run(self, given: dict[str, Tensor]) -> tuple[Tensor, ...]:
        if self.encoder is not None:
            told = {name: given[name] for name in self.encoder.spec.inputs}
            given['condition'] = self.encoder(told).expand(given['x'].shape[0], -1)

        def evaluate(state: list[Tensor], row: list[Tensor]) -> tuple[list[Tensor], Tensor]:
            inside = {**given, **dict(zip((*STATE, *SCANNED), (*state, *row), strict=True))}
            after = self.step(*(inside[name] for name in self.step.spec.shapes))
            return [each.clone() for each in after], after[2].clone()

        last, estimates = scan(
            evaluate, [given[name] for name in STATE], [given[name] for name in SCANNED.values()])
        return (*last, estimates)


def torch_program(
    inputs: Mapping[str, Mapping[str, Any]], step: SamplerStep,
    encoder: ConditionEncoder | None = None,
) -> bytes:
    """Return a sampler as `torch.export.save` writes it; every named axis is free.

    Args:
        inputs: As the card has them: name -> shape; all are float32.
        step: The sampler.
        encoder: What makes its condition, from one question; None = the condition is an input.

    Raises:
        ConfigurationError: It cannot be exported.
    """
    module = _Rows(list(inputs), step, encoder).eval().requires_grad_(False)
    free = {axis: torch.export.Dim(axis, min=1, max=LARGEST) for axis in EXAMPLE_SIZES}
    shapes = [each['shape'] for each in inputs.values()]
    example = tuple(
        torch.zeros([EXAMPLE_SIZES.get(size, size) for size in shape]) for shape in shapes)
    places = tuple({axis: free[size] for axis, size in enumerate(shape) if size in free}
                   for shape in shapes)
    try:
        with torch.no_grad():
            program = torch.export.export(
                module, example, dynamic_shapes=dict(zip(inputs, places, strict=True)),
                strict=False)
    except Exception as error:  # its exceptions share no root
        raise ConfigurationError(
            'the network cannot be exported as a program of torch', where=PT2_FILE,
            value=f'{type(error).__name__}: {error}',
            remedy='leave --torch-program out; the ONNX file needs none') from error
    _forget_places(program.graph_module)
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


def _forget_places(module: nn.Module) -> None:
    """Remove what names local files from a program and its loop."""
    for part in module.modules():
        for node in part.graph.nodes if isinstance(part, fx.GraphModule) else ():
            for key in LOCAL:
                node.meta.pop(key, None)


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
