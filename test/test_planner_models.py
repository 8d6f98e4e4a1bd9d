# SPDX-License-Identifier: Apache-2.0
"""Models of learned planners: where they are found, what is refused, and the shipped ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning_world import MISSING, cards, exported_model, panda
from test_planners_plan import check_motion, problem_of

from diffusion_control import cli, inference, planners, robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.learning.card import set_score
from diffusion_control.planners import models, motion_sampler
from diffusion_control.planners.arm_features import ArmFeatures

SHIPPED = sorted(
    path.parent for path in (Path(__file__).resolve().parents[1] / 'models').glob('*/card.json'))
pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_model(tmp_path_factory.mktemp('tiny'))


def test_the_shipped_model_is_not_looked_for_in_the_present_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a folder of that name, wherever a command is run, would take its place."""
    monkeypatch.setattr(models, 'share_directory', lambda: tmp_path / 'share')
    here, shipped = tmp_path / 'diffuser_panda', tmp_path / 'share/models/diffuser_panda'
    for place in (here, shipped):
        place.mkdir(parents=True)
        (place / 'card.json').write_text('{}')
    monkeypatch.chdir(tmp_path)
    for nothing in (None, ''):
        assert models.model_directory(nothing, 'diffuser', panda()) == shipped
    assert models.model_directory(here, 'diffuser', panda()) == here
    (tmp_path / 'other').mkdir()
    (tmp_path / 'share/models/other').mkdir()
    (tmp_path / 'share/models/other/card.json').write_text('{}')
    found = models.model_directory('other', 'diffuser', panda())
    assert found == tmp_path / 'share/models/other', 'the folder here holds no model'
    shutil.rmtree(shipped)
    with pytest.raises(ConfigurationError, match='no model') as caught:
        models.model_directory(None, 'diffuser', panda())
    assert 'other' in caught.value.allowed and 'without a model' in caught.value.remedy


def evaluate(tmp_path: Path, *arguments: str, planner: str = 'diffuser') -> int:
    return cli.run([
        'evaluate', 'arm', '--planner', planner, '--peer', 'none', '--episodes', '1', '--out',
        str(tmp_path / 'out'), *arguments])


def changed(folder: Path, model: Path, **values: Any) -> Path:
    """Return a copy of a model whose card has other values, and no seal."""
    out = shutil.copytree(model, folder / 'changed')
    found = {**cards(model), **values}
    found.pop('card_sha256')
    (out / 'card.json').write_text(json.dumps(found))
    return out


def test_a_missing_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path, '--model', str(tmp_path / 'nowhere')) == 2
    assert 'nowhere' in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_planners_without_a_network_refuse_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path, '--model', str(tmp_path), planner='training_free') == 2
    assert 'takes no model' in capsys.readouterr().err
    assert evaluate(tmp_path, '--untrained', planner='training_free') == 2
    assert 'has no weights' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_a_model_of_another_robot_is_refused(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path, '--model', str(exported), '--robot-config', 'ur5') == 2
    assert 'another robot' in capsys.readouterr().err
    names = list(panda().joint_names)
    swapped = changed(tmp_path, exported, joint_names=[names[1], names[0], *names[2:]])
    assert evaluate(tmp_path, '--model', str(swapped)) == 2
    assert 'another robot' in capsys.readouterr().err
    ur5 = robots.load('ur5')
    with pytest.raises(ConfigurationError, match='another robot'):
        planners.make('hybrid', robot=ur5, model=exported)


