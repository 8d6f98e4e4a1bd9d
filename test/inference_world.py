# SPDX-License-Identifier: Apache-2.0
"""A small sampler as an ONNX graph with a loop over its table, its card, and the same in numpy."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

JOINTS = 3
WEIGHTS = np.array([[0.3, -0.2, 0.5], [0.1, 0.4, -0.6], [-0.7, 0.2, 0.1]], dtype=np.float32)


def card(model: bytes, **changes: Any) -> dict[str, Any]:
    """Return the card of a model's bytes, as a table."""
    move = ['B', 'F', JOINTS]
    return {
        'sha256': hashlib.sha256(model).hexdigest(),
        'inputs': {
            'table': {'shape': ['K', 3], 'dtype': 'float32'},
            'x': {'shape': move, 'dtype': 'float32'},
            'noise': {'shape': ['K', *move], 'dtype': 'float32'},
            'goal': {'shape': ['B', JOINTS], 'dtype': 'float32'}},
        'outputs': {
            'x_next': {'shape': move, 'dtype': 'float32'},
            'clean': {'shape': move, 'dtype': 'float32'}},
        'state': {'x': 'x_next'},
        'joint_names': ['a', 'b', 'c'],
        'normaliser': {'mean': [0.0, 0.0, 0.0], 'std': [1.0, 1.0, 1.0]},
        'rate_hz': 20.0, 'train_command': 'diffusion_control train x.yaml', 'data_seed': 7,
        'commit': '0123abc',
        'score': {'task': 'arm', 'value': 0.9, 'sem': 0.01, 'episodes': 500, 'expert': 0.95,
                  'random': 0.1, 'untrained': None}, **changes}


def write(folder: Path, model: bytes, data: dict[str, Any] | None = None, **files: bytes) -> Path:
    """Write a model's folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'model.onnx').write_bytes(model)
    table = card(model) if data is None else data
    for name, content in files.items():
        (folder / name.replace('__', '.')).write_bytes(content)
    (folder / 'card.json').write_text(json.dumps(table))
    return folder


def example(rows: int = 5, batch: int = 2, knots: int = 4, seed: int = 0) -> dict[str, Any]:
    """Return inputs of the sampler."""
    random = np.random.default_rng(seed)
    arrays = {
        'table': random.uniform(0.1, 0.9, (rows, 3)),
        'x': random.normal(size=(batch, knots, JOINTS)),
        'noise': random.normal(size=(rows, batch, knots, JOINTS)),
        'goal': random.normal(size=(batch, JOINTS))}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def in_numpy(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return what the sampler is to compute, in double precision."""
    x = inputs['x'].astype(float)
    clean = np.zeros_like(x)
    for row, noise in zip(inputs['table'].astype(float), inputs['noise'], strict=True):
        clean = np.tanh(x @ WEIGHTS) + inputs['goal'][:, None, :]
        x = row[0] * x + row[1] * clean + row[2] * noise
    return {'x_next': x, 'clean': clean}


def _body(helper: Any, numpy_helper: Any, float_type: int) -> Any:
    """Return one step as the body of the loop; table, noise and goal come from outside."""
    node, value = helper.make_node, helper.make_tensor_value_info
    move = ['B', 'F', JOINTS]
    nodes = [
        node('Identity', ['more'], ['more_out']),
        node('MatMul', ['x_in', 'weights'], ['mixed']), node('Tanh', ['mixed'], ['bent']),
        node('Unsqueeze', ['goal', 'one'], ['goal_wide']),
        node('Add', ['bent', 'goal_wide'], ['clean_out']),
        node('Gather', ['table', 'step'], ['row'], axis=0),
        node('Gather', ['noise', 'step'], ['noise_now'], axis=0)]
    parts = []
    for index, term in enumerate(('x_in', 'clean_out', 'noise_now')):
        nodes += [node('Gather', ['row', f'index{index}'], [f'c{index}'], axis=0),
                  node('Mul', [f'c{index}', term], [f'part{index}'])]
        parts.append(f'part{index}')
    nodes.append(node('Sum', parts, ['x_out']))
    constants = [numpy_helper.from_array(WEIGHTS, 'weights'),
                 numpy_helper.from_array(np.array([1]), 'one')]
    constants += [numpy_helper.from_array(np.array(index), f'index{index}') for index in range(3)]
    return helper.make_graph(
        nodes, 'step', [
            value('step', 7, []), value('more', 9, []), value('x_in', float_type, move),
            value('clean_in', float_type, move)],
        [value('more_out', 9, []), value('x_out', float_type, move),
         value('clean_out', float_type, move)], constants)


def graph(rows: str | int = 'K') -> bytes:
    """Return the sampler as an ONNX file; needs the package `onnx`."""
    from onnx import TensorProto, helper, numpy_helper
    value, node, move = helper.make_tensor_value_info, helper.make_node, ['B', 'F', JOINTS]
    kind = TensorProto.FLOAT
    nodes = [
        node('Shape', ['table'], ['table_shape']),
        node('Gather', ['table_shape', 'zero'], ['trips'], axis=0),
        node('Loop', ['trips', 'go', 'x', 'x'], ['x_next', 'clean'],
             body=_body(helper, numpy_helper, kind))]
    whole = helper.make_graph(nodes, 'sampler', [
        value('table', kind, [rows, 3]), value('x', kind, move),
        value('noise', kind, [rows, *move]), value('goal', kind, ['B', JOINTS])],
        [value('x_next', kind, move), value('clean', kind, move)],
        [numpy_helper.from_array(np.array(0), 'zero'),
         numpy_helper.from_array(np.array(True), 'go')])
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid('', 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())
