# SPDX-License-Identifier: Apache-2.0
"""The program of torch compiled and by CUDA graphs: they agree, or say why they cannot run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inference_world import example, graph, in_numpy, write
from test_inference_backends import AGREE, ROWS, agreement, fixed_rows, program

from diffusion_control.errors import (
    ConfigurationError,
    DiffusionControlError,
    MissingDependencyError,
)
from diffusion_control.inference import available_backends, load, packages, verify
from diffusion_control.inference.checked import Options
from diffusion_control.inference.torch_compiler import compiler, own_folder
from diffusion_control.inference.torch_cuda_graphs import MOST_GRAPHS, TorchCudaGraphsSampler

torch = pytest.importorskip('torch', reason='torch is not installed (extra `train`)')
pytest.importorskip('onnx', reason='onnx is not installed (extra `cpu`)')

WITHOUT_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a model with the program, and leave torch's number of threads as it was."""
    before, data, model = torch.get_num_threads(), program(), graph()
    yield write(tmp_path_factory.mktemp('models') / 'm', model,
                fixed_rows(model, **{'model.pt2': data}), model__pt2=data)
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def compiled(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    try:
        compiler()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    return load(folder, 'torch_compiled', cache_dir=str(tmp_path_factory.mktemp('cache')))


def test_compiled_agrees_with_eager_for_every_size(folder: Path, compiled: Any) -> None:
    assert max(agreement(compiled, *sizes) for sizes in ((2, 8), (16, 64), (1, 1))) < AGREE
    inputs = example(ROWS, 3, 5, seed=9)
    eager, found = load(folder, 'torch').run(inputs, ROWS), compiled.run(inputs, ROWS)
    assert all(np.abs(found[name] - array).max() < AGREE for name, array in eager.items())
    assert compiled.info()['backend'] == 'torch_compiled' and compiled.info()['device'] == 'cpu'


def test_a_run_never_compiles(compiled: Any) -> None:
    """What torch compiled for is another number of threads, which is set back, or another type."""
    torch.set_num_threads(2)
    assert agreement(compiled, 2, 8) < AGREE and torch.get_num_threads() == 1
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(DiffusionControlError, match='recompile'):
            compiled.run(example(ROWS, 2, 8), ROWS)
    finally:
        torch.set_default_dtype(torch.float32)
    assert agreement(compiled, 2, 8) < AGREE


def test_sizes_beyond_the_bounds_of_the_program_are_refused(compiled: Any) -> None:
    with pytest.raises(DiffusionControlError, match='failed during a run'):
        compiled.run(example(ROWS, 65, 2), ROWS)


def test_what_was_compiled_lies_in_a_folder_of_its_own(
    compiled: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Path(compiled.options.cache_dir) / 'torch_compiled'
    assert kept.stat().st_mode & 0o777 == 0o700 and list(kept.rglob('*.so'))
    monkeypatch.setenv('TORCHINDUCTOR_CACHE_DIR', 'mine')
    monkeypatch.delenv('TORCHINDUCTOR_COMPILE_THREADS', raising=False)
    with own_folder(tmp_path / 'new'):
        assert os.environ['TORCHINDUCTOR_CACHE_DIR'] == str(tmp_path / 'new')
    assert os.environ['TORCHINDUCTOR_CACHE_DIR'] == 'mine'
    assert 'TORCHINDUCTOR_COMPILE_THREADS' not in os.environ
    (tmp_path / 'new').chmod(0o777)
    (tmp_path / 'file').write_text('')
    for bad in (tmp_path / 'new', tmp_path / 'file' / 'below'):
        with pytest.raises(ConfigurationError, match='cannot be kept there'), own_folder(bad):
            pass


def test_without_a_compiler_compiled_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setenv('CXX', 'none++')
    with pytest.raises(MissingDependencyError, match=r'needs a C\+\+ compiler') as caught:
        load(folder, 'torch_compiled', cache_dir=str(tmp_path))
    assert caught.value.exit_code == 3 and 'apt install g++' in caught.value.remedy
    usable, reason = available_backends()['torch_compiled']
    assert not usable and 'no none++' in reason and 'planner.backend: torch' in reason


def test_without_pythons_headers_compiled_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / 'c++').write_text('')
    (tmp_path / 'c++').chmod(0o700)
    monkeypatch.setenv('CXX', str(tmp_path / 'c++'))
    monkeypatch.setattr('sysconfig.get_paths', lambda: {'include': str(tmp_path)})
    with pytest.raises(MissingDependencyError, match='headers') as caught:
        compiler()
    assert 'python3-dev' in caught.value.remedy
    (tmp_path / 'Python.h').write_text('')
    assert compiler() == str(tmp_path / 'c++')


def test_what_does_not_compile_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    if shutil.which('g++') is None:
        pytest.skip('no g++')

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError('Could not guard on data-dependent expression')

    monkeypatch.setattr(torch, 'compile', broken)
    with pytest.raises(ConfigurationError, match='cannot compile the program') as caught:
        load(folder, 'torch_compiled', cache_dir=str(tmp_path))
    assert 'data-dependent' in caught.value.value and 'onnx' in caught.value.remedy


@WITHOUT_CUDA
def test_without_cuda_cuda_graphs_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    for version, what in (('2.13.0+cpu', 'built without CUDA'), ('2.13.0', 'finds no GPU')):
        monkeypatch.setattr(torch, '__version__', version)
        with pytest.raises(MissingDependencyError, match=what) as caught:
            load(folder, 'torch_cuda_graphs')
        assert caught.value.exit_code == 3 and 'nvidia-smi' in caught.value.remedy
    for version, what in (('2.13.0+cpu', 'built without CUDA'), ('2.13.0', 'no NVIDIA GPU')):
        monkeypatch.setattr(packages, 'version', lambda name, found=version: found)
        usable, reason = available_backends()['torch_cuda_graphs']
        assert not usable and what in reason and 'onnx' in reason


class Capture:
    """A stand-in for torch's CUDA graphs on the CPU: what is captured is called by `replay`."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.last: tuple[Any, Any] = (), ()

    def install(self, sampler: Any, patch: pytest.MonkeyPatch) -> None:
        real, outer = sampler._module, self

        def module(*given: Any) -> Any:
            outer.log.append('call')
            outer.last = given, real(*given)
            return outer.last[1]

        class Graph:
            inputs: Any
            results: Any

            def replay(self) -> None:
                outer.log.append('replay')
                for buffer, value in zip(self.results, real(*self.inputs), strict=True):
                    buffer.copy_(value)

        class Stream:
            def wait_stream(self, other: Any) -> None:
                outer.log.append('wait')

        @contextmanager
        def capture(recorded: Graph) -> Iterator[None]:
            outer.log.append('capture')
            yield
            recorded.inputs, recorded.results = outer.last

        @contextmanager
        def on(stream: Stream) -> Iterator[None]:
            outer.log.append('side')
            yield

        sampler._module = module
        for name, value in (('CUDAGraph', Graph), ('Stream', Stream), ('graph', capture),
                            ('stream', on), ('current_stream', Stream)):
            patch.setattr(torch.cuda, name, value)


def test_cuda_graphs_are_recorded_once_per_set_of_shapes(
    folder: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TorchCudaGraphsSampler, '_choose_device', lambda self: 'cpu')
    sampler, capture = TorchCudaGraphsSampler(verify(folder), Options()), Capture()
    capture.install(sampler, monkeypatch)
    record = ['wait', 'side', 'call', 'call', 'call', 'wait', 'capture', 'call', 'replay']
    assert agreement(sampler, 2, 8) < AGREE
    assert capture.log == [*record, 'replay']
    others = example(ROWS, 2, 8, seed=1)
    first = sampler.run(others, ROWS)
    assert all(np.abs(first[name] - array).max() < AGREE
               for name, array in in_numpy(others).items()), 'new values of the same shapes'
    kept = {name: array.copy() for name, array in first.items()}
    assert agreement(sampler, 2, 8) < AGREE
    assert all(np.array_equal(first[name], kept[name]) for name in kept), 'results are copies'
    assert capture.log == [*record, *['replay'] * 4]
    capture.log.clear()
    assert agreement(sampler, 1, 8) < AGREE and capture.log == [*record, 'replay']
    for knots in range(1, MOST_GRAPHS + 2):
        sampler.run(example(ROWS, 3, knots), ROWS)
    assert sampler.info()['graphs'] == MOST_GRAPHS
