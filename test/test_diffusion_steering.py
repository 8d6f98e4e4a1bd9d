# SPDX-License-Identifier: Apache-2.0
"""Known values, guidance, warm start, selection and deadlines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_control.diffusion import sampling
from diffusion_control.diffusion.anytime import affordable, take_until
from diffusion_control.diffusion.costs import (
    Cost,
    Goal,
    Limits,
    Smoothness,
    SphereObstacles,
    WeightedSum,
    difference_form,
)
from diffusion_control.diffusion.guidance import ClipGuide, CostGuide, capped, classifier_free
from diffusion_control.diffusion.inpainting import Known, prefix_knots, prefix_mask
from diffusion_control.diffusion.prediction import Prediction
from diffusion_control.diffusion.samplers import SAMPLERS, make_sampler
from diffusion_control.diffusion.samplers.ddim import Ddim
from diffusion_control.diffusion.schedules import SCHEDULES, make_schedule
from diffusion_control.diffusion.schedules.edm import EdmSchedule
from diffusion_control.diffusion.schedules.flow import FlowSchedule
from diffusion_control.diffusion.selection import select_best
from diffusion_control.diffusion.table import ALPHA, SIGMA, A, Table, tabulate
from diffusion_control.diffusion.warm_start import candidates, shift_knots
from diffusion_control.errors import ConfigurationError

SHAPE = (4, 16, 3)
STEEP = CostGuide(lambda x: 1e6 * (x + 1.0), strength=3.0, cap=5.0)


def network(x: Any, time: Any) -> Any:
    """Return a nonlinear function of everything, knots included."""
    return np.tanh(x + 0.5 * np.roll(x, 1, axis=1)) + 0.001 * time


def a_table(name: str = 'ddim', schedule: str = 'flow', evaluations: int = 7,
            start: float = 1.0) -> Table:
    return tabulate(
        make_sampler(name), make_schedule(schedule), Prediction('v_prediction'), evaluations,
        start)


def a_known(seed: int = 0, clean_input: bool = False) -> Known:
    generator = np.random.default_rng(seed)
    mask = np.zeros(SHAPE[1:])
    mask[:3] = 1.0
    mask[-1, :2] = 1.0
    return Known(mask, generator.normal(size=SHAPE[1:]), clean_input)


@pytest.mark.parametrize('clean_input', [False, True])
@pytest.mark.parametrize('schedule', SCHEDULES)
@pytest.mark.parametrize('name', SAMPLERS)
def test_known_values_are_exact_after_every_evaluation(
    name: str, schedule: str, clean_input: bool
) -> None:
    """Exact in the clean estimate; a guide of any strength does not matter."""
    table, known = a_table(name, schedule), a_known(1, clean_input)
    generator = np.random.default_rng(2)
    noise = generator.normal(size=SHAPE).astype(np.float32)
    fresh = generator.normal(size=(7, *SHAPE)).astype(np.float32)
    inside = known.mask.astype(bool)
    for estimate in sampling.run(
            network, table, noise, fresh=fresh, guide=STEEP, known=known):
        assert np.abs(estimate.clean - known.values)[:, inside].max() <= 1e-6
        assert np.abs(estimate.clean - known.values)[:, ~inside].max() > 0.1


@pytest.mark.parametrize('schedule', SCHEDULES)
@pytest.mark.parametrize('name', ['ddpm', 'ddim', 'heun', 'dpm_solver_pp_2m', 'ancestral'])
def test_noised_known_values_have_the_right_law(name: str, schedule: str) -> None:
    """At every evaluation x - alpha known has the scale sigma at the known values."""
    table = a_table(name, schedule, 9)
    shape = (400, 16, 3)
    generator = np.random.default_rng(3)
    noise, known = generator.normal(size=shape), a_known(4)
    inside = known.mask.astype(bool)
    state = sampling.begin(table.alpha, table.sigma, noise, known=known)
    for row in table.rows.tolist():
        rest = (state.x - row[ALPHA] * known.values)[:, inside] / row[SIGMA]
        assert np.abs(rest.std() - 1.0) < 0.03 and np.abs(rest.mean()) < 0.03
        state = sampling.step(state, row, generator.normal(size=shape), network, known=known)
    assert np.abs(state.x - known.values)[:, inside].max() < 1e-12


def test_clean_input_is_what_the_network_sees() -> None:
    seen: list[Any] = []
    def watch(x: Any, time: Any) -> Any:
        seen.append(x.copy())
        return network(x, time)
    table = tabulate(Ddim(), EdmSchedule(), Prediction('edm'), 3)
    noise = np.random.default_rng(0).normal(size=SHAPE)
    for clean in (True, False):
        known = a_known(5, clean)
        sampling.sample(watch, table, noise, known=known)
        inside = known.mask.astype(bool)
        apart = [np.abs(x - known.values)[:, inside].max() for x in seen]
        assert bool(max(apart) == 0.0) is clean
        seen.clear()


def test_frozen_prefix_is_a_mask() -> None:
    assert prefix_mask(6, 2)[:, 0].tolist() == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert prefix_mask(6, 2, fade=3)[:, 0].tolist() == [1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    assert prefix_mask(4, 0).sum() == 0.0 and prefix_mask(4, 4).sum() == 4.0
    assert [prefix_knots(delay, 0.1) for delay in (0.0, 0.05, 0.1, 0.31)] == [1, 2, 2, 5]
    previous = np.random.default_rng(1).normal(size=SHAPE[1:]).astype(np.float32)
    known = Known(prefix_mask(16, prefix_knots(0.3, 0.1)), previous)
    noise = np.random.default_rng(2).normal(size=SHAPE).astype(np.float32)
    motions = sampling.sample(network, a_table(), noise, known=known, guide=STEEP)
    assert np.abs(motions[:, :4] - previous[:4]).max() <= 1e-6
    assert motions.dtype == np.float32


def costs() -> dict[str, Cost]:
    generator = np.random.default_rng(7)
    goal = np.zeros((16, 1))
    goal[-2:] = 1.0
    spheres = SphereObstacles(
        generator.normal(size=(5, 2)), np.array([0.9, 1.4, 0.5, 2.0, -1.0]),
        generator.normal(size=(3, 2)), generator.normal(size=2))
    found: dict[str, Cost] = {
        f'smoothness {order}': Smoothness(difference_form(16, order).astype(float))
        for order in (1, 2, 3)}
    found |= {
        'goal': Goal(generator.normal(size=3), goal),
        'limits': Limits(np.array([-0.5, -0.2, -1.0]), np.array([0.5, 0.3, 0.1])),
        'spheres': spheres}
    return found | {'sum': WeightedSum(list(found.values()), [0.1, 0.2, 0.3, 1.0, 2.0, 3.0])}


@pytest.mark.parametrize('name', costs())
def test_gradients_are_slopes(name: str) -> None:
    """Central differences of the value; a motion's cost depends on no other motion."""
    cost, x = costs()[name], np.random.default_rng(8).normal(size=SHAPE)
    gradient = cost.gradient(x)
    assert gradient.shape == SHAPE and cost.value(x).shape == SHAPE[:1]
    assert np.all(cost.value(x) > 0.0)
    generator = np.random.default_rng(9)
    for _ in range(20):
        way = generator.normal(size=SHAPE)
        slope = (cost.value(x + 1e-6 * way) - cost.value(x - 1e-6 * way)) / 2e-6
        assert np.allclose(slope, (gradient * way).sum((1, 2)), rtol=1e-4, atol=1e-5)


