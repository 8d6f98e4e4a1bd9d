# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime runs the whole sampler: right, repeatable, and on what it was asked to run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_world import JOINTS, card, example, graph, in_numpy, write

from diffusion_control.errors import (
    ConfigurationError,
    DiffusionControlError,
    MissingDependencyError,
)
from diffusion_control.inference import load
from diffusion_control.inference.checked import Options
from diffusion_control.inference.onnx import (
    CPU,
    CUDA,
    OnnxSampler,
    refuse_absent,
    refuse_degraded,
    session_options,
)
from diffusion_control.inference.verify import verify

onnx = pytest.importorskip('onnx')
runtime = pytest.importorskip('onnxruntime')
AGREE = 1e-4
FLOAT = {'dtype': 'float32'}


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp('models') / 'm', graph())


@pytest.mark.parametrize(('rows', 'batch', 'knots'), [(1, 1, 1), (5, 2, 4), (10, 16, 64)])
def test_it_computes_what_the_sampler_says(
    folder: Path, rows: int, batch: int, knots: int,
) -> None:
    inputs = example(rows, batch, knots)
    outputs, wanted = load(folder, 'onnx').run(inputs, rows), in_numpy(inputs)
    assert set(outputs) == set(wanted)
    for name, array in outputs.items():
        assert array.dtype == np.float32 and array.shape == (batch, knots, JOINTS)
        assert np.abs(array - wanted[name]).max() < AGREE


def test_runs_and_loads_agree_bit_for_bit(folder: Path) -> None:
    inputs = example(10, 16, 64, seed=4)
    first, second = load(folder, 'onnx'), load(folder, 'onnx')
    wanted = first.run(inputs, 10)
    for sampler in (first, second, first):
        for name, array in sampler.run(inputs, 10).items():
            assert array.tobytes() == wanted[name].tobytes()


def test_inputs_stay_as_they_are_and_outputs_are_new(folder: Path) -> None:
    inputs, sampler = example(), load(folder, 'onnx')
    before = {name: array.copy() for name, array in inputs.items()}
    for array in inputs.values():
        array.flags.writeable = False
    first = sampler.run(inputs, 5)
    kept = first['x_next'].copy()
    sampler.run(example(seed=9), 5)
    assert np.array_equal(first['x_next'], kept)
    assert all(np.array_equal(inputs[name], before[name]) for name in inputs)
    assert not any(np.shares_memory(out, array)
                   for out in first.values() for array in inputs.values())


def test_arrays_with_strides_give_the_same_bits(folder: Path) -> None:
    inputs, sampler = example(), load(folder, 'onnx')
    wanted = sampler.run(inputs, 5)
    strided = {name: np.asfortranarray(array) for name, array in inputs.items()}
    assert sampler.run(strided, 5)['clean'].tobytes() == wanted['clean'].tobytes()


@pytest.mark.parametrize(('name', 'array', 'actual'), [
    ('x', np.zeros((2, 4, 7), np.float32), '[2, 4, 7]'),
    ('x', np.zeros((2, 4), np.float32), '[2, 4]'),
    ('x', np.zeros((2, 4, 3)), 'float64'), ('x', np.zeros((2, 0, 3), np.float32), '[2, 0, 3]'),
    ('x', [[0.0]], 'list'), ('noise', np.zeros((4, 2, 4, 3), np.float32), '[4, 2, 4, 3]'),
    ('noise', np.zeros((5, 3, 4, 3), np.float32), '[5, 3, 4, 3]'),
    ('goal', np.zeros((1, 3), np.float32), '[1, 3]')])
def test_a_wrong_array_is_named_with_both_shapes(
    folder: Path, name: str, array: Any, actual: str,
) -> None:
    sampler = load(folder, 'onnx')
    with pytest.raises(ConfigurationError, match=f'input {name} ') as caught:
        sampler.run({**example(), name: array}, 5)
    assert actual in str(caught.value.value)
    assert str(sampler.card.inputs[name]) in caught.value.allowed


def test_the_number_of_steps_is_the_length_of_the_table(folder: Path) -> None:
    sampler = load(folder, 'onnx')
    with pytest.raises(ConfigurationError, match='input table ') as caught:
        sampler.run(example(rows=5), 4)
    assert caught.value.allowed == 'expected float32 [K, 3] with K = 4'
    for bad in (0, -1, 2.0, True):
        with pytest.raises(ConfigurationError, match='number of denoising steps'):
            sampler.run(example(), bad)  # type: ignore[arg-type]


def test_missing_and_unknown_inputs_are_named(folder: Path) -> None:
    sampler, inputs = load(folder, 'onnx'), example()
    del inputs['goal']
    with pytest.raises(ConfigurationError, match=r"missing \['goal'\], unknown \['gaol'\]"):
        sampler.run({**inputs, 'gaol': inputs['x']}, 5)


@pytest.mark.parametrize(('kind', 'name', 'shape'), [
    ('inputs', 'x', ['B', 'F', 7]), ('inputs', 'x', ['B', 'F']), ('inputs', 'goal', ['B', 'n']),
    ('outputs', 'clean', ['B', 'F', 4])])
