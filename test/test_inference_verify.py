# SPDX-License-Identifier: Apache-2.0
"""A model that is not what its card says is refused before anything opens it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inference_world import card, graph, write

from diffusion_control.errors import ConfigurationError
from diffusion_control.inference import load, verify
from diffusion_control.inference.onnx_file import refuse_external_data

onnx = pytest.importorskip('onnx')
FLIPS = 100


@pytest.fixture(scope='module')
def model() -> bytes:
    return graph()


def test_a_good_folder_is_read_once_and_handed_on(tmp_path: Path, model: bytes) -> None:
    folder = write(tmp_path / 'm', model)
    verified = verify(folder)
    assert verified.model == model and verified.card.sha256 == hashlib.sha256(model).hexdigest()


def test_flipped_bits_are_found(tmp_path: Path, model: bytes) -> None:
    random = np.random.default_rng(3)
    for bit in random.integers(0, 8 * len(model), FLIPS):
        broken = bytearray(model)
        broken[bit // 8] ^= 1 << (bit % 8)
        folder = write(tmp_path / 'm', bytes(broken), card(model))
        with pytest.raises(ConfigurationError, match='corrupted, truncated or swapped') as caught:
            load(folder, 'onnx')
        assert hashlib.sha256(model).hexdigest() in caught.value.allowed
        assert hashlib.sha256(broken).hexdigest() in str(caught.value.value)


@pytest.mark.parametrize('length', [0, 1, 100, -1])
def test_a_truncated_model_is_found(tmp_path: Path, model: bytes, length: int) -> None:
    with pytest.raises(ConfigurationError, match='corrupted, truncated or swapped'):
        verify(write(tmp_path / 'm', model[:length], card(model)))


def test_swapped_models_are_found(tmp_path: Path, model: bytes) -> None:
    other = graph(rows=4)
    assert other != model
    with pytest.raises(ConfigurationError, match='swapped'):
        verify(write(tmp_path / 'm', other, card(model)))


@pytest.mark.parametrize('length', [0, 1, 40, 200])
def test_a_truncated_model_with_a_fitting_hash_is_found(
    tmp_path: Path, model: bytes, length: int,
) -> None:
    with pytest.raises(ConfigurationError, match='not an ONNX file'):
        verify(write(tmp_path / 'm', model[:length]))


@pytest.mark.parametrize('name', ['model.onnx', 'card.json'])
def test_a_missing_file_is_named(tmp_path: Path, model: bytes, name: str) -> None:
    folder = write(tmp_path / 'm', model)
    (folder / name).unlink()
    with pytest.raises(ConfigurationError, match=f'{name} of the model cannot be read'):
        verify(folder)
    (folder / name).mkdir()
    with pytest.raises(ConfigurationError, match='not a file'):
        verify(folder)


def test_further_files_are_held_against_their_hashes(tmp_path: Path, model: bytes) -> None:
    files = {'model.pt2': hashlib.sha256(b'program').hexdigest()}
    folder = write(tmp_path / 'm', model, card(model, files=files), model__pt2=b'program')
    assert verify(folder).contents['model.pt2'] == b'program'
    (folder / 'model.pt2').write_bytes(b'Program')
    with pytest.raises(ConfigurationError, match=r'model\.pt2 is not the file of its card'):
        verify(folder)


def test_links_out_of_the_folder_are_refused(tmp_path: Path, model: bytes) -> None:
    folder = write(tmp_path / 'm', model)
    outside = tmp_path / 'outside.onnx'
    outside.write_bytes(model)
    (folder / 'model.onnx').unlink()
    (folder / 'model.onnx').symlink_to(outside)
    with pytest.raises(ConfigurationError, match='leads out of the folder'):
        verify(folder)
    (folder / 'model.onnx').unlink()
    (folder / 'model.onnx').symlink_to('model.onnx')
    with pytest.raises(ConfigurationError, match='cannot be read'):
        verify(folder)


def test_a_folder_of_links_to_one_folder_is_fine(tmp_path: Path, model: bytes) -> None:
    """As an installation with links makes it."""
    real, links = write(tmp_path / 'real', model), tmp_path / 'links'
    links.mkdir()
    for path in real.iterdir():
        (links / path.name).symlink_to(path)
    assert verify(links).model == model


def _external(tensor: Any, location: str) -> None:
    tensor.ClearField('raw_data')
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (('location', location), ('offset', '0'), ('length', '36')):
        tensor.external_data.add(key=key, value=value)


def _weights(name: str = 'w') -> Any:
    return onnx.numpy_helper.from_array(np.ones((3, 3), np.float32), name)


def _as_initializer(model: Any, tensor: Any) -> None:
    model.graph.initializer.append(tensor)


def _as_constant(model: Any, tensor: Any) -> None:
    model.graph.node.append(onnx.helper.make_node('Constant', [], ['w'], value=tensor))


def _inside_the_loop(model: Any, tensor: Any) -> None:
    loop = next(node for node in model.graph.node if node.op_type == 'Loop')
    loop.attribute[0].g.initializer.append(tensor)


def _in_a_list(model: Any, tensor: Any) -> None:
    model.graph.node[0].attribute.add(name='w').tensors.append(tensor)


def _in_a_sparse_tensor(model: Any, tensor: Any) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(tensor)


def _in_a_function(model: Any, tensor: Any) -> None:
    model.functions.add(name='f').node.append(
        onnx.helper.make_node('Constant', [], ['w'], value=tensor))


def _in_training(model: Any, tensor: Any) -> None:
    model.training_info.add().algorithm.initializer.append(tensor)


@pytest.mark.parametrize('place', [
    _as_initializer, _as_constant, _inside_the_loop, _in_a_list, _in_a_sparse_tensor,
    _in_a_function, _in_training])
@pytest.mark.parametrize('location', ['/etc/passwd', '../../secret', 'weights.bin'])
def test_external_data_is_refused_wherever_it_is(
    model: bytes, place: Callable[[Any, Any], None], location: str,
) -> None:
    changed, tensor = onnx.load_model_from_string(model), _weights()
    place(changed, tensor)
    refuse_external_data(changed.SerializeToString(), 'model.onnx')
    changed = onnx.load_model_from_string(model)
    _external(tensor, location)
    place(changed, tensor)
    with pytest.raises(ConfigurationError, match='data in another file') as caught:
        refuse_external_data(changed.SerializeToString(), 'model.onnx')
    assert f'w: location={location}' in str(caught.value.value)


def test_a_reference_without_the_flag_and_the_flag_without_a_reference(model: bytes) -> None:
    for flag in (True, False):
        changed, tensor = onnx.load_model_from_string(model), _weights()
        if flag:
            tensor.data_location = onnx.TensorProto.EXTERNAL
        else:
            tensor.external_data.add(key='location', value='x')
        changed.graph.initializer.append(tensor)
        with pytest.raises(ConfigurationError, match='data in another file'):
            refuse_external_data(changed.SerializeToString(), 'model.onnx')


def test_a_compiled_engine_is_refused(model: bytes) -> None:
    """Its node would make TensorRT open an engine that no cache vouches for."""
    changed = onnx.load_model_from_string(model)
    loop = next(node for node in changed.graph.node if node.op_type == 'Loop')
    loop.attribute[0].g.node.append(onnx.helper.make_node(
        'EPContext', [], ['y'], domain='com.microsoft', embed_mode=0, ep_cache_context='x.engine'))
    with pytest.raises(ConfigurationError, match='data in another file') as caught:
        refuse_external_data(changed.SerializeToString(), 'model.onnx')
    assert 'EPContext' in str(caught.value.value)


def test_external_data_is_refused_on_the_way_in(tmp_path: Path, model: bytes) -> None:
    changed, tensor = onnx.load_model_from_string(model), _weights()
    _external(tensor, 'weights.bin')
    changed.graph.initializer.append(tensor)
    folder = write(tmp_path / 'm', changed.SerializeToString(), **{'weights__bin': bytes(36)})
    with pytest.raises(ConfigurationError, match='data in another file'):
        load(folder, 'onnx')


@given(st.binary(max_size=300))
def test_random_bytes_are_walked_or_refused(data: bytes) -> None:
    """A message with a graph may pass; nothing else is raised, and the walk ends."""
    try:
        refuse_external_data(data, 'x')
    except ConfigurationError as error:
        assert error.where == 'x'
    else:
        assert b'\x3a' in data  # the tag of ModelProto.graph


def test_nesting_is_bounded() -> None:
    message = b''
    for _ in range(100):  # graph { node { attribute { g { ...
        for tag in (0x32, 0x2A, 0x0A):
            message = bytes([tag]) + _length(len(message)) + message
    with pytest.raises(ConfigurationError, match='not an ONNX file'):
        refuse_external_data(b'\x3a' + _length(len(message)) + message, 'x')


def _length(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def test_nothing_is_opened_before_it_is_verified(tmp_path: Path, model: bytes) -> None:
    """The refusal of a corrupted model comes before any backend is even loaded."""
    folder = write(tmp_path / 'm', model[:-1], card(model))
    code = ('import sys; from diffusion_control.errors import ConfigurationError\n'
            'from diffusion_control.inference import load\n'
            f'try: load({str(folder)!r}, "onnx")\n'
            'except ConfigurationError: print("onnxruntime" in sys.modules)\n')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True,
                          cwd=Path(__file__).parents[1], env=dict(os.environ))
    assert done.stdout.strip() == 'False'


def test_a_card_of_another_model_has_another_hash(tmp_path: Path, model: bytes) -> None:
    folder = write(tmp_path / 'm', model)
    table = json.loads((folder / 'card.json').read_text())
    table['sha256'] = '0' * 64
    (folder / 'card.json').write_text(json.dumps(table))
    with pytest.raises(ConfigurationError) as caught:
        verify(folder)
    assert caught.value.exit_code == 2 and '0' * 64 in caught.value.allowed