def test_costs_by_hand() -> None:
    """Values worked out on paper."""
    x = np.array([[[0.0], [1.0], [3.0]]])
    assert Smoothness(difference_form(3, 1)).value(x)[0] == pytest.approx(2.5)  # (1 + 4) / 2
    assert Smoothness(difference_form(3, 2)).value(x)[0] == pytest.approx(0.5)  # (2 - 1)^2 / 2
    assert Goal(np.array([2.0]), np.array([[0.0], [0.0], [3.0]])).value(x)[0] == pytest.approx(1.5)
    assert Limits(np.array([0.5]), np.array([2.0])).value(x)[0] == pytest.approx(0.625)
    spheres = SphereObstacles(
        np.array([[3.5], [0.0]]), np.array([1.5, -5.0]), np.eye(1), np.zeros(1))
    assert spheres.value(x)[0] == pytest.approx(0.5)  # depth 1 at x = 3, the other is off
    assert spheres.gradient(x)[0, :, 0] == pytest.approx([0.0, 0.0, 1.0])
    moved = SphereObstacles(
        np.array([[13.5]]), np.array([1.5]), 2.0 * np.eye(1), np.array([7.0]))  # p = 2 x + 7
    assert moved.value(x)[0] == pytest.approx(0.5)
    assert moved.gradient(x)[0, :, 0] == pytest.approx([0.0, 0.0, 2.0])


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 10.0), st.floats(1e-9, 1e9), st.integers(0, 100))
def test_gradient_norm_is_capped_per_motion(cap: float, size: float, seed: int) -> None:
    gradient = size * np.random.default_rng(seed).normal(size=SHAPE)
    gradient[0] = 0.0
    short = capped(gradient, cap)
    norm, before = (np.linalg.norm(g.reshape(4, -1), axis=1) for g in (short, gradient))
    assert np.all(norm <= cap * (1 + 1e-9)) and np.all(short[0] == 0.0)
    assert np.allclose(norm, np.minimum(before, cap), rtol=1e-5, atol=1e-6)


