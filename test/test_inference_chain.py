# SPDX-License-Identifier: Apache-2.0
"""A denoising run: whole as row by row, from a plan, amended in between, against a deadline."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from inference_world import card as plain_card

from diffusion_control.diffusion import sampling
from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.card import ModelCard, parse
from diffusion_control.inference.chain import DenoisingChain
from diffusion_control.inference.tables import rows32, table_of

H, D, B = 8, 3, 4
MIX = np.random.default_rng(0).normal(0.0, 0.5, (D, D))
Array = Any


def network(x: Array, time: Any, goal: Array) -> Array:
    """Return a clean estimate that depends on everything."""
    return np.tanh(x @ MIX + 0.001 * np.asarray(time) + goal)


def card_of(**changes: Any) -> ModelCard:
    """Return the card of a sampler as `export` writes it."""
    move = {'shape': ['B', H, D], 'dtype': 'float32'}
    data = plain_card(b'', **{
        'inputs': {
            'goal': {'shape': [1, D], 'dtype': 'float32'}, 'x': move, 'base': move, 'clean': move,
            'table': {'shape': ['K', 13], 'dtype': 'float32'},
            'fresh_noise': {'shape': ['K', 'B', H, D], 'dtype': 'float32'}, 'mask': move,
            'known': move, 'clip_bound': {'shape': [1], 'dtype': 'float32'}},
        'outputs': {'x_out': move, 'base_out': move, 'clean_out': move},
        'state': {'x': 'x_out', 'base': 'base_out', 'clean': 'clean_out'},
        'diffusion': {'schedule': 'flow', 'prediction': 'sample'}, **changes})
    return parse(json.dumps(data).encode())


class Clock:
    """Time that passes only when an evaluation takes it."""

    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


class Fake:
    """The exported graph in numpy; each evaluation takes a fixed time of the clock."""

    def __init__(self, clock: Clock | None = None, takes_s: float = 0.0, **card: Any) -> None:
        self.card, self.calls = card_of(**card), []
        self.clock, self.takes_s = clock or Clock(), takes_s

    def run(self, inputs: Mapping[str, Array], num_inference_steps: int) -> dict[str, Array]:
        assert set(inputs) == set(self.card.inputs)
        for name, tensor in self.card.inputs.items():
            assert inputs[name].dtype == np.float32, name
            assert inputs[name].ndim == len(tensor.shape), name
        assert len(inputs['table']) == len(inputs['fresh_noise']) == num_inference_steps
        assert not inputs['mask'].any() and inputs['clip_bound'].min() > 1e5
        self.calls.append(inputs['table'].copy())
        state = sampling.State(*(inputs[name] for name in ('x', 'base', 'clean')))
        for row, noise in zip(inputs['table'], inputs['fresh_noise'], strict=True):
            self.clock.now_s += self.takes_s
            state = sampling.step(
                state, row, noise, lambda x, t: network(x, t, inputs['goal']))
        return {f'{name}_out': np.asarray(getattr(state, name), np.float32)
                for name in ('x', 'base', 'clean')}

    def info(self) -> dict[str, Any]:
        return {}


def inputs() -> tuple[dict[str, Array], Array]:
    """Return conditions and noise."""
    random = np.random.default_rng(1)
    return ({'goal': random.normal(size=(1, D)).astype(np.float32)},
            random.standard_normal((B, H, D), dtype=np.float32))


def by_hand(noise: Array, goal: Array, count: int, start: float = 1.0, plan: Any = None,
            better: Any = None, rows: int | None = None) -> Array:
    """Return the clean estimates of deterministic steps along x = (1 - t) x0 + t e, in float64."""
    times = start * (1.0 - np.arange(count + 1) / count)
    x = times[0] * noise.astype(float)
    if plan is not None:
        x = x + (1.0 - times[0]) * plan
    clean = x
    for k in range(count if rows is None else rows):
        clean = network(x, 1000.0 * times[k], goal)
        if better is not None and k < count - 1:
            clean = better(clean)
        noise_now = (x - (1.0 - times[k]) * clean) / times[k]
        x = (1.0 - times[k + 1]) * clean + times[k + 1] * noise_now
    return clean


@pytest.mark.parametrize('count', [1, 2, 5])
def test_a_whole_run_is_one_call_and_what_the_theory_says(count: int) -> None:
    conditions, noise = inputs()
    fake = Fake()
    run = DenoisingChain(fake).run(conditions, noise, count)
    assert run.evaluations == count and len(fake.calls) == 1 and len(fake.calls[0]) == count
    np.testing.assert_allclose(run.clean, by_hand(noise, conditions['goal'], count), atol=1e-5)


def test_row_by_row_and_in_one_go_are_the_same() -> None:
    conditions, noise = inputs()
    whole = DenoisingChain(Fake()).run(conditions, noise, 5).clean
    fake = Fake(takes_s=0.01)
    chain = DenoisingChain(fake, clock=fake.clock)
    rows = chain.run(conditions, noise, 5, until_s=1e6)
    assert len(fake.calls) == 5 == rows.evaluations and chain.longest_s == pytest.approx(0.01)
    np.testing.assert_allclose(rows.clean, whole, atol=1e-6)
    same = DenoisingChain(Fake()).run(conditions, noise, 5, improve=lambda clean: clean)
    np.testing.assert_allclose(same.clean, whole, atol=1e-6)
    table = table_of(fake.card, 5)
    sampled = sampling.sample(
        lambda x, t: network(x, t, conditions['goal']), table, noise.astype(float))
    np.testing.assert_allclose(whole, sampled, atol=1e-5)


def test_a_warm_start_begins_at_the_plan() -> None:
    conditions, noise = inputs()
    plan = np.random.default_rng(2).normal(size=(B, H, D)).astype(np.float32)
    for count, start in ((1, 0.4), (3, 0.7)):
        run = DenoisingChain(Fake()).run(conditions, noise, count, start=start, plan=plan)
        np.testing.assert_allclose(
            run.clean, by_hand(noise, conditions['goal'], count, start, plan), atol=1e-5)
    cold = DenoisingChain(Fake()).run(conditions, noise, 3)
    assert np.abs(cold.clean - run.clean).max() > 0.01


def test_estimates_are_improved_between_evaluations_but_not_after_the_last() -> None:
    conditions, noise = inputs()
    asked: list[Array] = []

    def better(clean: Array) -> Array:
        asked.append(clean)
        return (0.5 * clean + 0.3).astype(clean.dtype)

    run = DenoisingChain(Fake()).run(conditions, noise, 3, improve=better)
    assert len(asked) == 2 and run.evaluations == 3
    np.testing.assert_allclose(
        run.clean, by_hand(noise, conditions['goal'], 3, better=better), atol=1e-5)
    asked.clear()
    once = DenoisingChain(Fake()).run(conditions, noise, 1, improve=better)
    assert not asked
    np.testing.assert_allclose(once.clean, by_hand(noise, conditions['goal'], 1), atol=1e-5)


@pytest.mark.parametrize(('left_s', 'evaluations'), [
    (-1.0, 1), (0.0, 1), (0.015, 1), (0.025, 2), (0.045, 4), (1.0, 6)])
def test_a_deadline_gives_fewer_evaluations_of_a_table_that_ends_clean(
    left_s: float, evaluations: int
) -> None:
    conditions, noise = inputs()
    fake = Fake(takes_s=0.01)
    chain = DenoisingChain(fake, clock=fake.clock)
    chain.longest_s = 0.01
    run = chain.run(conditions, noise, 6, until_s=fake.clock() + left_s)
    assert run.evaluations == evaluations == len(fake.calls)
    np.testing.assert_allclose(
        run.clean, by_hand(noise, conditions['goal'], evaluations), atol=1e-5)


def test_evaluations_that_turn_slow_are_stopped_in_time() -> None:
    conditions, noise = inputs()
    fake = Fake(takes_s=0.02)
    chain = DenoisingChain(fake, clock=fake.clock)
    chain.longest_s = 0.01
    until = fake.clock() + 0.055
    run = chain.run(conditions, noise, 6, until_s=until)
    assert run.evaluations == 2 and fake.clock() <= until
    assert chain.longest_s == pytest.approx(0.02)
    np.testing.assert_allclose(
        run.clean, by_hand(noise, conditions['goal'], 5, rows=2), atol=1e-5)


def test_a_slow_evaluation_is_forgotten_in_time() -> None:
    conditions, noise = inputs()
    fake = Fake(takes_s=0.01)
    chain = DenoisingChain(fake, clock=fake.clock)
    chain.longest_s = 1.0
    seen = []
    for _ in range(60):
        chain.run(conditions, noise, 1, until_s=fake.clock() + 0.5)
        seen.append(chain.longest_s)
    assert seen[0] < 1.0 and seen[-1] == pytest.approx(0.01)
    assert chain.run(conditions, noise, 4, until_s=fake.clock() + 0.5).evaluations == 4


def test_without_a_known_time_the_deadline_still_holds() -> None:
    conditions, noise = inputs()
    fake = Fake(takes_s=0.1)
    chain = DenoisingChain(fake, clock=fake.clock)
    until = fake.clock() + 0.25
    assert chain.run(conditions, noise, 6, until_s=until).evaluations == 2
    assert fake.clock() <= until
    assert math.isfinite(chain.longest_s)


def test_the_inputs_are_not_changed() -> None:
    conditions, noise = inputs()
    plan = np.ones((B, H, D), np.float32)
    kept = [array.copy() for array in (noise, plan, conditions['goal'])]
    DenoisingChain(Fake()).run(
        conditions, noise, 3, start=0.5, plan=plan, improve=lambda clean: 0.5 * clean)
    for before, now in zip(kept, (noise, plan, conditions['goal']), strict=True):
        np.testing.assert_array_equal(before, now)


@pytest.mark.parametrize('about', [
    None, {}, {'schedule': 'flow'}, 'flow', {'schedule': 'none such', 'prediction': 'sample'},
    {'schedule': 'flow', 'prediction': 'none such'}])
def test_a_card_that_does_not_say_how_it_was_trained_is_refused(about: Any) -> None:
    with pytest.raises(ConfigurationError):
        DenoisingChain(Fake(diffusion=about))


def test_a_model_that_is_no_sampler_of_motions_is_refused() -> None:
    every = json.loads(json.dumps(plain_card(b'')))['inputs']
    with pytest.raises(ConfigurationError, match='no sampler of motions') as caught:
        DenoisingChain(Fake(inputs=every, outputs=json.loads(json.dumps(
            plain_card(b'')))['outputs'], state={'x': 'x_next'}))
    assert 'fresh_noise' in str(caught.value.value)


def test_rows_are_told_in_float32() -> None:
    rows = rows32(table_of(card_of(), 4))
    assert rows.dtype == np.float32 and rows.shape == (4, 13)
    np.testing.assert_allclose(rows[:, 0], [1000.0, 750.0, 500.0, 250.0])
