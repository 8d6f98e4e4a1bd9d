# SPDX-License-Identifier: Apache-2.0
"""Training: gradients, checkpoints, resuming, several processes."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed (extra `train`)')
pytest.importorskip('safetensors', reason='safetensors is not installed (extra `train`)')

from learning_world import TINY, demonstrations, distances, panda, write_data  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from scipy.interpolate import BSpline  # noqa: E402

from diffusion_control import cli  # noqa: E402
from diffusion_control.errors import ConfigurationError  # noqa: E402
from diffusion_control.learning import bfloat16, checkpoint, training  # noqa: E402
from diffusion_control.learning.arm_batches import ArmBatches  # noqa: E402
from diffusion_control.learning.collision_penalty import CollisionPenalty  # noqa: E402
from diffusion_control.learning.settings import TrainSettings  # noqa: E402
from diffusion_control.robots.obstacles import Obstacle  # noqa: E402
from diffusion_control.trajectory.spline import straight  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
PACKAGE_PARENT = Path(cli.__file__).resolve().parents[1]  # the one whose kernels are compiled
KNOTS = np.concatenate([np.zeros(3), np.linspace(0.0, 1.0, 12), np.ones(3)])
Tensors = dict[str, Any]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


def settings(data: Path, **changes: Any) -> TrainSettings:
    return TrainSettings(data=str(data), **{**TINY, **changes})


def tensors(path: Path) -> Tensors:
    """Return all tensors of a checkpoint."""
    with safe_open(path, framework='pt') as archive:
        return {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118


def same(first: Tensors, second: Tensors) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items())


class Penalty:
    """The penalty of three made-up questions with two codes each."""

    def __init__(self) -> None:
        self.data = demonstrations(3)
        self.code = ArmBatches(panda(), demonstrations(30), seed=0).code
        self.penalty = CollisionPenalty(panda(), self.code, self.data, 2)
        random = np.random.default_rng(4)
        coded = self.code.encode(self.data.free, straight(self.data.start, self.data.goal))
        self.codes = np.repeat(coded, 2, 0) + 0.3 * random.normal(size=(6, 8, 7))

    def by_hand(self, codes: Any) -> Any:
        """Return the penalties by the judge's geometry: sums of squared hinges at 24 samples."""
        robot, data, result = panda(), self.data, []
        model = robot.collision
        a, b = np.asarray(model.pairs).T
        for row, code in enumerate(codes):
            question = row // 2
            start, goal = data.start[question], data.goal[question]
            share = straight(np.zeros((1, 1)), np.ones((1, 1)))[0]
            free = start + share * (goal - start) + self.code.mean + self.code.deviation * (
                self.code.factor @ code)
            spline = BSpline(KNOTS, np.concatenate(
                [np.repeat(start[None], 3, 0), free, np.repeat(goal[None], 3, 0)]), 3)
            cost = 0.0
            for q in spline(np.linspace(0.0, 1.0, 24)):
                near = distances(robot, q, self._obstacles(question))[:, model.obstacle_first:]
                centres, radius = model.centres(q), model.radius
                pairs = np.linalg.norm(centres[a] - centres[b], axis=1) - radius[a] - radius[b]
                floor = (centres[:, 2] - radius - model.floor_m)[model.floor_first:]
                cost += (np.maximum(0.03 - near, 0.0)**2).sum()
                cost += (np.maximum(0.015 - pairs, 0.0)**2).sum()
                cost += (np.maximum(0.015 - floor, 0.0)**2).sum()
            result.append(cost)
        return np.array(result)

    def _obstacles(self, row: int) -> tuple[Obstacle, ...]:
        from learning_world import OBSTACLES
        return OBSTACLES[:int(self.data.count[row])]


def test_the_penalty_is_that_of_the_decoded_motions() -> None:
    world = Penalty()
    found = world.penalty(torch.as_tensor(world.codes)).numpy()
    wanted = world.by_hand(world.codes)
    assert (wanted > 1e-3).sum() >= 2, 'some touch'
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-5)