def test_a_model_of_another_description_of_the_question_is_refused(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(ArmFeatures):
        def __init__(self, robot: Any) -> None:
            super().__init__(robot)
            self.lengths = {**self.lengths, 'obstacles': 61}

    monkeypatch.setattr(motion_sampler, 'ArmFeatures', Other)
    with pytest.raises(ConfigurationError, match='another version') as caught:
        planners.make('diffuser', robot=panda(), model=exported)
    assert "'obstacles': 61" in caught.value.allowed and 'train' in caught.value.remedy


def test_a_corrupted_or_swapped_model_is_refused(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (exported / 'model.onnx').read_bytes()
    middle = len(data) // 2
    for number, other in enumerate((
            data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1:], data[:-9], b'')):
        out = shutil.copytree(exported, tmp_path / f'm{number}')
        (out / 'model.onnx').write_bytes(other)
        assert evaluate(tmp_path, '--model', str(out)) == 2
        told = capsys.readouterr().err
        assert 'corrupted' in told and cards(exported)['sha256'] in told
    (out / 'model.onnx').unlink()
    assert evaluate(tmp_path, '--model', str(out)) == 2
    (out / 'card.json').write_text('{')
    assert evaluate(tmp_path, '--model', str(out)) == 2
    assert 'Traceback' not in capsys.readouterr().err


@pytest.mark.parametrize('spoil', ['inputs', 'outputs', 'normaliser', 'diffusion', 'factor'])
def test_a_card_of_other_shapes_is_refused(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: str
) -> None:
    found = cards(exported)
    if spoil == 'inputs':
        found['inputs']['goal']['shape'] = [1, 46]
    elif spoil == 'outputs':
        found['outputs']['clean_out']['shape'] = ['B', 8, 6]
        found['state'].pop('clean')
    elif spoil == 'normaliser':
        found['normaliser'] = {'residual': {'mean': [[0.0]]}}
    elif spoil == 'factor':
        found['normaliser']['residual']['factor'] = np.ones((8, 8)).tolist()
    else:
        found.pop('diffusion')
    found.pop('card_sha256')
    out = changed(tmp_path, exported)
    (out / 'card.json').write_text(json.dumps(found))
    assert evaluate(tmp_path, '--model', str(out)) == 2
    assert 'card' in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_an_edited_card_is_refused(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another normaliser would run, and quietly plan something else."""
    out = shutil.copytree(exported, tmp_path / 'edited')
    text = (out / 'card.json').read_text()
    found = json.loads(text)
    found['normaliser']['residual']['mean'][0][0] += 0.1
    (out / 'card.json').write_text(json.dumps(found))
    assert evaluate(tmp_path, '--model', str(out)) == 2
    told = capsys.readouterr().err
    assert 'not as it was written' in told and found['card_sha256'] in told
    with pytest.raises(ConfigurationError, match='not as it was written'):
        set_score(out, {'task': 'none'})
    (out / 'card.json').write_text(json.dumps(json.loads(text), sort_keys=True))
    assert inference.verify(out).card.sha256 == found['sha256'], 'the order of keys is free'
    set_score(out, {'task': 'again', 'value': 0.5})
    assert inference.verify(out).card.score['task'] == 'again'


def test_evaluate_runs_the_network_and_one_of_random_weights(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    code = evaluate(tmp_path, '--model', str(exported), '--untrained', '--tracker', 'ideal',
                    '--safety', 'off', '--plant', 'nominal', '--json')
    result = json.loads(capsys.readouterr().out)
    assert code in (0, 1), 'checked, and found good or bad'
    assert [row['planner'] for row in result['rows']] == ['expert', 'diffuser', 'untrained']
    (folder,) = (tmp_path / 'out').iterdir()
    random = inference.verify(folder / 'untrained').card
    assert random.extra['untrained'] is True and random.sha256 != cards(exported)['sha256']
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before


@pytest.mark.parametrize('name', [
    path.name for path in SHIPPED if not path.name.endswith('_point_mass')])
def test_a_shipped_model_is_what_its_card_says_and_plans(name: str) -> None:
    (folder,) = (path for path in SHIPPED if path.name == name)
    kind, _, robot_name = name.partition('_')
    robot, found = robots.load(robot_name), inference.verify(folder).card
    assert found.joint_names == tuple(robot.joint_names) and found.extra['robot'] == robot_name
    assert 'card_sha256' in cards(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20e6
    if 'onnxruntime' in MISSING:
        pytest.skip('onnxruntime: not installed (extra `cpu`)')
    robot.collision.warm_up()
    problem = problem_of(robot)
    answer = planners.make(kind, robot=robot, model=folder, seed=1).plan(problem)
    assert answer.best is not None
    check_motion(robot, problem, answer.trajectory)


def test_auto_is_the_trained_planner_where_it_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, 'installed', lambda name: True)
    assert models.resolve('auto', panda()) == 'diffuser'
    assert models.resolve('auto', robots.load('ur5')) == 'training_free'
    assert models.resolve('auto', robots.load('ur5'), 'models/mine') == 'diffuser'
    assert models.resolve('multi_start', panda()) == 'multi_start'
    monkeypatch.setattr(models, 'installed', lambda name: False)
    assert models.resolve('auto', panda()) == 'training_free'
