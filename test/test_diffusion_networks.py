# SPDX-License-Identifier: Apache-2.0
"""Denoisers, conditions, losses and the learned cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from diffusion_control.diffusion import sampling  # noqa: E402
from diffusion_control.diffusion.conditioning import (  # noqa: E402
    ConditionEncoder,
    ConditionSpec,
    ObstacleSet,
    random_drops,
)
from diffusion_control.diffusion.denoisers import DENOISERS, bind, make_denoiser  # noqa: E402
from diffusion_control.diffusion.ema import Ema  # noqa: E402
from diffusion_control.diffusion.loss import WEIGHTINGS, DiffusionLoss  # noqa: E402
from diffusion_control.diffusion.prediction import PREDICTIONS, Prediction  # noqa: E402
from diffusion_control.diffusion.samplers import make_sampler  # noqa: E402
from diffusion_control.diffusion.schedules import SCHEDULES, make_schedule  # noqa: E402
from diffusion_control.diffusion.schedules.discrete import linear_schedule  # noqa: E402
from diffusion_control.diffusion.schedules.edm import EdmSchedule  # noqa: E402
from diffusion_control.diffusion.schedules.flow import FlowSchedule  # noqa: E402
from diffusion_control.diffusion.table import tabulate  # noqa: E402
from diffusion_control.diffusion.value import (  # noqa: E402
    TracedGradient,
    ValueNetwork,
    value_gradient,
)
from diffusion_control.errors import ConfigurationError  # noqa: E402

H, D, C = 16, 3, 8


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def a_denoiser(name: str) -> Any:
    return make_denoiser(name, H, D, C, width=16).eval()


@pytest.mark.parametrize('name', DENOISERS)
def test_denoisers_read_motion_time_and_condition(name: str) -> None:
    network = a_denoiser(name)
    x, condition, time = torch.randn(5, H, D), torch.randn(5, C), torch.full((5,), 300.0)
    with torch.no_grad():
        out = network(x, time, condition)
        assert out.shape == (5, H, D)
        assert torch.allclose(network(x, time[:1], condition), out, atol=1e-6)
        assert torch.allclose(network(x[2:3], time[:1], condition[2:3]), out[2:3], atol=1e-5)
        for other in (network(x + 0.1, time, condition), network(x, 2 * time, condition),
                      network(x, time, -condition)):
            assert ((other - out).abs().amax((1, 2)) > 1e-4).all()


@pytest.mark.parametrize('name', DENOISERS)
def test_every_weight_of_a_denoiser_learns(name: str) -> None:
    """Every parameter has a gradient, and the first knot can hear the last."""
    network = a_denoiser(name)
    x = torch.randn(2, H, D, requires_grad=True)
    out = network(x, torch.tensor([10.0, 900.0]), torch.randn(2, C))
    (out**2).mean().backward(retain_graph=True)
    silent = [key for key, value in network.named_parameters()
              if value.grad is None or not value.grad.abs().sum() > 0.0]
    assert not silent
    (heard,) = torch.autograd.grad(out[0, 0].sum(), x)
    assert heard[0, -1].abs().max() > 0.0 and heard[1].abs().max() == 0.0


def test_patches_shorten_the_sequence() -> None:
    for name in ('transformer', 'mixer'):
        network = make_denoiser(name, H, D, C, width=16, patch=4)
        assert network.patches.count == 4
        out = network(torch.randn(2, H, D), torch.zeros(1), torch.zeros(2, C))
        assert out.shape == (2, H, D)


SPEC = ConditionSpec(state=6, goal=3, target_return=1, obstacle=4)


def some_inputs(batch: int = 3, obstacles: int = 5) -> dict[str, Any]:
    mask = torch.ones(batch, obstacles)
    return {'state': torch.randn(batch, 6), 'goal': torch.randn(batch, 3),
            'target_return': torch.randn(batch, 1),
            'obstacles': torch.randn(batch, obstacles, 4), 'obstacle_mask': mask}


def test_obstacles_are_a_set() -> None:
    """Neither their order nor the empty places matter; each present one does."""
    encoder, inputs = ConditionEncoder(SPEC, 16), some_inputs()
    with torch.no_grad():
        told = encoder(inputs)
        order = torch.tensor([3, 1, 4, 0, 2])
        shuffled = {**inputs, 'obstacles': inputs['obstacles'][:, order]}
        assert torch.allclose(encoder(shuffled), told, atol=1e-6)
        padded = {**inputs, 'obstacles': torch.cat(
            [inputs['obstacles'], 100.0 * torch.randn(3, 4, 4)], dim=1),
            'obstacle_mask': torch.cat([torch.ones(3, 5), torch.zeros(3, 4)], dim=1)}
        assert torch.allclose(encoder(padded), told, atol=1e-6)
        for i in range(5):
            fewer = {**inputs, 'obstacle_mask': torch.ones(3, 5).index_fill(
                1, torch.tensor([i]), 0.0)}
            assert ((encoder(fewer) - told).abs().amax(1) > 1e-5).all()
        none = {**inputs, 'obstacle_mask': torch.zeros(3, 5)}
        assert torch.isfinite(encoder(none)).all()
        moved = {**none, 'obstacles': inputs['obstacles'] + 1.0}
        assert torch.equal(encoder(none), encoder(moved))


def test_pooling_of_a_set_by_hand() -> None:
    """The maximum, and the means by softmax weights, of what those that are there say."""
    net = ObstacleSet(1, 16, context=2)
    obstacles, mask = torch.randn(1, 3, 1), torch.tensor([[1.0, 1.0, 0.0]])
    asked = torch.randn(1, 2)
    with torch.no_grad():
        said = net.each(net.into(obstacles) + net.asked(asked))[0, :2]
        weight = torch.exp(net.score(said))
        weight = weight / weight.sum(0)
        chosen = torch.stack([weight[:, k // 2] @ said[:, k] for k in range(16)])
        pooled = torch.cat([said.max(0).values, chosen])
        assert torch.allclose(net(obstacles, mask, asked)[0], net.pooled(pooled), atol=1e-6)


def test_one_obstacle_of_many_can_be_singled_out() -> None:
    """A score that grows with size makes the pooled numbers those of the largest one."""
    net = ObstacleSet(2, 8)
    with torch.no_grad():
        net.into.weight.copy_(torch.eye(8)[:, :2])
        net.into.bias.zero_()
        net.each = torch.nn.Identity()
        net.score.weight.copy_(100.0 * torch.eye(8)[0].expand(8, 8))
        net.pooled.weight.copy_(torch.eye(16)[8:])
        net.pooled.bias.zero_()
        told = net(torch.tensor([[[1.0, -3.0], [2.0, 5.0], [1.5, 9.0]]]), torch.ones(1, 3))
        assert torch.allclose(told[0, :2], torch.tensor([2.0, 5.0]), atol=1e-4)


def test_a_question_that_may_be_left_out_is_not_told_to_the_obstacles() -> None:
    spec = ConditionSpec(state=6, goal=3, obstacle=4)
    assert ConditionEncoder(spec, 16).context == ['state']
    never = ConditionSpec(goal=3, obstacle=4, droppable=())
    assert ConditionEncoder(never, 16).context == ['goal']


def test_heads_divide_the_width() -> None:
    with pytest.raises(ConfigurationError, match='multiple of 8'):
        ObstacleSet(4, 12)


def test_parts_left_out_do_not_speak() -> None:
    encoder = ConditionEncoder(SPEC, 16)
    inputs, other = some_inputs(), some_inputs()
    mixed = {**inputs, 'goal': other['goal'], 'target_return': other['target_return']}
    with torch.no_grad():
        assert torch.allclose(encoder.without(inputs), encoder.without(mixed), atol=1e-6)
        assert (encoder(inputs) - encoder(mixed)).abs().max() > 1e-3
        moved = {**mixed, 'state': other['state']}
        assert (encoder.without(inputs) - encoder.without(moved)).abs().max() > 1e-3
        drops = {name: torch.tensor([1.0, 0.0, 1.0]) for name in ('goal', 'target_return')}
        some = encoder(inputs, drops)
        assert torch.allclose(some[1], encoder(inputs)[1], atol=1e-6)
        assert torch.allclose(some[[0, 2]], encoder.without(inputs)[[0, 2]], atol=1e-6)
    drawn = random_drops(encoder, 4000, 0.2, torch.Generator().manual_seed(0))
    assert set(drawn) == {'goal', 'target_return'}
    assert abs(float(drawn['goal'].mean()) - 0.2) < 0.03
    assert torch.equal(drawn['goal'], drawn['target_return'])


@pytest.mark.parametrize('schedule', SCHEDULES)
@pytest.mark.parametrize('kind', PREDICTIONS)
def test_loss_is_the_squared_error_of_the_target(schedule: str, kind: str) -> None:
    """Against the targets written out from their definitions."""
    made, data = make_schedule(schedule), 0.5
    generator = np.random.default_rng(1)
    time = made.training_times(generator, 4)
    motions, noise, out = torch.randn(3, 4, H, D, dtype=torch.float64)
    a, s = (torch.as_tensor(v)[:, None, None] for v in made.scales(time))
    target = {
        'epsilon': noise, 'sample': motions, 'v_prediction': a * noise - s * motions,
        'flow': noise - motions,
        'edm': (motions - data**2 / ((s / a)**2 + data**2) * (motions + s / a * noise))
        * torch.sqrt((s / a)**2 + data**2) / (s / a * data)}[kind]
    loss = DiffusionLoss(made, Prediction(kind, data))
    found = loss(lambda x, t: out, motions, noise, time)
    assert float(found) == pytest.approx(float(((out - target)**2).mean()), rel=1e-6)
    assert float(loss(lambda x, t: target, motions, noise, time)) == pytest.approx(0.0, abs=1e-9)


def test_loss_weights() -> None:
    alpha, sigma = np.array([0.8, 0.1]), np.array([0.6, 0.99])
    def weight(name: str, kind: str = 'epsilon') -> list[float]:
        return DiffusionLoss(
            linear_schedule(), Prediction(kind), name).weight(alpha, sigma).tolist()
    assert weight('output') == pytest.approx([(0.8 / 0.6)**2, (0.1 / 0.99)**2])
    assert weight('sample') == [1.0, 1.0]
    assert weight('snr') == weight('output')
    assert weight('inverse') == pytest.approx([1 / 0.7, 1 / 1.09])
    assert weight('output', 'sample') == [1.0, 1.0]
    assert DiffusionLoss(linear_schedule(), Prediction(), 'min_snr').weight(
        np.array([0.9999]), np.array([0.01])).tolist() == [5.0]
    sigma = np.array([0.3, 7.0])  # eq. 8 of EDM
    assert DiffusionLoss(EdmSchedule(), Prediction('edm', 0.5)).weight(
        np.ones(2), sigma).tolist() == pytest.approx(
            ((sigma**2 + 0.25) / (sigma * 0.5)**2).tolist())
    assert set(WEIGHTINGS) == {'output', 'sample', 'snr', 'min_snr', 'inverse'}


def test_known_values_cost_nothing_and_are_shown() -> None:
    seen: list[Any] = []
    motions, noise = torch.randn(2, 4, H, D)
    mask = torch.zeros(H, D)
    mask[:2] = 1.0
    def denoise(x: Any, time: Any) -> Any:
        seen.append((x, time))
        return (1.0 - mask) * (noise - motions) + 1e3 * mask
    loss = DiffusionLoss(FlowSchedule(), Prediction('flow'), clean_input=True)
    time = np.array([100.0, 300.0, 500.0, 900.0])
    assert float(loss(denoise, motions, noise, time, mask)) == pytest.approx(0.0, abs=1e-6)
    assert torch.equal(seen[0][0][:, :2], motions[:, :2])
    assert (seen[0][0][:, 2:] - motions[:, 2:]).abs().max() > 0.1
    assert seen[0][1].tolist() == time.tolist()
    t = torch.as_tensor(time / 1000.0, dtype=torch.float32)[:, None, None]
    assert torch.allclose(
        seen[0][0][:, 2:], ((1.0 - t) * motions + t * noise)[:, 2:], atol=1e-6)
    edm, told = DiffusionLoss(EdmSchedule(), Prediction('edm', 0.5)), []
    edm(lambda x, t: told.append(x) or x, motions, noise, np.full(4, 250.0 * np.log(1.2)))
    assert torch.allclose(told[0], (motions + 1.2 * noise) / 1.3, atol=1e-5)
    importance = torch.zeros(H, 1)
    importance[5] = 2.0
    def off(x: Any, time: Any) -> Any:
        return noise - motions + torch.arange(H)[:, None]
    found = loss(off, motions, noise, time, mask, importance)
    assert float(found) == pytest.approx(25.0, rel=1e-4)
    importance[7] = 1.0  # (2 * 25 + 49) / 3
    found = loss(off, motions, noise, time, mask, importance)
    assert float(found) == pytest.approx(33.0, rel=1e-4)


def test_penalty_on_clean_estimates() -> None:
    motions, noise = torch.randn(2, 2, H, D)
    time = np.array([200.0, 500.0])
    loss = DiffusionLoss(
        FlowSchedule(), Prediction('flow'), penalty=lambda clean: (clean**2).sum((1, 2)),
        penalty_weight=0.1)
    found = float(loss(lambda x, t: noise - motions, motions, noise, time))
    share = np.array([0.64 / 0.68, 0.5])
    squares = (motions.numpy()**2).sum((1, 2))
    assert found == pytest.approx(0.1 * float((share * squares).mean()), rel=1e-4)


def test_average_of_the_weights() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 0.0)
    ema, mean = Ema(model, 0.5), 0.0
    for n in range(1, 9):
        torch.nn.init.constant_(model.weight, float(n))
        ema.update(model)
        decay = min(0.5, (1 + n) / (10 + n))
        mean = decay * mean + (1 - decay) * n
        assert float(ema.model.weight) == pytest.approx(mean, rel=1e-5)
    assert not ema.model.weight.requires_grad and ema.updates == 8
    plain = Ema(model, 0.0)
    torch.nn.init.constant_(model.weight, -3.0)
    plain.update(model)
    assert float(plain.model.weight) == -3.0


def test_traced_slope_is_that_of_autograd() -> None:
    """To 1e-5, at other batch sizes than it was traced with, and that of finite differences."""
    network = ValueNetwork(H, D, C, 32)
    traced = TracedGradient(network, torch.zeros(3, H, D), torch.zeros(3, C))
    for batch in (1, 3, 7):
        clean, told = torch.randn(batch, H, D), torch.randn(batch, C)
        slope = value_gradient(network, clean, told)
        assert slope.abs().max() > 1e-4
        assert (traced(clean, told) - slope).abs().max() <= 1e-5
    sharp = network.double()
    clean, told, way = clean.double(), told.double(), torch.randn(7, H, D).double()
    rise = (sharp(clean + 1e-5 * way, told) - sharp(clean - 1e-5 * way, told)) / 2e-5
    slope = value_gradient(sharp, clean, told)
    assert torch.allclose(rise, (slope * way).sum((1, 2)), atol=1e-7)


def test_a_trained_network_samples_what_it_was_shown() -> None:
    """Lines from 0 to a goal, which is the condition: to 0.08 on the mean."""
    network = make_denoiser('mixer', 8, 1, 1, width=32, depth=2, patch=2)
    line = torch.linspace(0.0, 1.0, 8)[:, None]
    loss = DiffusionLoss(FlowSchedule(), Prediction('sample'))
    best = torch.optim.AdamW(network.parameters(), 3e-3)
    generator = np.random.default_rng(0)
    ema = Ema(network, 0.98)
    for _ in range(250):
        goal = 2.0 * torch.rand(64, 1) - 1.0
        best.zero_grad()
        loss(lambda x, t, goal=goal: network(x, t, goal), line * goal[:, None],
             torch.randn(64, 8, 1), loss.schedule.training_times(generator, 64)).backward()
        best.step()
        ema.update(network)
    table = tabulate(make_sampler('heun'), FlowSchedule(), Prediction('sample'), 5)
    goal = torch.tensor([[-0.8], [-0.2], [0.3], [0.9]])
    with torch.no_grad():
        motions = sampling.sample(
            bind(ema.model, goal), table, torch.randn(4, 8, 1))
    assert (motions - line * goal[:, None]).abs().mean() < 0.08


@pytest.mark.parametrize('make', [
    lambda: make_denoiser('lstm', H, D, C), lambda: make_denoiser('temporal_unet', 14, D, C),
    lambda: make_denoiser('film_unet', H, D, C, width=12),
    lambda: make_denoiser('transformer', H, D, C, patch=5),
    lambda: make_denoiser('transformer', H, D, C, width=30),
    lambda: make_denoiser('mixer', H, D, 0), lambda: make_denoiser('mixer', H, D, C, width=15),
    lambda: ConditionSpec(), lambda: ConditionSpec(state=-1),
    lambda: ConditionSpec(state=2, droppable=('language',)),
    lambda: DiffusionLoss(FlowSchedule(), Prediction('flow'), 'even'),
    lambda: Ema(torch.nn.Linear(1, 1), 1.0)])
def test_bad_settings_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError):
        make()
