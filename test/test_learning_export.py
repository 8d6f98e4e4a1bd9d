# SPDX-License-Identifier: Apache-2.0
"""A trained network as a model: the graph against eager torch, the card, the scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed (extra `train`)')
pytest.importorskip('onnx', reason='onnx is not installed (extra `train`)')
pytest.importorskip('onnxscript', reason='onnxscript is not installed (extra `train`)')
pytest.importorskip('onnxruntime', reason='ONNX Runtime is not installed (extra `cpu`)')
pytest.importorskip('safetensors', reason='safetensors is not installed (extra `train`)')

from learning_world import OBSTACLES, cards, panda, trained  # noqa: E402

from diffusion_control import cli, inference  # noqa: E402
from diffusion_control.diffusion.prediction import Prediction  # noqa: E402
from diffusion_control.diffusion.samplers import make_sampler  # noqa: E402
from diffusion_control.diffusion.schedules import make_schedule  # noqa: E402
from diffusion_control.diffusion.table import tabulate  # noqa: E402
from diffusion_control.errors import ConfigurationError  # noqa: E402
from diffusion_control.inference.chain import DenoisingChain  # noqa: E402
from diffusion_control.inference.verify import verify  # noqa: E402
from diffusion_control.learning import checkpoint  # noqa: E402
from diffusion_control.learning.export_model import ExportOptions, export  # noqa: E402
from diffusion_control.learning.network import make_network  # noqa: E402
from diffusion_control.learning.scores import put_scores, score_of  # noqa: E402
from diffusion_control.planners.arm_features import ArmFeatures  # noqa: E402
from diffusion_control.robots.obstacles import ObstacleArrays  # noqa: E402

pytestmark = pytest.mark.filterwarnings('ignore')
SETTINGS: dict[str, Any] = {'steps': 40, 'learning_rate': 2e-2, 'collision_weight': 0.0}


@pytest.fixture(scope='module')
def last(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a short training that moves the weights far."""
    torch.set_num_threads(1)
    return trained(tmp_path_factory.mktemp('trained'), **SETTINGS)


@pytest.fixture(scope='module')
def model(last: Path) -> Path:
    return export(ExportOptions(last, last.parent / 'model', commit='abc'))


def asked(obstacles: int) -> dict[str, Any]:
    """Return what the network is told of one question."""
    home = panda().home_rad
    return dict(ArmFeatures(panda())(
        home, home + 0.4, ObstacleArrays.pack(OBSTACLES[:obstacles])))


def eager(last: Path, told: dict[str, Any], noise: Any, count: int) -> Any:
    """Return the averaged network's clean motions by steps x = (1 - t) x0 + t e, in torch."""
    found = checkpoint.load(last)
    network = make_network(found.settings, ArmFeatures(panda()).lengths, 8, 7).eval()
    network.load_state_dict(found.part('average.'))
    inputs = {name: torch.as_tensor(value) for name, value in told.items()}
    x = clean = torch.as_tensor(noise)
    with torch.no_grad():
        for k in range(count):
            now, after = 1.0 - k / count, 1.0 - (k + 1) / count
            clean = network(x, torch.tensor([1000.0 * now]), inputs, len(noise))
            x = (1.0 - after) * clean + after * (x - (1.0 - now) * clean) / now
    return clean.numpy()


@pytest.mark.parametrize('obstacles', [0, 3])
@pytest.mark.parametrize('motions', [1, 7])
@pytest.mark.parametrize('count', [1, 2, 5])
def test_the_graph_is_the_network(
    last: Path, model: Path, count: int, motions: int, obstacles: int
) -> None:
    noise = np.random.default_rng(count).standard_normal((motions, 8, 7), dtype=np.float32)
    sampler, told = inference.load(model, 'onnx'), asked(obstacles)
    wanted = eager(last, told, noise, count)
    found = DenoisingChain(sampler).run(told, noise, count)
    np.testing.assert_allclose(found.clean, wanted, atol=1e-5)
    rows = DenoisingChain(sampler).run(told, noise, count, until_s=1e9)
    np.testing.assert_allclose(rows.clean, wanted, atol=1e-5)
    assert np.abs(wanted).max() > 0.05, 'it says something'


