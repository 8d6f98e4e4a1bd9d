# SPDX-License-Identifier: Apache-2.0
"""From torch to ONNX: the whole sampler as one graph, and the condition encoder as another.

The encoder is evaluated once per plan, not once per step: it is a graph of its own, or stands
before the loop in the same graph (`with_encoder`), which then takes the parts of the condition.
Inputs and outputs are named as in `graph_step` and `scan`; the batch, and the number of obstacles,
are free dimensions ('batch', 'obstacles'), which a runtime may fix when it loads the file. The
metadata of a file says under `diffusion_control` (JSON) what is in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import onnx
import torch
from onnx import compose, helper, numpy_helper
from torch import Tensor, nn

from diffusion_control.diffusion.conditioning import ConditionEncoder
from diffusion_control.diffusion.graph_step import STATE, SamplerStep
from diffusion_control.diffusion.scan import scan_over_rows
from diffusion_control.diffusion.table import COLUMNS
from diffusion_control.errors import ConfigurationError

OPSET = 18
FORMAT = 1
EXAMPLE_BATCH = 3
EXAMPLE_OBSTACLES = 5


def export_sampler(step: SamplerStep, about: Mapping[str, Any] | None = None) -> onnx.ModelProto:
    """Return a sampler as one ONNX model over the rows of a table.

    Args:
        step: The network with its guidance.
        about: What else the file shall say of itself, as JSON can.
    """
    return _signed(scan_over_rows(_step(step)), {**_abilities(step), **(about or {}),
                                                 'kind': 'sampler'})


def export_step(step: SamplerStep, about: Mapping[str, Any] | None = None) -> onnx.ModelProto:
    """Return one evaluation as an ONNX model, for runtimes that know no Scan.

    Its inputs are those of `graph_step` in place of `table` and `fresh_noise`: `row` [13] and
    `noise` [batch, H, D]; its outputs `x_out`, `base_out`, `clean_out`.
    """
    return _signed(_step(step), {**_abilities(step), **(about or {}), 'kind': 'step'})


def _step(step: SamplerStep) -> onnx.ModelProto:
    shapes = step.spec.shapes
    example = tuple(step.spec.example(EXAMPLE_BATCH).values())
    batch = torch.export.Dim('batch', min=1, max=4096)
    free = tuple({0: batch} if shape[0] == 'batch' else None for shape in shapes.values())
    return _to_onnx(
        step, example, list(shapes), [f'{name}_out' for name in STATE], {'inputs': free})


def _abilities(step: SamplerStep) -> dict[str, Any]:
    return {'columns': COLUMNS, **asdict(step.spec)}


class _NamedEncoder(nn.Module):
    """The encoder with inputs in the order of its specification."""

    def __init__(self, encoder: ConditionEncoder) -> None:
        super().__init__()
        self.encoder = encoder.eval()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the condition and, if parts can be left out, the one without them."""
        given = dict(zip(self.encoder.spec.inputs, inputs, strict=True))
        condition = self.encoder(given)
        if not len(self.encoder.left_out):
            return (condition,)
        return condition, self.encoder.without(given)


def export_encoder(
    encoder: ConditionEncoder, about: Mapping[str, Any] | None = None
) -> onnx.ModelProto:
    """Return a condition encoder as an ONNX model.

    Its inputs are those of `ConditionSpec.inputs`; its outputs `condition` [B, C] and, if parts
    can be left out, `null_condition` [B, C].
    """
    batch = torch.export.Dim('batch', min=1, max=4096)
    obstacles = torch.export.Dim('obstacles', min=1, max=4096)
    example, free = [], []
    for name in encoder.spec.inputs:
        place: dict[int, Any] = {0: batch}
        if name in ('obstacles', 'obstacle_mask'):
            wide = (encoder.spec.obstacle,) if name == 'obstacles' else ()
            shape: tuple[int, ...] = (EXAMPLE_BATCH, EXAMPLE_OBSTACLES, *wide)
            place[1] = obstacles
        else:
            shape = (EXAMPLE_BATCH, encoder.spec.lengths[name])
        example.append(torch.ones(shape))
        free.append(place)
    outputs = ['condition', 'null_condition'] if len(encoder.left_out) else ['condition']
    model = _to_onnx(_NamedEncoder(encoder), tuple(example), list(encoder.spec.inputs), outputs,
                     {'inputs': tuple(free)})
    return _signed(model, {
        **(about or {}), 'kind': 'encoder', 'inputs': encoder.spec.inputs,
        'condition': encoder.width, 'droppable': list(encoder.left_out.keys())})


