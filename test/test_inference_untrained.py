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
        'waves': WAVES, 'few': np.array([0.25, 0.75]), 'inner': random.normal(size=(WIDTH, WIDTH)),
        'difference': random.normal(size=(WIDTH, WIDTH)), 'net.place': np.full(WIDTH, 0.7)}
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
        make('Add', ['d', 'net.place'], ['there']),
        make('Mul', ['there', 'waves'], ['e']), make('Reshape', ['e', 'shape'], ['f']),
        make('ReduceSum', ['few'], ['sum'], keepdims=0), make('Mul', ['f', 'sum'], ['g']),
        make('ReduceSum', ['difference'], ['moved'], keepdims=0),
        make('Mul', ['g', 'moved'], ['h']),
        make('Loop', ['twice', 'go', 'h'], ['y'], body=body)]
    graph = onnx.helper.make_graph(
        nodes, 'network', [value('x', kind, move)], [value('y', kind, move)],
        [*(tensors[name] for name in arrays if name != 'inner'), shape,
         onnx.numpy_helper.from_array(np.array(2), 'twice'),
         onnx.numpy_helper.from_array(np.array(True), 'go')])
    return _bytes(graph), arrays


def _bytes(graph: Any) -> bytes:
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 18)])
    model.ir_version = 8
    data: bytes = model.SerializeToString()
    return data


def layers(torch: Any) -> tuple[bytes, dict[str, Array]]:
    """Return a graph of one layer of each kind as `export` writes them, and torch's own weights.

    Numbers of inputs and outputs differ, so that one taken for the other shows.
    """
    torch.manual_seed(0)
    nn = torch.nn
    made = {'linear': nn.Linear(400, 30), 'narrow': nn.Linear(30, 400),
            'folded': nn.Linear(50, 350), 'conv': nn.Conv1d(40, 20, 5),
            'up': nn.ConvTranspose1d(60, 16, 4)}
    arrays = {f'{name}.{part}': getattr(layer, part).detach().numpy()
              for name, layer in made.items() for part in ('weight', 'bias')}
    arrays['folded.weight'] = np.ascontiguousarray(arrays['folded.weight'].T)
    arrays |= {'group.scale': np.full((16, 1), 0.3), 'group.shift': np.full((16, 1), 0.2)}
    node = onnx.helper.make_node
    nodes = [
        node('Gemm', ['x', 'linear.weight', 'linear.bias'], ['l'], transB=1),
        node('Gemm', ['l', 'narrow.weight', 'narrow.bias'], ['n'], transB=1),
        node('MatMul', ['n', 'folded.weight'], ['m']), node('Add', ['folded.bias', 'm'], ['f']),
        node('Conv', ['f', 'conv.weight', 'conv.bias'], ['c']),
        node('ConvTranspose', ['c', 'up.weight', 'up.bias'], ['u']),
        node('InstanceNormalization', ['u', 'ones', 'zeros'], ['i']),
        node('Reshape', ['i', 'shape'], ['r']), node('Mul', ['r', 'group.scale'], ['s']),
        node('Add', ['s', 'group.shift'], ['y'])]
    value, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes, 'layers', [value('x', kind, ['B', WIDTH])], [value('y', kind, ['B', WIDTH])],
        [onnx.numpy_helper.from_array(array.astype(np.float32), name)
         for name, array in arrays.items()])
    return _bytes(graph), arrays


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
    for name in ('waves', 'few', 'shape', 'twice', 'go', 'unit', 'difference'):
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)
    np.testing.assert_array_equal(after['scale'], 1.0)
    np.testing.assert_array_equal(after['shift'], 0.0)
    assert 0.01 < np.std(after['net.place']) < 0.04


def test_each_layer_begins_as_torch_begins_it(tmp_path: Path) -> None:
    torch = pytest.importorskip('torch', reason='its own first weights are what is compared with')
    model, wanted = layers(torch)
    drawn = initializers(write_untrained(
        write(tmp_path / 'trained', model, card(model)), tmp_path / 'random'))
    for name in (n for n in wanted if n.endswith('.weight')):
        assert np.std(drawn[name]) == pytest.approx(np.std(wanted[name]), rel=0.05), name
        largest = np.abs(wanted[name]).max()
        assert np.abs(drawn[name]).max() == pytest.approx(largest, rel=0.02), name
    for name in (n for n in wanted if n.endswith('.bias')):
        bound = np.abs(wanted[name.replace('bias', 'weight')]).max()
        assert 0.6 * bound < np.abs(drawn[name]).max() < 1.01 * bound, name
    np.testing.assert_array_equal(drawn['group.scale'], 1.0)
    np.testing.assert_array_equal(drawn['group.shift'], 0.0)


@pytest.mark.parametrize('name', ['diffuser_panda', 'diffuser_point_mass'])
def test_nothing_trained_is_left_in_a_shipped_model(name: str, tmp_path: Path) -> None:
    shipped = Path(__file__).parents[1] / 'models' / name
    before, after = initializers(shipped), initializers(
        write_untrained(shipped, tmp_path / 'random'))
    same = {key for key, value in before.items() if value.dtype == np.float32 and value.size > 1
            and np.array_equal(value, after[key])}
    fixed = {key for key in same if key.endswith(('.frequencies', '.beside'))
             or set(np.unique(before[key])) <= {0.0, 1.0}}
    assert same == fixed


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