def test_a_graph_of_another_shape_than_its_card_is_refused(
    tmp_path: Path, kind: str, name: str, shape: list[Any],
) -> None:
    model = graph()
    table = card(model, state={})
    table[kind][name] = {'shape': shape, **FLOAT}
    with pytest.raises(ConfigurationError, match='another shape or type') as caught:
        load(write(tmp_path / 'm', model, table), 'onnx')
    wanted = table[kind][name]['shape'][-1]
    assert f'{wanted}]' in caught.value.allowed and '3]' in str(caught.value.value)


def test_a_graph_of_other_names_or_types_is_refused(tmp_path: Path) -> None:
    model = graph()
    table = card(model)
    table['inputs']['force'] = {'shape': ['B'], **FLOAT}
    with pytest.raises(ConfigurationError, match='are not those of its card'):
        load(write(tmp_path / 'a', model, table), 'onnx')
    table = card(model)
    table['inputs']['goal']['dtype'] = 'float64'
    with pytest.raises(ConfigurationError, match='another shape or type'):
        load(write(tmp_path / 'b', model, table), 'onnx')


def test_a_card_may_narrow_an_open_axis(tmp_path: Path) -> None:
    model = graph()
    table = card(model, state={})
    table['inputs']['x']['shape'] = ['B', 4, 3]
    sampler = load(write(tmp_path / 'm', model, table), 'onnx')
    assert sampler.run(example(knots=4), 5)['clean'].shape == (2, 4, 3)
    with pytest.raises(ConfigurationError, match='input x '):
        sampler.run(example(knots=5), 5)


def test_a_file_that_is_no_valid_graph_is_refused(tmp_path: Path) -> None:
    broken = onnx.load_model_from_string(graph())
    broken.graph.node[0].op_type = 'NoSuchOperator'
    with pytest.raises(ConfigurationError, match='cannot open the model'):
        load(write(tmp_path / 'm', broken.SerializeToString()), 'onnx')


def test_a_failure_during_a_run_has_the_root_of_all_errors(tmp_path: Path) -> None:
    """The graph's own knots and the noise's differ: only ONNX Runtime finds out."""
    model = graph()
    table = card(model)
    table['inputs']['noise']['shape'] = ['K', 'B', 'G', 3]
    sampler = load(write(tmp_path / 'm', model, table), 'onnx')
    inputs = example(knots=4)
    with pytest.raises(DiffusionControlError, match='failed during a run'):
        sampler.run({**inputs, 'noise': inputs['noise'][:, :, :3]}, 5)


def test_the_path_of_the_gpu_gives_the_same_bits_on_the_cpu(folder: Path) -> None:
    """IO binding itself, with the outputs bound to the CPU; no GPU is claimed."""
    class Bound(OnnxSampler):
        bound_to = 'cpu'

    inputs = example()
    bound = Bound(verify(folder), Options()).run(inputs, 5)
    for name, array in load(folder, 'onnx').run(inputs, 5).items():
        assert bound[name].tobytes() == array.tobytes()


@pytest.mark.skipif(CUDA in runtime.get_available_providers(), reason='CUDA is there')
@pytest.mark.parametrize('arguments', [
    {'backend': 'onnx_cuda'}, {'backend': 'onnx', 'require_gpu': True}])
def test_a_missing_gpu_is_refused_with_a_way_out(folder: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(MissingDependencyError, match=CUDA) as caught:
        load(folder, **arguments)
    assert caught.value.exit_code == 3
    assert 'diffusion_control[gpu]' in caught.value.remedy
    assert 'backend_require_gpu: false' in caught.value.remedy


@pytest.mark.filterwarnings('ignore:Specified provider')
def test_a_quiet_fallback_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A build that offers CUDA and then runs on the CPU, as ONNX Runtime does without cuDNN."""
    monkeypatch.setattr(runtime, 'get_available_providers', lambda: [CUDA, CPU])
    with pytest.raises(MissingDependencyError, match='quietly fallen back') as caught:
        load(folder, 'onnx', require_gpu=True)
    assert caught.value.value == [CPU] and str([CUDA, CPU]) in caught.value.allowed


def test_providers_are_compared_in_order() -> None:
    refuse_absent('onnx', (CPU,), ['A', CPU])
    refuse_degraded('onnx', (CUDA, CPU), [CUDA, CPU])
    with pytest.raises(MissingDependencyError):
        refuse_degraded('onnx', (CUDA, CPU), [CPU, CUDA])
    with pytest.raises(MissingDependencyError):
        refuse_absent('onnx', (CUDA, CPU), [CPU])


def test_threads_are_fixed_and_do_not_spin(folder: Path) -> None:
    options = session_options(runtime, 1)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.use_deterministic_compute
    assert options.get_session_config_entry('session.intra_op.allow_spinning') == '0'
    info = load(folder, 'onnx').info()
    assert info['providers'] == [CPU] and info['threads'] == 1 and info['device'] == 'cpu'
    assert info['backend'] == 'onnx' and info['version'] == runtime.__version__
    for bad in (0, -1, 1.5, True):
        with pytest.raises(ConfigurationError, match='number of threads'):
            load(folder, 'onnx', threads=bad)  # type: ignore[arg-type]