def with_encoder(sampler: onnx.ModelProto, encoder: onnx.ModelProto) -> onnx.ModelProto:
    """Return one graph: the encoder once, its condition for every motion of the batch, the loop.

    Args:
        sampler: From `export_sampler`, without classifier-free guidance.
        encoder: From `export_encoder`; it is asked one question, so that its batch is 1.

    Returns:
        A model with the inputs of both, except `condition`.
    """
    first = compose.add_prefix(encoder, 'encoder_', rename_inputs=False).graph
    for value in first.input:
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = 1
    node, loop = helper.make_node, sampler.graph
    spread = [
        node('Shape', ['x'], ['batch'], start=0, end=1),
        node('Concat', ['batch', 'one'], ['batch_by_one'], axis=0),
        node('Expand', ['encoder_condition', 'batch_by_one'], ['condition'])]
    graph = helper.make_graph(
        [*first.node, *spread, *loop.node], 'planner',
        [*first.input, *(value for value in loop.input if value.name != 'condition')],
        loop.output, initializer=[
            *first.initializer, numpy_helper.from_array(np.array([1]), 'one'), *loop.initializer])
    model = helper.make_model(
        graph, opset_imports=sampler.opset_import, ir_version=sampler.ir_version)
    onnx.checker.check_model(model, full_check=True)
    return _signed(model, {'encoder': _about(encoder), **_about(sampler), 'kind': 'planner'})


def _about(model: onnx.ModelProto) -> dict[str, Any]:
    """Return what a model says of itself."""
    (entry,) = (e for e in model.metadata_props if e.key == 'diffusion_control')
    about: dict[str, Any] = json.loads(entry.value)
    return about


def _to_onnx(
    module: nn.Module, example: tuple[Tensor, ...], inputs: list[str], outputs: list[str],
    free: Mapping[str, Any],
) -> onnx.ModelProto:
    """Return a module as ONNX with named inputs and outputs, without anything external."""
    with torch.no_grad():
        program: Any = torch.onnx.export(
            module.eval(), example, input_names=inputs, output_names=outputs, dynamo=True,
            dynamic_shapes=dict(free), opset_version=OPSET, verbose=False)
    model: onnx.ModelProto = program.model_proto
    _require_free(model, inputs, free)
    return model


def _require_free(
    model: onnx.ModelProto, inputs: list[str], free: Mapping[str, Any]
) -> None:
    """Raise a ConfigurationError if tracing fixed a dimension that was to stay free."""
    (places,) = free.values()
    for value, place in zip(model.graph.input, places, strict=True):
        sizes = value.type.tensor_type.shape.dim
        if value.name not in inputs or any(not sizes[axis].dim_param for axis in place or ()):
            raise ConfigurationError(
                'The network cannot be exported with a free batch size.', where=value.name,
                value=[size.dim_param or size.dim_value for size in sizes],
                remedy='let the network compute nothing from the number of motions')


def _signed(model: onnx.ModelProto, about: Mapping[str, Any]) -> onnx.ModelProto:
    """Return the model with what it says of itself, and nothing about where it was made."""
    _strip(model.graph)
    del model.metadata_props[:]
    model.producer_name = 'diffusion_control'
    entry = model.metadata_props.add()
    entry.key = 'diffusion_control'
    entry.value = json.dumps({'format': FORMAT, **about}, sort_keys=True)
    return model


def _strip(graph: onnx.GraphProto) -> None:
    """Remove stack traces and other notes of the exporter, which name local files."""
    for entry in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info,
                  *graph.initializer):
        entry.doc_string = ''
        del entry.metadata_props[:]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _strip(attribute.g)
