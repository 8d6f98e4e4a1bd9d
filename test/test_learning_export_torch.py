# SPDX-License-Identifier: Apache-2.0
"""The program of torch that `export` writes on request, against the ONNX file beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from learning_world import MISSING, OBSTACLES, cards, panda, trained

from diffusion_control import cli, inference
from diffusion_control.errors import ConfigurationError, MissingDependencyError
from diffusion_control.inference.chain import DenoisingChain
from diffusion_control.inference.torch_compiler import compiler
from diffusion_control.planners.arm_features import ArmFeatures
from diffusion_control.robots.obstacles import ObstacleArrays

if MISSING:
    pytest.skip(f'{", ".join(MISSING)}: not installed (extras `train`, `cpu`)',
                allow_module_level=True)

pytestmark = pytest.mark.filterwarnings('ignore')
AGREE = 1e-4
ASKED = ((1, 1, 0), (1, 16, 3), (10, 1, 1), (10, 7, 2))  # evaluations, motions, obstacles


@pytest.fixture(scope='module')
def last(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    torch.set_num_threads(1)
    return trained(tmp_path_factory.mktemp('trained'), steps=1, collision_weight=0.0)


@pytest.fixture(scope='module')
def model(last: Path) -> Path:
    """Return the freshly initialised network as a model, both ways, written by the verb."""
    out = last.parent / 'both'
    assert cli.run(['export', '--checkpoint', str(last), '--untrained', '--torch-program',
                    '--out', str(out)]) == 0
    return out


def differences(model: Path, backend: str, **options: Any) -> float:
    """Return the largest difference from ONNX Runtime, of whole runs and row by row."""
    home, largest = panda().home_rad, 0.0
    wanted = DenoisingChain(inference.load(model, 'onnx'))
    found = DenoisingChain(inference.load(model, backend, **options))
    for count, motions, obstacles in ASKED:
        told = dict(ArmFeatures(panda())(
            home, home + 0.4, ObstacleArrays.pack(OBSTACLES[:obstacles])))
        noise = np.random.default_rng(count).standard_normal((motions, 8, 7), dtype=np.float32)
        right = wanted.run(told, noise, count).clean
        assert np.abs(right).max() > 0.01, 'it says something'
        for until_s in ({}, {'until_s': 1e9}):
            run = found.run(told, noise, count, **until_s)
            assert run.evaluations == count
            largest = max(largest, float(np.abs(run.clean - right).max()))
    return largest


def test_the_program_is_the_graph(model: Path) -> None:
    assert differences(model, 'torch') < AGREE


def test_the_compiled_program_is_the_graph(model: Path, tmp_path: Path) -> None:
    try:
        compiler()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    assert differences(model, 'torch_compiled', cache_dir=str(tmp_path)) < AGREE


def test_the_card_vouches_for_the_program(last: Path, model: Path) -> None:
    data = (model / 'model.pt2').read_bytes()
    assert cards(model)['files'] == {'model.pt2': hashlib.sha256(data).hexdigest()}
    assert inference.verify(model).contents['model.pt2'] == data
    assert b'diffusion_control/' not in data, 'nothing about where it was made'
    (model / 'model.pt2').write_bytes(data[:-1])
    try:
        with pytest.raises(ConfigurationError, match=r'model\.pt2 is not the file of its card'):
            inference.verify(model)
    finally:
        (model / 'model.pt2').write_bytes(data)


def test_no_program_is_written_unasked(last: Path, tmp_path: Path) -> None:
    assert cli.run(['export', '--checkpoint', str(last), '--out', str(tmp_path / 'm')]) == 0
    assert sorted(path.name for path in (tmp_path / 'm').iterdir()) == ['card.json', 'model.onnx']
    assert 'files' not in cards(tmp_path / 'm')


def test_a_program_of_another_task_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    from diffusion_control.learning import checkpoint, export_model
    monkeypatch.setattr(checkpoint, 'load', lambda path: SimpleNamespace(settings=None))
    with pytest.raises(ConfigurationError, match='for arms only'):
        export_model.export(export_model.ExportOptions(
            tmp_path / 'x', tmp_path / 'm', torch_program=True))
    assert not (tmp_path / 'm').exists()
