# SPDX-License-Identifier: Apache-2.0
"""Backends agree, say why they cannot run, and load nothing before they are asked."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_world import JOINTS, WEIGHTS, card, example, graph, in_numpy, write

from diffusion_control.errors import ConfigurationError, MissingDependencyError
from diffusion_control.inference import available_backends, load, packages
from diffusion_control.inference.pt2_file import sample_inputs

ROOT = Path(__file__).resolve().parents[1]
AGREE, ROWS = 1e-4, 10
NAMES = ['onnx', 'onnx_cuda', 'tensorrt', 'torch', 'torch_compiled', 'torch_cuda_graphs']


def program() -> bytes:
    """Return the same sampler, its rows unrolled, as torch exports it."""
    torch = pytest.importorskip('torch')

    class Unrolled(torch.nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.weights = torch.nn.Parameter(torch.tensor(WEIGHTS))

        def forward(self, table: Any, x: Any, noise: Any, goal: Any) -> tuple[Any, Any]:
            for row in range(ROWS):
                clean = torch.tanh(x @ self.weights) + goal[:, None, :]
                x = table[row, 0] * x + table[row, 1] * clean + table[row, 2] * noise[row]
            return x, clean

    given = tuple(torch.tensor(array) for array in example(ROWS, 2, 4).values())
    size = torch.export.Dim
    batch, knots = size('batch', min=1, max=64), size('knots', min=1, max=256)
    shapes = {'table': {}, 'x': {0: batch, 1: knots}, 'noise': {1: batch, 2: knots},
              'goal': {0: batch}}
    exported = torch.export.export(Unrolled().eval(), given, dynamic_shapes=shapes)
    file = io.BytesIO()
    torch.export.save(exported, file)
    return file.getvalue()


def fixed_rows(model: bytes, **files: bytes) -> dict[str, Any]:
    """Return a card whose table has a fixed number of rows, as the unrolled program has."""
    table = card(model, files={name: hashlib.sha256(data).hexdigest()
                               for name, data in files.items()})
    table['inputs']['table']['shape'][0] = table['inputs']['noise']['shape'][0] = ROWS
    return table


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip('onnx')
    return write(tmp_path_factory.mktemp('models') / 'm', graph())


def agreement(sampler: Any, batch: int, knots: int) -> float:
    """Return the largest difference from the sampler in numpy."""
    inputs = example(ROWS, batch, knots, seed=5)
    before = {name: array.copy() for name, array in inputs.items()}
    outputs, again = sampler.run(inputs, ROWS), sampler.run(inputs, ROWS)
    assert all(outputs[name].tobytes() == again[name].tobytes() for name in outputs)
    assert all(np.array_equal(inputs[name], before[name]) for name in inputs)
    assert np.float64(5e-324) * np.float64(1.0) > 0, 'the caller computes otherwise than before'
    assert set(outputs) == {'x_next', 'clean'}
    assert all(array.shape == (batch, knots, JOINTS) for array in outputs.values())
    return max(float(np.abs(outputs[name] - array).max())
               for name, array in in_numpy(inputs).items())


def test_onnx_runtime_agrees_with_numpy(folder: Path) -> None:
    pytest.importorskip('onnxruntime')
    sampler = load(folder, 'onnx')
    assert agreement(sampler, 1, 8) < AGREE
    assert agreement(sampler, 16, 64) < AGREE
    assert sampler.info()['backend'] == 'onnx' and sampler.info()['device'] == 'cpu'


def test_a_torch_program_agrees(tmp_path: Path) -> None:
    torch = pytest.importorskip('torch')
    pytest.importorskip('onnx')
    data, model = program(), graph()
    table = fixed_rows(model, **{'model.pt2': data})
    folder = write(tmp_path / 'm', model, table, model__pt2=data)
    before = torch.get_num_threads()
    try:
        sampler = load(folder, 'torch')
        assert agreement(sampler, 2, 8) < AGREE and agreement(sampler, 16, 64) < AGREE
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    if not torch.cuda.is_available():
        with pytest.raises(MissingDependencyError, match='torch finds no GPU'):
            load(folder, 'torch', require_gpu=True)
    table['inputs'] = dict(reversed(table['inputs'].items()))
    with pytest.raises(ConfigurationError, match='arguments of the program'):
        load(write(tmp_path / 'm', model, table, model__pt2=data), 'torch')


def test_torch_without_a_program_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r'needs model\.pt2') as caught:
        load(folder, 'torch')
    assert 'planner.backend: onnx' in caught.value.remedy


def repacked(data: bytes, **changes: bytes | None) -> bytes:
    """Return a zip archive with members replaced, added, or (None) removed."""
    source, file = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(file, 'w') as target:
        for name in source.namelist():
            content = changes.pop(name, source.read(name))
            if content is not None:
                target.writestr(name, content)
        for name, content in changes.items():
            target.writestr(name, content or b'')
    return file.getvalue()


def archive() -> bytes:
    """Return an archive that has the members of a plain program."""
    table = {'config': {'w': {'path_name': 'weight_0', 'use_pickle': False}}}
    return repacked(
        _empty_zip(), **{
            'm/data/weights/weight_0': b'0000', 'm/archive_format': b'pt2',
            'm/data/weights/model_weights_config.json': json.dumps(table).encode(),
            'm/models/model.json': b'{}', 'm/data/sample_inputs/model.pt': b'samples'})


def _empty_zip() -> bytes:
    file = io.BytesIO()
    zipfile.ZipFile(file, 'w').close()
    return file.getvalue()


def _table(**entry: Any) -> bytes:
    return json.dumps({'config': {'w': {
        'path_name': 'weight_0', 'use_pickle': False, **entry}}}).encode()


@pytest.mark.parametrize('changes', [
    {'m/data/weights/model_weights_config.json': _table(use_pickle=True)},
    {'m/data/weights/model_weights_config.json': _table(use_pickle=1)},
    {'m/data/weights/model_weights_config.json': b'{"config": {"w": {"path_name": "weight_0"}}}'},
    {'m/data/constants/model_constants_config.json': _table(path_name='custom_obj_0')},
    {'m/data/constants/model_constants_config.json': _table(path_name='opaque_obj_0')},
    {'m/data/constants/model_constants_config.json': b'['},
    {'m/data/constants/custom_obj_0': b''}, {'m/data/weights/model.pt': b''},
    {'m/data/aotinductor/model/x.so': b''}, {'serialized_state_dict.pt': b''},
    {'m/ARCHIVE_FORMAT': b''}, {'m/data/sample_inputs/model.pt': None},
    {'n/data/sample_inputs/model.pt': b''}])
def test_a_program_that_asks_for_a_pickle_is_refused(changes: dict[str, bytes | None]) -> None:
    assert sample_inputs(archive(), 'x') == b'samples'
    with pytest.raises(ConfigurationError, match='without running what is in it'):
        sample_inputs(repacked(archive(), **changes), 'x')


@pytest.mark.parametrize('data', [b'', b'PK', b'x' * 100])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigurationError, match='without running what is in it'):
        sample_inputs(data, 'x')


def test_samples_that_would_run_code_are_refused(tmp_path: Path) -> None:
    """The one file of the archive that torch unpickles is tried without leave to run anything."""
    pytest.importorskip('torch')
    pytest.importorskip('onnx')
    data = program()
    name = next(name for name in zipfile.ZipFile(io.BytesIO(data)).namelist()
                if name.endswith('sample_inputs/model.pt'))
    mark = tmp_path / 'ran'
    evil = b'cos\nsystem\n(S"touch ' + str(mark).encode() + b'"\ntR.'
    data = repacked(data, **{name: evil})
    model = graph()
    folder = write(tmp_path / 'm', model, fixed_rows(model, **{'model.pt2': data}),
                   model__pt2=data)
    with pytest.raises(ConfigurationError, match='cannot open the model'):
        load(folder, 'torch')
    assert not mark.exists()


def test_every_backend_says_whether_and_why() -> None:
    found = available_backends()
    assert list(found) == NAMES
    for name, (usable, reason) in found.items():
        assert isinstance(usable, bool) and reason, name
        assert usable or any(
            way in reason for way in ('pip install', 'apt install', 'driver')), reason


def test_an_absent_package_is_named_with_its_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module, backend, extra in (
            ('onnxruntime', 'onnx', '[cpu]'),
            ('torch', 'torch', '[train]'), ('tensorrt', 'tensorrt', '[tensorrt]')):
        monkeypatch.setitem(sys.modules, module, None)  # what Python has for an absent one
        monkeypatch.setattr(packages, 'installed', lambda name: False)
        usable, reason = available_backends()[backend]
        assert not usable and extra in reason and module in reason
        if backend != 'torch':  # its model has no program, which is found out before
            with pytest.raises(MissingDependencyError) as caught:
                load(folder, backend)
            assert caught.value.exit_code == 3 and extra in caught.value.remedy


def test_an_unknown_backend_is_refused_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match='unknown inference backend') as caught:
        load(folder, 'onxn')
    assert caught.value.allowed == ', '.join(NAMES)


def test_importing_loads_no_backend() -> None:
    code = ('import sys, diffusion_control.inference, diffusion_control.inference.torch, '
            'diffusion_control.inference.tensorrt\n'
            'print(" ".join({name.split(".")[0] for name in sys.modules}))')
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert 'diffusion_control' in loaded
    assert not loaded & {'onnxruntime', 'onnx', 'torch', 'tensorrt', 'rclpy'}
