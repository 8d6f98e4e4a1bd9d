# SPDX-License-Identifier: Apache-2.0
"""Put the guidance of an arm's motions into the graph of a model: the whole sampler as one file.

Behind the clean estimate of each evaluation comes a loop of `guidance_steps` steps

    P <- clip(P - min(1, 0.25 rad / max |s|) s),     s = rate K (w_c grad C(P) + w_s (M P)),

on the free control points P = centre + deviation (L code), with the collision cost C of
`diffusion.arm_cost`, the smoothness metric M and K the inverse of its free block: the steps of
`SplineProblem.descend` (M. Zucker et al., CHOMP, IJRR 2013). No estimate that is the sample itself
is moved (there x <- x0, so that the table's factor on x is 0). The rest of the graph, and so the
network, stays bit for bit as it was; without steps the outputs do, too.

What comes in is named in `planners.graph_guidance`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import compose, helper, inliner, numpy_helper, parser
from torch import Tensor, nn

from diffusion_control.diffusion.arm_cost import ArmSpheres
from diffusion_control.diffusion.arm_cost_body import TINY_M2, ArmBody
from diffusion_control.diffusion.arm_cost_obstacles import ArmObstacles
from diffusion_control.diffusion.export import OPSET
from diffusion_control.diffusion.graph_step import ARM_CONSTANTS
from diffusion_control.diffusion.table import GUIDE, A
from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.card import CARD_FILE
from diffusion_control.inference.verify import verify
from diffusion_control.learning.card import write_model
from diffusion_control.planners.graph_guidance import INPUTS
from diffusion_control.planners.models import require_robot
from diffusion_control.planners.motion_code import MotionCode
from diffusion_control.planners.spline_problem import (
    DESCENT_RATE,
    FREE,
    FREE_POINTS,
    LONGEST_STEP_RAD,
    SAMPLES,
)
from diffusion_control.trajectory.spline import basis, smoothness

EXAMPLE_BATCH, EXAMPLE_OBSTACLES = 3, 5
CODE_OF_A_SPHERE = 1
LED = 6  # named arguments of `DescentStep.forward`
CARD_OF_THE_FILE = ('schema_version', 'sha256', 'files', 'inputs', 'outputs', 'state', 'score',
                    'card_sha256')
BEFORE = f"""
before (float[B, F, D] clean, float[13] step_row) => (float[B, F, D] guide_begin) {{
    guide_column = Constant <value_ints = [{GUIDE}]> ()
    guide_kept_column = Constant <value_ints = [{A}]> ()
    guide_factor = Gather (step_row, guide_column)
    guide_kept = Gather (step_row, guide_kept_column)
    guide_both = Mul (guide_factor, guide_kept)
    guide_on = Cast <to = 9> (guide_both)
    guide_weight = Cast <to = 1> (guide_on)
    guide_steps = Mul (guidance_steps, guide_weight)
    guide_count = Cast <to = 7> (guide_steps)
    guide_smooth = MatMul (guide_L, clean)
    guide_scaled = Mul (guide_smooth, guide_deviation)
    guide_points = Add (guide_scaled, guidance_centre)
    guide_above = Max (guide_points, guidance_lower)
    guide_begin = Min (guide_above, guidance_upper)
}}"""
AFTER = """
after (float[B, F, D] guide_end) => (float[B, F, D] guided) {
    guide_apart = Sub (guide_end, guidance_centre)
    guide_normal = Div (guide_apart, guide_deviation)
    guide_code = MatMul (guide_L_inverse, guide_normal)
    guide_one = Constant <value_floats = [1.0]> ()
    guide_free = Sub (guide_one, mask)
    guide_kept_values = Mul (mask, known)
    guide_free_values = Mul (guide_free, guide_code)
    guide_held = Add (guide_kept_values, guide_free_values)
    guide_none = Constant <value_ints = [0]> ()
    guide_moved = Greater (guide_count, guide_none)
    guided = Where (guide_moved, guide_held, clean)
}"""


class KernelObstacles(ArmObstacles):
    """Obstacles whose slopes are the compiled kernel's, also where it softens them.

    Outside of a face of a box or a cylinder `robots.lane_slopes` has d / sqrt(d^2 + 1e-9 m^2) in
    place of 1, which is less within a millimetre of it. In millimetres here: the exporter takes
    an addend of 1e-9 for 0 and leaves it out.
    """

    def _distance(
        self, local: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        distance, normal = super()._distance(local)
        away_mm = 1e3 * distance
        soft = away_mm / (away_mm * away_mm + 1e6 * TINY_M2).sqrt()
        soft = soft.where((distance > 0.0) & (self.code > CODE_OF_A_SPHERE + 0.5), 1.0)
        x, y, z = (part * soft for part in normal)
        return distance, (x, y, z)


class DescentStep(nn.Module):
    """One step down the cost, from free points [B, F, n] to free points."""

    metric: Tensor
    inverse: Tensor

    def __init__(self, arm: ArmBody) -> None:
        super().__init__()
        matrices = {
            'matrix': basis(SAMPLES).position[:, FREE], 'scale': np.ones(len(arm.turns)),
            'metric': smoothness().metric[FREE, FREE],
            'inverse': DESCENT_RATE * smoothness().inverse,
            **{f'arm_{name}': getattr(arm, name) for name in ARM_CONSTANTS}}
        for name, value in matrices.items():
            self.register_buffer(
                name, torch.as_tensor(np.array(value, np.float32)), persistent=False)

    def gradient(
        self, points: Tensor, offset: Tensor, margins: Tensor, *obstacles: Tensor
    ) -> Tensor:
        """Return the slope [B, F, n] of the collision cost at weight 1 [1/rad]."""
        body = ArmBody(*(getattr(self, f'arm_{name}') for name in ARM_CONSTANTS))
        cost = ArmSpheres(
            body, KernelObstacles(*obstacles), offset, self.matrix, self.scale, margins)
        slope: Tensor = cost.gradient(points)
        return slope

    def forward(
        self, points: Tensor, factor: Tensor, weights: Tensor, lower: Tensor, upper: Tensor,
        rest: Tensor, *question: Tensor,
    ) -> Tensor:
        """Return the points after the step; inputs after the first two as in `STEP_INPUTS`."""
        slope = weights[0] * self.gradient(points, *question)
        slope = slope + weights[1] * (self.metric @ points + rest)
        step = factor * (self.inverse @ slope)
        longest = step.abs().amax((1, 2), keepdim=True)
        moved = points - step * (LONGEST_STEP_RAD / longest.clip(min=1e-9)).clip(max=1.0)
        return moved.maximum(lower).minimum(upper)


STEP_INPUTS = tuple(name for name in INPUTS if name not in ('guidance_steps', 'guidance_centre'))


def write_guided(model_dir: str | Path, robot: Any, out: Path) -> Path:
    """Write a model whose graph can guide itself, and return its folder.

    Args:
        model_dir: A model of an arm, as `export` writes it.
        robot: Its arm.
        out: Folder that is made.

    Raises:
        ConfigurationError: The model is not what its card says, of another robot, no sampler of
            motions, or guides itself already.
    """
    verified = verify(model_dir)
    require_robot(verified.card, robot, verified.folder)
    code = MotionCode.of_card(verified.card.normaliser, FREE_POINTS, robot.dof)
    model = onnx.load_from_string(verified.model)
    loop = _loop_of(model, verified.folder)
    step = _exported_step(DescentStep(ArmBody.of(robot)), robot.dof)
    guided = _assembled(model, loop, step, code)
    card = json.loads((verified.folder / CARD_FILE).read_text(encoding='utf-8'))
    about = {key: value for key, value in card.items() if key not in CARD_OF_THE_FILE}
    return write_model(out, guided, {
        **about, 'guidance': {
            'in_graph_of': verified.card.sha256, 'instants': SAMPLES, 'rate': DESCENT_RATE}})


def _loop_of(model: onnx.ModelProto, where: Path) -> onnx.NodeProto:
    """Return the node that runs the sampler, or say why there is nothing to guide."""
    loops = [node for node in model.graph.node if node.op_type == 'Scan']
    there = {value.name for value in model.graph.input}
    if len(loops) != 1 or not {'mask', 'known'} <= there or there & set(INPUTS):
        raise ConfigurationError(
            'no guidance can be put into this graph', where=str(where), value=sorted(there),
            allowed='a sampler of an arm as `diffusion_control export` writes it',
            remedy='take the model that was exported')
    return loops[0]


def _exported_step(step: DescentStep, dof: int) -> onnx.ModelProto:
    """Return the step as a graph from `guide_at`, `guide_factor` and `STEP_INPUTS`."""
    points, places = FREE_POINTS, EXAMPLE_OBSTACLES
    shapes: dict[str, tuple[int, ...]] = {
        'guide_at': (EXAMPLE_BATCH, points, dof), 'guide_factor': (1,), 'guidance_weights': (2,),
        'guidance_lower': (dof,), 'guidance_upper': (dof,), 'guidance_rest': (points, dof),
        'arm_offset': (SAMPLES, dof), 'arm_margins': (2,), 'arm_obstacle_code': (places,),
        'arm_obstacle_centre': (SAMPLES, places, 3), 'arm_obstacle_rotation': (places, 3, 3),
        'arm_obstacle_half': (places, 3)}
    batch = torch.export.Dim('batch', min=1, max=4096)
    some = torch.export.Dim('O', min=1, max=4096)
    named = {'guide_at': {0: batch}, 'arm_obstacle_code': {0: some},
             'arm_obstacle_centre': {1: some}, 'arm_obstacle_rotation': {0: some},
             'arm_obstacle_half': {0: some}}
    free = [named.get(name) for name in shapes]
    arguments = tuple(torch.ones(shape) for shape in shapes.values())
    with torch.no_grad():
        program: Any = torch.onnx.export(
            step.eval(), arguments, input_names=list(shapes), output_names=['guide_next'],
            dynamo=True, opset_version=OPSET, verbose=False,
            dynamic_shapes=[*free[:LED], tuple(free[LED:])])
    found: onnx.ModelProto = inliner.inline_local_functions(program.model_proto)
    return found


def _assembled(
    model: onnx.ModelProto, loop: onnx.NodeProto, step: onnx.ModelProto, code: MotionCode
) -> onnx.ModelProto:
    """Return the model with the loop of guidance behind each clean estimate."""
    names = [value.name for value in step.graph.input]
    assert names[2:] == list(STEP_INPUTS), names
    step = compose.add_prefix(
        step, 'guide_', rename_inputs=False, rename_outputs=False, rename_nodes=True)
    factor = np.array(code.factor)
    constants = {
        'guide_L': factor, 'guide_L_inverse': np.linalg.inv(factor),
        'guide_deviation': code.deviation}
    fixed = [_constant(name, np.array(value, np.float32)) for name, value in constants.items()]
    fixed += [_constant(value.name, numpy_helper.to_array(value))
              for value in step.graph.initializer]
    (body,) = (attribute.g for attribute in loop.attribute if attribute.name == 'body')
    _guide_in(body, [
        *parser.parse_graph(BEFORE).node, helper.make_node(
            'Loop', ['guide_count', '', 'guide_begin'], ['guide_end'], body=_repeated(step.graph)),
        *parser.parse_graph(AFTER).node])
    graph = model.graph
    nodes = [*fixed, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    sizes = {value.name: value for value in step.graph.input}
    motion = next(value for value in graph.input if value.name == 'x')
    points, dof = (size.dim_value for size in motion.type.tensor_type.shape.dim[1:])
    graph.input.extend([
        sizes[name] if name in sizes else helper.make_tensor_value_info(
            name, onnx.TensorProto.FLOAT,
            [1] if name == 'guidance_steps' else [points, dof]) for name in INPUTS])
    onnx.checker.check_model(model, full_check=True)
    return model


def _guide_in(body: onnx.GraphProto, guide: Sequence[onnx.NodeProto]) -> None:
    """Put nodes from `clean` to `guided` behind what makes the clean estimate of a step."""
    named = body.output[2].name
    made = next(index for index, node in enumerate(body.node) if named in node.output)
    clean = body.node[made].input[0] if body.node[made].op_type == 'Identity' else named
    made = next(index for index, node in enumerate(body.node) if clean in node.output)
    first, later = list(body.node[:made + 1]), list(body.node[made + 1:])
    for node in later:
        node.input[:] = ['guided' if name == clean else name for name in node.input]
    for node in guide:
        node.input[:] = [clean if name == 'clean' else name for name in node.input]
    del body.node[:]
    body.node.extend([*first, *guide, *later])


def _repeated(step: onnx.GraphProto) -> onnx.GraphProto:
    """Return the body of the loop that takes the step over and over."""
    kind = onnx.TensorProto
    go_on = helper.make_node('Identity', ['guide_go'], ['guide_go_on'])
    return helper.make_graph(
        [go_on, *step.node], 'descent', [
            helper.make_tensor_value_info('guide_number', kind.INT64, []),
            helper.make_tensor_value_info('guide_go', kind.BOOL, []), step.input[0]],
        [helper.make_tensor_value_info('guide_go_on', kind.BOOL, []), step.output[0]])


def _constant(name: str, value: NDArray[Any]) -> onnx.NodeProto:
    """Return a constant; no initialiser, for it is no weight of the network."""
    return helper.make_node(
        'Constant', [], [name], value=numpy_helper.from_array(value, name))