def test_the_gradient_of_the_penalty_is_its_slope() -> None:
    """Against central differences of the judge's cost, in random directions."""
    world = Penalty()
    codes = torch.as_tensor(world.codes).requires_grad_()
    weight = torch.arange(1.0, 7.0, dtype=codes.dtype)
    (weight * world.penalty(codes)).sum().backward()
    assert codes.grad is not None and codes.grad.dtype == codes.dtype
    random, step, checked = np.random.default_rng(0), 1e-4, 0
    for _ in range(3):
        direction = random.normal(size=world.codes.shape)
        slope = (world.by_hand(world.codes + step * direction)
                 - world.by_hand(world.codes - step * direction)) / (2 * step)
        found = (codes.grad.numpy() * direction).sum((1, 2)) / weight.numpy()
        touching = np.abs(slope) > 1e-3
        checked += touching.sum()
        np.testing.assert_allclose(found, slope, rtol=0.05, atol=1e-3)
    assert checked >= 6


def test_a_training_that_is_resumed_is_the_uninterrupted_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for short in (False, True):
        monkeypatch.setattr(bfloat16, 'in_hardware', lambda: True)
        wanted = settings(data, steps=6, checkpoint_every=2, bfloat16=short)
        whole = training.train(wanted, tmp_path / f'whole{short}', resume=False)
        step, out = training.train_step, tmp_path / f'halves{short}'

        def broken(state: Any, number: int, take: Any = step) -> float:
            if number == 3:
                raise KeyboardInterrupt
            return float(take(state, number))

        monkeypatch.setattr(training, 'train_step', broken)
        with pytest.raises(KeyboardInterrupt):
            training.train(wanted, out, resume=False)
        monkeypatch.setattr(training, 'train_step', step)
        torch.manual_seed(99)
        np.random.seed(99)  # noqa: NPY002
        half = checkpoint.load(out / training.LAST)
        assert half.progress.step == 2
        last = training.train(wanted, out, resume=True)
        assert checkpoint.load(last).progress.step == 6
        assert same(tensors(last), tensors(whole))
        assert not same(half.tensors, tensors(whole))
        assert not [path for path in out.iterdir() if path.suffix != '.safetensors']


