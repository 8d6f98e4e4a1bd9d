# SPDX-License-Identifier: Apache-2.0
"""A model with random weights: another one, of the same inputs, and verified like any other."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_world import write

onnx = pytest.importorskip('onnx', reason='the graph is rewritten with the package onnx')
ort = pytest.importorskip('onnxruntime', reason='the graph is run by ONNX Runtime')

from diffusion_control.errors import ConfigurationError  # noqa: E402
from diffusion_control.inference import load  # noqa: E402
from diffusion_control.inference.untrained import write_untrained  # noqa: E402
from diffusion_control.inference.verify import verify  # noqa: E402

WIDTH = 24
WAVES = np.exp(-np.linspace(0.0, 6.0, WIDTH)).astype(np.float32)
Array = Any


def trained() -> tuple[bytes, dict[str, Array]]:
    """Return a graph of a matrix, an offset, waves, a normalisation and a loop, and its arrays."""
    random = np.random.default_rng(3)
    arrays = {
        'weight': random.normal(0.0, 3.0, (WIDTH, WIDTH)), 'offset': random.normal(size=WIDTH),
        'scale': np.full(WIDTH, 1.3), 'shift': np.full(WIDTH, 0.2), 'unit': np.ones(WIDTH),
        'waves': WAVES, 'few': np.array([0.25, 0.75]), 'inner': random.normal(size=(WIDTH, WIDTH))}
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    tensors = {name: onnx.numpy_helper.from_array(a, name) for name, a in arrays.items()}
    shape = onnx.numpy_helper.from_array(np.array([-1, WIDTH]), 'shape')
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    kind, move = onnx.TensorProto.FLOAT, ['B', WIDTH]
    body = onnx.helper.make_graph(
        [make('Identity', ['more'], ['more_out']), make('MatMul', ['y_in', 'inner'], ['turned']),
         make('Tanh', ['turned'], ['y_out'])],
        'body', [value('step', 7, []), value('more', 9, []), value('y_in', kind, move)],
        [value('more_out', 9, []), value('y_out', kind, move)], [tensors['inner']])
    nodes = [
        make('MatMul', ['x', 'weight'], ['a']), make('Add', ['a', 'offset'], ['b']),
        make('LayerNormalization', ['b', 'scale', 'shift'], ['c']),
        make('LayerNormalization', ['c', 'unit'], ['d']),
        make('Mul', ['d', 'waves'], ['e']), make('Reshape', ['e', 'shape'], ['f']),
        make('ReduceSum', ['few'], ['sum'], keepdims=0), make('Mul', ['f', 'sum'], ['g']),
        make('Loop', ['twice', 'go', 'g'], ['y'], body=body)]
    graph = onnx.helper.make_graph(
        nodes, 'network', [value('x', kind, move)], [value('y', kind, move)],
        [*(tensors[name] for name in arrays if name != 'inner'), shape,
         onnx.numpy_helper.from_array(np.array(2), 'twice'),
         onnx.numpy_helper.from_array(np.array(True), 'go')])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 18)])
    model.ir_version = 8
    return model.SerializeToString(), arrays


def card(model: bytes) -> dict[str, Any]:
    from inference_world import card as plain
    move = {'shape': ['B', WIDTH], 'dtype': 'float32'}
    return plain(model, inputs={'x': move}, outputs={'y': move}, state={}, spare='kept')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a trained model with a further file."""
    model, _ = trained()
    extra = {**card(model), 'files': {'note.txt': hashlib.sha256(b'hello').hexdigest()}}
    return write(tmp_path / 'trained', model, extra, note__txt=b'hello')


def initializers(folder: Path) -> dict[str, Array]:
    """Return all constants of a model, those of its loops included."""
    found: dict[str, Array] = {}
    waiting = [onnx.load(str(folder / 'model.onnx')).graph]
    while waiting:
        graph = waiting.pop()
        found |= {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        waiting += [a.g for node in graph.node for a in node.attribute
                    if a.type == onnx.AttributeProto.GRAPH]
    return found


def test_weights_are_drawn_as_torch_would_and_constants_stay(
    folder: Path, tmp_path: Path
) -> None:
    before, after = initializers(folder), initializers(
        write_untrained(folder, tmp_path / 'random'))
    assert before.keys() == after.keys()
    bound = 1 / np.sqrt(WIDTH)
    for name in ('weight', 'inner'):
        drawn = after[name]
        assert drawn.dtype == np.float32 and drawn.shape == before[name].shape
        assert 0.9 * bound < np.abs(drawn).max() <= bound and abs(drawn.mean()) < 0.1 * bound
        assert not np.isclose(drawn, before[name], atol=1e-3).any(axis=None, where=np.abs(
            before[name]) > bound)
    assert not np.array_equal(after['weight'], after['inner'])
    assert not np.array_equal(after['offset'], before['offset'])
    assert np.abs(after['offset']).max() < 0.5
    for name in ('waves', 'few', 'shape', 'twice', 'go', 'unit'):
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    np.testing.assert_array_equal(after['scale'], 1.0)
    np.testing.assert_array_equal(after['shift'], 0.0)


def test_it_is_a_verified_model_of_the_same_inputs(folder: Path, tmp_path: Path) -> None:
    out = write_untrained(folder, tmp_path / 'deep' / 'random')
    old, new = verify(folder).card, verify(out).card
    assert new.inputs == old.inputs and new.outputs == old.outputs
    assert new.sha256 == hashlib.sha256((out / 'model.onnx').read_bytes()).hexdigest()
    assert new.sha256 != old.sha256 and not new.files and new.extra['untrained'] is True
    assert new.extra['spare'] == 'kept' and new.joint_names == old.joint_names
    assert old.score['value'] == 0.9 and set(new.score.values()) == {None}
    assert {path.name for path in out.iterdir()} == {'model.onnx', 'card.json'}
    x = {'x': np.random.default_rng(0).normal(size=(3, WIDTH)).astype(np.float32)}
    first, second = (load(place, 'onnx').run(x, 1)['y'] for place in (folder, out))
    assert np.isfinite(second).all() and np.abs(first - second).max() > 0.1
    assert second.std() > 1e-3


def test_the_trained_model_is_not_touched(folder: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_untrained(folder, tmp_path / 'random')
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_seed_decides(folder: Path, tmp_path: Path) -> None:
    models = [
        (write_untrained(folder, tmp_path / f'm{k}', seed=seed) / 'model.onnx').read_bytes()
        for k, seed in enumerate((0, 0, 1))]
    assert models[0] == models[1] != models[2]


def test_a_corrupted_model_is_refused_and_nothing_written(folder: Path, tmp_path: Path) -> None:
    data = (folder / 'model.onnx').read_bytes()
    (folder / 'model.onnx').write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ConfigurationError, match='corrupted'):
        write_untrained(folder, tmp_path / 'random')
    assert not (tmp_path / 'random').exists()
    assert json.loads((folder / 'card.json').read_text())['spare'] == 'kept'
