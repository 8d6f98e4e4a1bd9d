# SPDX-License-Identifier: Apache-2.0
"""What of TensorRT needs no GPU: refusals, and whose engines may be opened.

No engine is built or run here: no machine of this project has run one yet.
"""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path

import pytest
from inference_world import graph, write

from diffusion_control.errors import ConfigurationError, MissingDependencyError
from diffusion_control.inference import gpu, load, verify
from diffusion_control.inference.engine_cache import (
    MANIFEST,
    EngineCache,
    EngineKey,
    default_cache,
)
from diffusion_control.inference.tensorrt import engine_key

KEY = EngineKey('a' * 64, '10.3.0', 'NVIDIA Orin')


def fake_tensorrt(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    module = types.ModuleType('tensorrt')
    module.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'tensorrt', module)


def fake_machine(monkeypatch: pytest.MonkeyPatch, providers: list[str]) -> None:
    """Pretend a TensorRT and a GPU, and an ONNX Runtime that has these providers."""
    pytest.importorskip('onnx')
    runtime = pytest.importorskip('onnxruntime')
    fake_tensorrt(monkeypatch, '10.3.0')
    monkeypatch.setattr(gpu, 'gpu_name', lambda: 'NVIDIA Orin')
    monkeypatch.setattr(runtime, 'get_available_providers', lambda: providers)


def test_the_key_is_model_version_and_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tensorrt(monkeypatch, '10.3.0')
    monkeypatch.setattr(gpu, 'gpu_name', lambda: 'NVIDIA Orin')
    assert engine_key('a' * 64) == KEY
    fake_tensorrt(monkeypatch, '10.4.0')
    assert engine_key('a' * 64) == EngineKey('a' * 64, '10.4.0', 'NVIDIA Orin')
    fake_tensorrt(monkeypatch, '')
    with pytest.raises(MissingDependencyError, match='does not say its version'):
        engine_key('a' * 64)


def test_each_part_changes_the_folder() -> None:
    others = [EngineKey('b' * 64, KEY.tensorrt, KEY.gpu),
              EngineKey(KEY.model_sha256, '10', KEY.gpu),
              EngineKey(KEY.model_sha256, KEY.tensorrt, 'NVIDIA Thor'),
              EngineKey(KEY.model_sha256, KEY.gpu, KEY.tensorrt)]
    digests = {key.digest() for key in (KEY, *others)}
    assert len(digests) == 5 and KEY.digest() == EngineKey(**vars(KEY)).digest()
    assert all(len(digest) == 64 and digest.isalnum() for digest in digests)


def test_own_engines_stay(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, KEY)
    (cache.folder / 'graph_0.engine').write_bytes(b'engine')
    cache.seal()
    assert EngineCache(tmp_path, KEY).clear_foreign() == []
    assert (cache.folder / 'graph_0.engine').read_bytes() == b'engine'
    assert cache.folder.stat().st_mode & 0o777 == 0o700


def test_engines_that_nobody_vouches_for_are_removed(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, KEY)
    (cache.folder / 'graph_0.engine').write_bytes(b'engine')
    (cache.folder / 'graph_1.engine').write_bytes(b'engine')
    cache.seal()
    (cache.folder / 'graph_0.engine').write_bytes(b'Engine')  # changed since
    (cache.folder / 'graph_2.engine').write_bytes(b'put here by hand')
    outside = tmp_path / 'outside.engine'
    outside.write_bytes(b'engine')
    (cache.folder / 'graph_3.engine').symlink_to(outside)
    assert cache.clear_foreign() == ['graph_0.engine', 'graph_2.engine', 'graph_3.engine']
    assert sorted(os.listdir(cache.folder)) == ['graph_1.engine', MANIFEST]
    assert outside.read_bytes() == b'engine'
    (cache.folder / 'graph_1.engine').unlink()
    (cache.folder / 'graph_1.engine').symlink_to(outside)  # its bytes could change later
    assert cache.clear_foreign() == ['graph_1.engine'] and outside.exists()


@pytest.mark.parametrize('change', [
    {'model_sha256': 'b' * 64}, {'tensorrt': '10.4.0'}, {'gpu': 'NVIDIA Thor'}, {'more': 1},
    {'engines': []}, None])
def test_a_folder_of_another_key_is_emptied(tmp_path: Path, change: dict[str, object]) -> None:
    """As after copying a cache from another machine over one's own."""
    cache = EngineCache(tmp_path, KEY)
    (cache.folder / 'graph.engine').write_bytes(b'engine')
    cache.seal()
    manifest = cache.folder / MANIFEST
    text = json.dumps({**json.loads(manifest.read_text()), **change}) if change else '{'
    manifest.write_text(text)
    assert cache.clear_foreign() == ['graph.engine', MANIFEST]
    assert os.listdir(cache.folder) == []


def test_a_cache_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'tensorrt').write_text('a file')
    with pytest.raises(ConfigurationError, match='cannot be made') as caught:
        EngineCache(tmp_path, KEY)
    assert 'XDG_CACHE_HOME' in caught.value.remedy


def test_the_cache_lies_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert default_cache() == tmp_path / 'diffusion_control'
    monkeypatch.setenv('XDG_CACHE_HOME', '')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert default_cache() == tmp_path / '.cache' / 'diffusion_control'


def test_no_driver_is_no_gpu() -> None:
    with pytest.raises(MissingDependencyError, match='no NVIDIA GPU') as caught:
        gpu.gpu_name('libno-such-driver.so.1')
    assert caught.value.exit_code == 3 and 'planner.backend: onnx' in caught.value.remedy
    with pytest.raises(MissingDependencyError, match='no NVIDIA GPU') as caught:
        gpu.gpu_name('libc.so.6')  # a library, but no driver
    assert 'cuInit' in str(caught.value.value)


def test_onnxruntime_without_the_provider_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TensorRT and a GPU alone are not enough; nothing foreign is opened on the way."""
    fake_machine(monkeypatch, ['CPUExecutionProvider'])
    with pytest.raises(MissingDependencyError, match='TensorrtExecutionProvider'):
        load(write(tmp_path / 'm', graph()), 'tensorrt', cache_dir=str(tmp_path / 'cache'))


@pytest.mark.filterwarnings('ignore:Specified provider')
def test_a_tensorrt_that_does_not_start_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_machine(monkeypatch, [
        'TensorrtExecutionProvider', 'CUDAExecutionProvider', 'CPUExecutionProvider'])
    folder = write(tmp_path / 'm', graph())
    key = EngineKey(verify(folder).card.sha256, '10.3.0', 'NVIDIA Orin')
    foreign = EngineCache(tmp_path / 'cache', key).folder / 'graph.engine'
    foreign.write_bytes(b'of another machine')
    with pytest.raises(MissingDependencyError, match='quietly fallen back') as caught:
        load(folder, 'tensorrt', cache_dir=str(tmp_path / 'cache'))
    assert not foreign.exists()  # gone before TensorRT was asked to start
    assert caught.value.value == ['CPUExecutionProvider']