def test_the_condition_matters(model: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((2, 8, 7), dtype=np.float32)
    chain = DenoisingChain(inference.load(model, 'onnx'))
    runs = [chain.run(asked(count), noise, 2).clean for count in (0, 1, 3)]
    assert np.abs(runs[0] - runs[1]).max() > 1e-4 and np.abs(runs[1] - runs[2]).max() > 1e-4
    padded = asked(1)
    padded['obstacles'] = np.pad(padded['obstacles'], ((0, 0), (0, 4), (0, 0)))
    padded['obstacle_mask'] = np.pad(padded['obstacle_mask'], ((0, 0), (0, 4)))
    np.testing.assert_allclose(chain.run(padded, noise, 2).clean, runs[1], atol=1e-6)


def test_the_card_says_what_it_is(last: Path, model: Path) -> None:
    card, found = cards(model), checkpoint.load(last)
    assert verify(model).card.joint_names == tuple(panda().joint_names)
    assert card['normaliser'] == found.code and card['commit'] == 'abc'
    assert card['diffusion'] == {'schedule': 'flow', 'prediction': 'sample'}
    assert card['data_seed'] == 3 and card['robot'] == 'panda'
    assert card['training']['steps'] == 40 and card['training']['weights'] == 'averaged'
    made, trained_by, exported_by = card['train_command'].split(' && ')
    assert made.startswith('diffusion_control data generate --robot-config panda --scenes 12 ')
    assert made.endswith(f'--seed 3 --out {found.settings.data}')
    assert trained_by.split()[0] == 'diffusion_control' and exported_by.endswith(' export')
    settings = card['training']['settings']
    assert settings['width'] == 16 and settings['steps'] == 40 and settings['seed'] == 0
    assert set(card['score'].values()) == {None}
    schedule = make_schedule('flow')
    table = tabulate(make_sampler('ddim'), schedule, Prediction('sample'), 2)
    assert card['inputs']['table']['shape'] == ['K', table.rows.shape[1]]


def test_random_weights_are_those_that_training_began_with(last: Path, model: Path) -> None:
    other = export(ExportOptions(last, last.parent / 'random', untrained=True))
    assert cards(other)['training']['weights'] == 'untrained'
    assert cards(other)['sha256'] != cards(model)['sha256']
    noise, told = np.ones((1, 8, 7), np.float32), asked(2)
    found = checkpoint.load(last)
    network = make_network(found.settings, ArmFeatures(panda()).lengths, 8, 7).eval()
    with torch.no_grad():
        wanted = network(torch.as_tensor(noise), torch.tensor([1000.0]), {
            name: torch.as_tensor(value) for name, value in told.items()}, 1).numpy()
    runs = [DenoisingChain(inference.load(place, 'onnx')).run(told, noise, 1).clean
            for place in (other, model)]
    np.testing.assert_allclose(runs[0], wanted, atol=1e-5)
    assert np.abs(runs[1] - runs[0]).max() > 0.05


def test_equal_checkpoints_give_equal_models(last: Path, model: Path) -> None:
    again = export(ExportOptions(last, last.parent / 'again', commit='abc'))
    for name in ('model.onnx', 'card.json'):
        assert (again / name).read_bytes() == (model / name).read_bytes()


def test_the_verb_exports(
    last: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'models' / 'm'
    arguments = ['export', '--checkpoint', str(last), '--out', str(out)]
    assert cli.run([*arguments, '--json']) == 0
    assert json.loads(capsys.readouterr().out) == {'model': str(out)}
    assert verify(out).card.extra['training']['weights'] == 'averaged'
    assert cli.run([*arguments, '--untrained']) == 0
    assert verify(out).card.extra['training']['weights'] == 'untrained'
    assert cli.run(['export', '--checkpoint', str(tmp_path / 'none'), '--out', str(out)]) == 2
    damaged = tmp_path / 'damaged.safetensors'
    damaged.write_bytes(last.read_bytes()[:-8])
    assert cli.run(['export', '--checkpoint', str(damaged), '--out', str(tmp_path / 'd')]) == 2
    assert not (tmp_path / 'd').exists()


def rows(**counts: tuple[int, int]) -> list[dict[str, Any]]:
    """Return rows of an arm's evaluation, which has no layout: successes and episodes."""
    return [{'planner': name, 'success': k < good, 'score': 100.0 * (k < good)}
            for name, (good, every) in counts.items() for k in range(every)]


def test_scores_are_shares_of_the_rows() -> None:
    score = score_of(
        rows(diffuser=(3, 4), expert=(4, 4), random=(1, 4), untrained=(2, 4), hybrid=(0, 4)), 'do')
    assert score['value'] == 0.75 and score['episodes'] == 4 and 'do' in score['task']
    assert (score['expert'], score['random'], score['untrained']) == (1.0, 0.25, 0.5)
    assert score['sem'] > 0
    alone = score_of(rows(hybrid=(1, 2)), 'do')
    assert alone['value'] == 0.5 and alone['untrained'] is None


def test_scores_in_mazes_are_means_over_the_mazes_of_the_planner_that_was_asked_for() -> None:
    found = [{'planner': name, 'layout': layout, 'success': True, 'score': score}
             for name, layout, score in (
                 ('hierarchical', 'umaze', 1.0), ('hierarchical', 'umaze', 3.0),
                 ('hierarchical', 'large', 10.0), ('diffuser', 'umaze', 0.0),
                 ('random_controls', 'umaze', 5.0), ('expert', 'large', 20.0))]
    score = score_of(found, 'evaluate maze2d --planner hierarchical --peer diffuser')
    assert (score['value'], score['sem'], score['episodes']) == (6.0, 0.5, 3)
    assert (score['expert'], score['random'], score['untrained']) == (20.0, 5.0, None)


def test_scores_go_into_the_card_and_nothing_else_changes(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / 'result.json'
    model = shutil.copytree(model, tmp_path / 'm')
    before, graph = cards(model), (model / 'model.onnx').read_bytes()
    result.write_text(json.dumps({'rows': rows(diffuser=(1, 2)), 'command': 'x'}))
    assert cli.run(['export', '--scores', str(result), '--out', str(model)]) == 0
    after = cards(model)
    assert after['score']['value'] == 0.5 and (model / 'model.onnx').read_bytes() == graph
    new = {'score': None, 'card_sha256': None}
    assert {**after, **new} == {**before, **new}
    assert verify(model).card.score['episodes'] == 2
    for text in ('{}', 'no json', json.dumps({'rows': rows(expert=(1, 1)), 'command': 'x'})):
        result.write_text(text)
        assert cli.run(['export', '--scores', str(result), '--out', str(model)]) == 2
    assert cards(model) == after
    result.write_text(json.dumps({'rows': rows(diffuser=(1, 2)), 'command': 'x'}))
    with pytest.raises(ConfigurationError):
        put_scores(result, tmp_path / 'nowhere')
    capsys.readouterr()