def test_guidance_lowers_the_cost_and_spares_known_values() -> None:
    noise = np.random.default_rng(3).normal(size=SHAPE)
    known, cost = a_known(3), costs()['spheres']
    found = [
        float(cost.value(sampling.sample(network, a_table(), noise, known=known, guide=CostGuide(
            cost.gradient, strength, cap=5.0, known=known))).sum())
        for strength in (0.0, 0.05, 0.2)]
    assert found[0] > found[1] > found[2]
    x = noise.copy()
    moved = CostGuide(cost.gradient, 1.0, 5.0, known)(x, 1.0) - x
    assert np.all(moved[:, known.mask.astype(bool)] == 0.0) and np.abs(moved).max() > 0.01
    assert np.array_equal(CostGuide(cost.gradient, 1.0, 5.0)(x, 0.0), x)
    twice = CostGuide(cost.gradient, 0.1, 5.0, repeats=2)(x, 1.0)
    once = CostGuide(cost.gradient, 0.1, 5.0)
    assert np.allclose(twice, once(once(x, 1.0), 1.0))


def test_clean_estimates_are_clipped_before_they_are_guided() -> None:
    x = 3.0 * np.random.default_rng(0).normal(size=SHAPE)
    assert np.array_equal(ClipGuide(1.0)(x, 1.0), np.clip(x, -1.0, 1.0))
    then = ClipGuide(1.0, CostGuide(lambda y: np.ones_like(y), 1.0, 1e9))
    assert np.allclose(then(x, 1.0), np.clip(x, -1.0, 1.0) - 1.0)


def test_guidance_may_fade() -> None:
    """A factor per evaluation: none of them leaves the run alone."""
    noise, cost = np.random.default_rng(3).normal(size=SHAPE), costs()['spheres']
    guide = CostGuide(cost.gradient, 0.2, 5.0)
    plain = sampling.sample(network, a_table(), noise)
    none = sampling.sample(network, a_table().guided(np.zeros(7)), noise, guide=guide)
    late = sampling.sample(network, a_table().guided(np.arange(7) > 4.0), noise, guide=guide)
    full = sampling.sample(network, a_table(), noise, guide=guide)
    assert np.array_equal(none, plain)
    assert cost.value(full).sum() < cost.value(plain).sum() > cost.value(late).sum()
    assert not np.array_equal(late, full)


