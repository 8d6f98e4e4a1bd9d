# SPDX-License-Identifier: Apache-2.0
"""From one step to a whole run: the step's graph becomes the body of an ONNX Scan over the table.

    x, base, clean, table [K, 13], fresh_noise [K, B, H, D], everything else the step takes
        -> x_out, base_out, clean_out [B, H, D], estimates [K, B, H, D]

K is free, so the same file runs any number of evaluations: all of them at once, or one at a time
(K = 1, state in, state out) for sampling against a deadline. `estimates` are the clean estimates
after each evaluation.

Original: the ONNX operator specification, Scan (opset 11 and later).
"""

from __future__ import annotations

import onnx
from onnx import helper, inliner

from diffusion_control.errors import ConfigurationError

STATE = ('x', 'base', 'clean')
SCANNED = {'row': 'table', 'noise': 'fresh_noise'}


def scan_over_rows(step: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model that runs `step` once per row of the table.

    Args:
        step: From the state, `row`, `noise` and further inputs (named as in `graph_step`) to the
            three outputs of the state.

    Raises:
        ConfigurationError: A model with other inputs or outputs.
    """
    step = inliner.inline_local_functions(step)
    graph = step.graph
    inputs = {value.name: value for value in graph.input}
    if not {*STATE, *SCANNED} <= set(inputs) or len(graph.output) != len(STATE):
        raise ConfigurationError(
            'Only the exported step of a sampler can be run over a table.', where='scan_over_rows',
            value=list(inputs), allowed=', '.join((*STATE, *SCANNED)))
    inside = {name: f'step_{name}' for name in (*STATE, *SCANNED)}
    for node in graph.node:
        node.input[:] = [inside.get(name, name) for name in node.input]
    outputs = [f'step_{value.name}' for value in graph.output]
    nodes = [*graph.node, *(
        helper.make_node('Identity', [value.name], [name])
        for value, name in zip(graph.output, outputs, strict=True)),
        helper.make_node('Identity', [graph.output[2].name], ['step_estimate'])]
    body = helper.make_graph(
        nodes, 'evaluation', [renamed(inputs[name], inside[name]) for name in inside],
        [*(renamed(value, name) for value, name in zip(graph.output, outputs, strict=True)),
         renamed(graph.output[2], 'step_estimate')])
    scan = helper.make_node(
        'Scan', [*STATE, *SCANNED.values()], [*(f'{name}_out' for name in STATE), 'estimates'],
        body=body, num_scan_inputs=len(SCANNED))
    outer = helper.make_graph(
        [scan], 'sampler',
        [_stacked(value, SCANNED[name]) if name in SCANNED else value
         for name, value in inputs.items()],
        [*(renamed(inputs[name], f'{name}_out') for name in STATE),
         _stacked(inputs['x'], 'estimates')], initializer=graph.initializer)
    model = helper.make_model(
        outer, opset_imports=step.opset_import, ir_version=min(step.ir_version, 10))
    onnx.checker.check_model(model, full_check=True)
    return model


def renamed(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    """Return the same kind of value under another name."""
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    copy.name = name
    return copy


def _stacked(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    """Return a stack of such values, one per row."""
    kind = value.type.tensor_type
    shape = [size.dim_param or size.dim_value for size in kind.shape.dim]
    return helper.make_tensor_value_info(name, kind.elem_type, ['rows', *shape])