def test_bfloat16_is_not_emulated(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for hardware in (False, True):
        monkeypatch.setattr(bfloat16, 'in_hardware', lambda said=hardware: said)
        found.append(tensors(training.train(
            settings(data, steps=2, bfloat16=True), tmp_path / f'{hardware}', resume=False)))
    full = training.train(settings(data, steps=2, bfloat16=False), tmp_path / 'full', resume=False)
    assert same(found[0], tensors(full)) and not same(found[1], tensors(full))


@pytest.mark.parametrize(('line', 'wanted'), [
    ('flags\t\t: fpu avx2 avx512_bf16 sse', True), ('Features\t: fp asimd bf16', True),
    ('flags\t\t: fpu avx2 avx512f', False), ('model name\t: bf16', False)])
def test_the_processor_is_asked_for_bfloat16(tmp_path: Path, line: str, wanted: bool) -> None:
    info = tmp_path / 'cpuinfo'
    info.write_text(f'processor\t: 0\n{line}\n')
    assert bfloat16.in_hardware(info) is wanted
    assert not bfloat16.in_hardware(tmp_path / 'none')


def test_a_finished_training_is_left_as_it_is(data: Path, tmp_path: Path) -> None:
    wanted = settings(data, steps=2)
    before = training.train(wanted, tmp_path, resume=True).read_bytes()
    assert training.train(wanted, tmp_path, resume=True).read_bytes() == before
    with pytest.raises(ConfigurationError, match='holds a training'):
        training.train(wanted, tmp_path, resume=False)
    assert (tmp_path / training.LAST).read_bytes() == before


@pytest.mark.parametrize('change', [
    {'width': 24}, {'seed': 1}, {'learning_rate': 2e-3}, {'batch': 8}, {'ema_decay': 0.9},
    {'collision_weight': 1.0}, {'longest_ratio': 1.5}])
def test_other_settings_are_refused_on_resume(
    data: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    training.train(settings(data, steps=1), tmp_path, resume=False)
    with pytest.raises(ConfigurationError, match='other settings') as caught:
        training.train(settings(data, steps=1, **change), tmp_path, resume=True)
    assert next(iter(change)) in str(caught.value.value)


def test_more_steps_are_a_reason_to_go_on(data: Path, tmp_path: Path) -> None:
    training.train(settings(data, steps=1), tmp_path, resume=False)
    last = training.train(settings(data, steps=2, threads=1), tmp_path, resume=True)
    assert checkpoint.load(last).progress.step == 2


def _without_metadata(path: Path) -> None:
    found = tensors(path)
    save_file(found, path)


def _of_another_format(path: Path) -> None:
    with safe_open(path, framework='pt') as archive:
        about = json.loads(archive.metadata()['diffusion_control'])
    save_file(tensors(path), path, metadata={
        'diffusion_control': json.dumps({**about, 'format': 99})})


@pytest.mark.parametrize('damage', [
    lambda path: path.write_bytes(path.read_bytes()[:-100]),
    lambda path: path.write_bytes(b''), lambda path: path.write_bytes(b'\x80\x04pickle' * 9),
    lambda path: path.write_bytes(b'\x00' + path.read_bytes()[1:]), lambda path: path.unlink(),
    _without_metadata, _of_another_format])
def test_a_damaged_checkpoint_is_refused(data: Path, tmp_path: Path, damage: Any) -> None:
    last = training.train(settings(data, steps=1), tmp_path, resume=False)
    damage(last)
    with pytest.raises(ConfigurationError, match='cannot read the checkpoint'):
        checkpoint.load(last)
    if last.exists():
        with pytest.raises(ConfigurationError):
            training.train(settings(data, steps=1), tmp_path, resume=True)


def test_data_of_another_robot_or_an_odd_batch_are_refused(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_data(tmp_path / 'other', joint_names=['a', 'b'])
    with pytest.raises(ConfigurationError, match='another robot'):
        training.train(settings(other), tmp_path / 'out', resume=False)
    with pytest.raises(ConfigurationError, match='does not divide'):
        training._prepare(settings(data, batch=5), 0, 2)
    with pytest.raises(ConfigurationError, match='no data set'):
        training.train(settings(tmp_path / 'nothing'), tmp_path / 'out', resume=False)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('name', ['mlp', 'mixer', 'film_unet', 'transformer', 'temporal_unet'])
def test_every_denoiser_can_be_trained(data: Path, name: str) -> None:
    state = training._prepare(settings(data, denoiser=name), 0, 1)
    assert np.isfinite(training.train_step(state, 0))


def test_an_unknown_denoiser_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match='denoiser'):
        training.train(settings(data, denoiser='none such'), tmp_path, resume=False)


def test_a_few_hundred_steps_lower_the_loss(data: Path) -> None:
    state = training._prepare(settings(
        data, steps=300, batch=8, width=32, learning_rate=5e-3, warm_up_steps=10), 0, 1)
    losses = [training.train_step(state, step) for step in range(300)]
    assert np.mean(losses[-50:]) < 0.7 * np.mean(losses[:20])
    batch, generator = state.batches.draw(10_000, 0, 64)
    first, _ = training._prepare(settings(data, width=32), 0, 1), None
    with torch.no_grad():
        after = float(training.loss_of(state, batch, generator))
        state.network = first.network
        before = float(training.loss_of(state, batch, state.batches.draw(10_000, 0, 64)[1]))
        state.network = state.ema.model
        mean = float(training.loss_of(state, batch, state.batches.draw(10_000, 0, 64)[1]))
    assert after < 0.75 * before and mean < 0.75 * before


def test_the_averaged_weights_follow(data: Path) -> None:
    state = training._prepare(settings(data, learning_rate=1e-2), 0, 1)
    start = [p.detach().clone() for p in state.network.parameters()]
    for step in range(3):
        training.train_step(state, step)
    moved = [float((p.detach() - s).abs().max()) for p, s in zip(
        state.network.parameters(), start, strict=True)]
    followed = [float((p - s).abs().max()) for p, s in zip(
        state.ema.model.parameters(), start, strict=True)]
    assert max(moved) > 1e-3 and 0 < max(followed) < max(moved) * 1.5
    assert state.ema.updates == 3


def test_the_learning_rate_rises_and_falls() -> None:
    wanted = TrainSettings(steps=1000, warm_up_steps=100, learning_rate=1e-3)
    rates = [training.learning_rate(wanted, step) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-5, rel=1e-3)
    assert 95 <= int(np.argmax(rates)) <= 105 and max(rates) == pytest.approx(1e-3, rel=0.03)
    assert rates[500] == pytest.approx(0.51e-3) and rates[-1] == pytest.approx(2e-5, rel=0.01)


TWO = """
import sys
from pathlib import Path
import numpy as np
from diffusion_control import cli
from diffusion_control.learning import training
run = training._run
def kept(state, last):
    run(state, last)
    arrays = {n: p.detach().numpy() for n, p in state.network.named_parameters()}
    np.savez(Path(sys.argv[2]) / f'rank{state.rank}.npz', **arrays)
training._run = kept
sys.exit(cli.run(['train', sys.argv[1], '--out', sys.argv[2]]))
"""


def average_of_two(wanted: TrainSettings) -> tuple[Tensors, list[float]]:
    """Return the weights after steps with the mean gradient of both processes' batches."""
    state = training._prepare(wanted, 0, 1)
    parameters, losses = list(state.network.parameters()), []
    for step in range(wanted.steps):
        for group in state.optimiser.param_groups:
            group['lr'] = training.learning_rate(wanted, step)
        state.optimiser.zero_grad()
        total = 0.0
        for rank in range(2):
            batch, generator = state.batches.draw(step, rank, wanted.batch // 2)
            loss = training.loss_of(state, batch, generator) / 2
            loss.backward()  # gradients add up
            total += float(loss.detach())
        losses.append(total)
        torch.nn.utils.clip_grad_norm_(parameters, wanted.gradient_norm)
        state.optimiser.step()
    return dict(state.network.named_parameters()), losses


def test_two_processes_take_the_steps_of_one(data: Path, tmp_path: Path) -> None:
    wanted = settings(data, steps=20, learning_rate=5e-3, warm_up_steps=1)
    config, script = tmp_path / 'train.yaml', tmp_path / 'two.py'
    config.write_text(json.dumps(dataclasses.asdict(wanted)))
    script.write_text(TWO)
    (tmp_path / 'out').mkdir()
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2', '--master-port',
         str(29_500 + os.getpid() % 2000), str(script), str(config), str(tmp_path / 'out')],
        capture_output=True, text=True, timeout=240, cwd=ROOT, env={
            **os.environ, 'PYTHONPATH': str(PACKAGE_PARENT), 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith(training.LAST)
    ranks = [np.load(tmp_path / 'out' / f'rank{rank}.npz') for rank in range(2)]
    weights, losses = average_of_two(wanted)
    assert set(weights) == set(ranks[0].files)
    for name, value in weights.items():
        np.testing.assert_array_equal(ranks[0][name], ranks[1][name])
        np.testing.assert_allclose(ranks[0][name], value.detach().numpy(), atol=1e-4)
    assert np.mean(losses[-5:]) < 0.95 * np.mean(losses[:5])
    found = checkpoint.load(tmp_path / 'out' / training.LAST)
    assert found.progress.step == 20
    np.testing.assert_array_equal(
        found.part('network.')['denoiser.into.weight'], ranks[0]['denoiser.into.weight'])


def test_the_verb_trains_and_resumes(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = tmp_path / 'train.yaml', tmp_path / 'out'
    config.write_text(json.dumps({**TINY, 'data': str(data), 'steps': 1}))
    arguments = ['train', str(config), '--out', str(out), '--seed', '4']
    assert cli.run([*arguments, '--json']) == 0
    shown = json.loads(capsys.readouterr().out)
    assert checkpoint.load(Path(shown['checkpoint'])).settings.seed == 4
    assert cli.run(arguments) == 2
    assert cli.run([*arguments, '--resume']) == 0
    assert cli.run(['train', str(config), '--out', str(out), '--seed', '5', '--resume']) == 2
    assert 'Traceback' not in capsys.readouterr().err