def test_shift_knots() -> None:
    plan = np.array([[0.0, 10.0], [1.0, 20.0], [4.0, 0.0]])
    assert shift_knots(plan, 0.0, 0.1).tolist() == plan.tolist()
    assert np.allclose(shift_knots(plan, 0.1, 0.1), plan[[1, 2, 2]])
    assert np.allclose(shift_knots(plan, 0.05, 0.1), [[0.5, 15.0], [2.5, 10.0], [4.0, 0.0]])
    assert np.allclose(shift_knots(plan[None], 9.0, 0.1), plan[[2, 2, 2]])
    assert shift_knots(plan[:1], 0.3, 0.1).tolist() == plan[:1].tolist()
    assert candidates(plan, 3).shape == (3, 3, 2)
    assert candidates(np.stack([plan, 2 * plan]), 3)[2].tolist() == plan.tolist()


@pytest.mark.parametrize('start', [0.1, 0.4, 0.8])
def test_a_plan_is_noised_to_the_start_level(start: float) -> None:
    table = tabulate(Ddim(), FlowSchedule(), Prediction('flow'), 2, start)
    plan = np.random.default_rng(1).normal(size=SHAPE)
    noise = np.random.default_rng(2).normal(size=SHAPE)
    state = sampling.begin(table.alpha, table.sigma, noise, plan)
    assert np.allclose(state.x, (1.0 - start) * plan + start * noise)
    exact = sampling.sample(lambda x, time: noise - plan, table, noise, plan=plan)
    assert np.allclose(exact, plan)


class FakeClock:
    """A clock that the network moves on."""

    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now

    def slow(self, durations: Iterator[float]) -> Callable[[Any, Any], Any]:
        def denoise(x: Any, time: Any) -> Any:
            self.now += next(durations)
            return network(x, time)
        return denoise


@pytest.mark.parametrize(('budget_s', 'expected_s', 'durations', 'evaluations'), [
    (1.0, 0.0, [0.01] * 7, 7),  # all in time
    (0.0, 0.0, [0.01] * 7, 1),  # never less than one
    (0.055, 0.0, [0.01] * 7, 5),
    (0.055, 0.03, [0.01] * 7, 3),  # as long as measured before
    (0.1, 0.0, [0.01, 0.05, 0.01, 0.01, 0.01, 0.01, 0.01], 2),  # a slow one is expected again
    (0.5, 0.0, [0.125] * 7, 4),  # just in time is in time
    (-1.0, 9.0, [2.0] * 7, 1)])
def test_sampling_until_a_deadline(
    budget_s: float, expected_s: float, durations: list[float], evaluations: int
) -> None:
    clock, known = FakeClock(), a_known(2)
    noise = np.random.default_rng(0).normal(size=SHAPE)
    deadline = clock.now + budget_s
    estimates = sampling.run(clock.slow(iter(durations)), a_table(), noise, known=known)
    taken = take_until(estimates, deadline, clock, expected_s)
    found = taken.last
    assert found.evaluations == taken.evaluations == evaluations
    assert taken.longest_s == pytest.approx(max(expected_s, *durations[:evaluations]))
    assert found.complete is (evaluations == 7)
    assert clock.now <= deadline or evaluations == 1
    assert np.abs(found.clean - known.values)[:, known.mask.astype(bool)].max() <= 1e-6
    again = list(sampling.run(network, a_table(), noise, known=known))[evaluations - 1]
    assert np.array_equal(found.clean, again.clean)


def test_affordable_evaluations() -> None:
    assert [affordable(budget, 0.01, 10) for budget in (0.055, 0.001, -1.0, 9.0, 0.03)] == [
        5, 1, 1, 10, 3]
    assert affordable(float('inf'), 0.01, 4) == 4
    assert affordable(0.5, 0.01, 1) == 1


def test_select_best() -> None:
    motions = np.arange(5.0)[:, None, None] * np.ones((5, 2, 1))
    score = np.array([3.0, 1.0, np.nan, 1.0, 2.0])
    chosen = select_best(motions, score, 3)
    assert chosen.index.tolist() == [1, 3, 4] and chosen.score.tolist() == [1.0, 1.0, 2.0]
    assert chosen.motions[:, 0, 0].tolist() == [1.0, 3.0, 4.0]
    motions[1, 0, 0] = np.inf
    assert select_best(motions, score).index.tolist() == [3]
    assert select_best(motions, score, 3).index.tolist() == [3, 4, 0]


@pytest.mark.parametrize('make', [
    lambda: prefix_mask(4, 5), lambda: prefix_knots(-0.1, 0.1), lambda: prefix_knots(0.1, 0.0),
    lambda: prefix_knots(float('nan'), 0.1), lambda: shift_knots(np.zeros((3, 1)), -1.0, 0.1),
    lambda: shift_knots(np.zeros((3, 1)), 1.0, 0.0),
    lambda: difference_form(3, 3), lambda: CostGuide(lambda x: x, repeats=0),
    lambda: affordable(1.0, 0.0, 5), lambda: select_best(np.zeros((3, 2, 1)), np.zeros(2)),
    lambda: select_best(np.zeros((3, 2, 1)), np.full(3, np.nan)),
    lambda: select_best(np.zeros((3, 2, 1)), np.zeros(3), 4)])
def test_bad_settings_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError):
        make()


@pytest.mark.parametrize('name', ['ddpm', 'heun', 'dpm_solver_pp_2m'])
def test_guidance_after_the_step_is_guidance_in_it(name: str) -> None:
    table, known, cost = a_table(name), a_known(3), costs()['sum']
    generator = np.random.default_rng(1)
    noise, fresh = generator.normal(size=SHAPE), generator.normal(size=(7, *SHAPE))
    guide = CostGuide(cost.gradient, 0.2, 5.0, known)
    inside = sampling.sample(network, table, noise, fresh=fresh, guide=guide, known=known)
    state = sampling.begin(table.alpha, table.sigma, noise, known=known)
    for row, drawn in zip(table.rows, fresh, strict=True):
        state = sampling.step(state, row, drawn, network, known=known)
        state = sampling.amended(state, row, known.held(guide(state.clean, 1.0)))
    assert np.allclose(state.x, inside, atol=1e-12)
    assert np.abs(inside - sampling.sample(
        network, table, noise, fresh=fresh, known=known)).max() > 0.05


def test_the_start_of_a_run_by_hand() -> None:
    """Known values 2 on knot 0, a plan of 3 elsewhere, noise 1, at alpha 0.6 and sigma 0.8."""
    mask = np.zeros((2, 1))
    mask[0] = 1.0
    known = Known(mask, np.full((2, 1), 2.0))
    ones = np.ones((1, 2, 1))
    state = sampling.begin(0.6, 0.8, ones, 3.0 * ones, known)
    assert state.x[0, :, 0] == pytest.approx([0.6 * 2.0 + 0.8, 0.6 * 3.0 + 0.8])
    assert np.array_equal(state.base, state.x) and not state.clean.any()
    assert sampling.begin(0.6, 0.8, ones).x[0, :, 0] == pytest.approx([0.8, 0.8])


def test_classifier_free_guidance_by_hand() -> None:
    def mixed(scale: float) -> Any:
        return classifier_free(lambda x, t: 5.0 * x, lambda x, t: 2.0 * x, scale)(1.0, 0.0)
    assert [mixed(scale) for scale in (0.0, 1.0, 2.0)] == [2.0, 5.0, 8.0]


def test_a_fading_prefix_mixes() -> None:
    known = Known(prefix_mask(16, 2, fade=3), np.ones(SHAPE[1:]))
    clean = known.held(np.zeros(SHAPE))
    assert clean[0, :6, 0].tolist() == [1.0, 1.0, 0.75, 0.5, 0.25, 0.0]


def test_one_row_at_a_time_is_the_whole_run() -> None:
    """State in, state out: what an exported step does."""
    table = a_table('heun')
    noise = np.random.default_rng(1).normal(size=SHAPE)
    state = sampling.begin(table.alpha, table.sigma, noise)
    for row in table.rows:
        state = sampling.step(state, row, noise, network)
    whole = sampling.sample(network, table, noise)
    assert np.allclose(state.x, whole) and np.allclose(state.clean, whole)
    assert table.rows[-1, A] == 0.0
