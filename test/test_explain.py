# SPDX-License-Identifier: Apache-2.0
"""`explain`: the numbers are those of the plan, the pictures show it, asking changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learning_world import MISSING, model
from PIL import Image

from diffusion_control import cli
from diffusion_control.errors import ConfigurationError
from diffusion_control.explain import ExplainOptions, Explanation, explain
from diffusion_control.explain.attention import attention_maps
from diffusion_control.explain.compare import _sentence, counterfactuals, sweep
from diffusion_control.explain.constraints import active_constraints
from diffusion_control.explain.denoising import traced
from diffusion_control.explain.question import Question, chosen
from diffusion_control.planners.spline_planner import Request
from diffusion_control.planners.trace import TERMS, USUAL, CostWeights, knot_norms

ARM = ExplainOptions('panda', 'training_free', seed=3, scales=(1.0, 10.0), steps=4)
BASE = ExplainOptions('base', 'training_free', seed=1, scales=(0.1, 1.0), steps=4)


@pytest.fixture(scope='module', params=[ARM, BASE], ids=['arm', 'base'])
def explanation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Explanation:
    return explain(replace(request.param, out=tmp_path_factory.mktemp('runs')))


def test_the_report_is_complete_and_finite(explanation: Explanation) -> None:
    numbers = json.loads((explanation.folder / 'explain.json').read_text())
    assert numbers == explanation.numbers
    assert {'plan', 'candidates', 'guidance', 'counterfactuals', 'denoising', 'constraints'} <= (
        set(numbers))
    assert len(numbers['candidates']['scores']) == len(
        numbers['candidates']['costs']['duration_s'])


def test_the_same_strength_gives_the_same_plan(explanation: Explanation) -> None:
    same = [row for row in explanation.numbers['guidance'] if row['guidance_scale'] == 1.0]
    assert len(same) == 1 and same[0]['moved_max_rad'] == 0.0
    assert same[0]['duration_s'] == explanation.numbers['plan']['duration_s']


def test_without_the_collision_term_the_plan_is_another(explanation: Explanation) -> None:
    rows = {row['without']: row for row in explanation.numbers['counterfactuals']}
    without = rows['cost term collision']
    assert without['path_moved_max_m'] > 0.02
    assert without['clearance_m'] < explanation.numbers['plan']['clearance_m']
    assert 'not free' in without['text'] or without['free']


def test_every_step_is_a_frame(explanation: Explanation) -> None:
    steps = explanation.numbers['denoising']
    assert len(steps) == 4
    sigma = [step['sigma'] for step in steps]
    assert sigma == sorted(sigma, reverse=True)
    with Image.open(explanation.folder / 'denoising.gif') as film:
        assert film.n_frames == len(steps) + 1  # type: ignore[attr-defined]
    for name in ('explain.png', 'denoising.png'):
        with Image.open(explanation.folder / name) as picture:
            pixels = np.asarray(picture.convert('L'))
        assert min(pixels.shape) > 200 and pixels.std() > 5.0


def test_markers_carry_every_plan_and_step(explanation: Explanation) -> None:
    pytest.importorskip('rclpy')
    from diffusion_control.nodes.explanation import plan_markers, step_markers
    names = [marker.ns for marker in plan_markers(explanation).markers[1:]]
    assert names == list(explanation.paths) and names[0] == 'plan'
    assert len(step_markers(explanation).markers) == 1 + sum(map(len, explanation.steps))


def test_knot_norms_are_those_of_a_gaussian() -> None:
    """For x0 ~ N(0, 1): x ~ N(0, alpha^2 + sigma^2), so that the score is known."""
    alpha, sigma = 0.8, 0.6
    x = np.random.default_rng(0).normal(size=(3, 5, 2))
    variance = alpha**2 + sigma**2
    clean = alpha * x / variance
    wanted = sigma * np.linalg.norm(x / variance, axis=2)
    np.testing.assert_allclose(knot_norms(alpha * clean - x, sigma), wanted, rtol=1e-12)


@pytest.fixture(scope='module')
def question() -> Question:
    return Question(ARM)


def test_terms_add_up_and_go_one_by_one(question: Question) -> None:
    def request(weights: CostWeights) -> Request:
        planner = question.planner
        return Request(question.robot, question.problem, planner.goals, planner.values, 1.0,
                       weights)

    usual = request(USUAL)
    lines = usual.lines(1)
    points = usual.splines.assemble(lines.free, lines.goal, lines.duration)
    terms = usual.splines.terms(points, lines.duration)
    assert tuple(terms) == TERMS
    total = usual.splines.cost(points, lines.duration)
    np.testing.assert_allclose(sum(terms.values()), total, rtol=1e-12)
    for name in TERMS:
        less = request(CostWeights(**{name: 0.0})).splines.cost(points, lines.duration)
        np.testing.assert_allclose(total - less, terms[name], rtol=1e-9, atol=1e-12)


def test_asking_leaves_the_planner_as_it_was(question: Question) -> None:
    before, values = question.plan(), question.planner.values
    counterfactuals(question, chosen(before))
    assert question.planner.values is values
    assert question.planner.weights is USUAL and question.planner.observer is None
    np.testing.assert_array_equal(
        chosen(question.plan()).position, chosen(before).position)


def test_the_filter_speaks_where_the_plan_goes_through_something(question: Question) -> None:
    through = chosen(question.plan(weights=CostWeights(collision=0.0), num_candidates=1))
    assert not question.judge(through).free
    active = active_constraints(question, through)
    assert active.h_min_m.min() < 0.0 and (active.change > 1e-3).any()
    assert active.as_dict()['active']


def test_a_planner_without_guidance_is_explained_by_what_it_has(tmp_path: Path) -> None:
    found = explain(ExplainOptions('panda', 'straight_line', seed=3, out=tmp_path))
    assert found.numbers['guidance'] == [] and isinstance(found.numbers['denoising'], str)
    assert not (found.folder / 'denoising.gif').exists()
    assert (found.folder / 'explain.png').exists()


@pytest.mark.parametrize('planner', ['diffuser', 'hierarchical'])
def test_trained_planners_of_a_base_show_their_steps(planner: str) -> None:
    pytest.importorskip('onnxruntime', reason='onnxruntime: not installed')
    asked = Question(replace(BASE, planner=planner, scales=(1.0, 30.0)))
    base = chosen(asked.plan())
    trace = traced(asked, 5)
    parts = ['sub-goals'] * 5 + [''] * 2 if planner == 'hierarchical' else [''] * 5
    assert trace is not None and [step.part for step in trace.steps] == parts
    knots = {trace.steps[k].knot_norms.shape[1] for k in range(len(parts)) if not parts[k]}
    assert trace.score_norms().shape == (parts.count(''), *knots)
    if planner == 'hierarchical':
        assert trace.title(6).startswith('step 2 of 2') and 'goals: step 2 of 5' in trace.title(1)
        assert asked.planner.info()['sub_goals'] != asked.planner.info()['inference']
    assert asked.planner.seen is not None and asked.planner.seen.occupied.any()
    start = asked.path(base)[0]
    for places in trace.clean:
        np.testing.assert_allclose(places[:, 0], np.tile(start, (len(places), 1)), atol=0.05)
    rows = [variant.numbers for variant in sweep(asked, base)]
    assert rows[0]['moved_max_rad'] == 0.0 and rows[1]['moved_max_rad'] > 0.0


def test_guidance_of_a_planner_that_has_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='straight_line has no guidance'):
        Question(ExplainOptions('panda', 'straight_line', scales=(1.0,)))


def test_a_sentence_says_what_moves_alone() -> None:
    numbers = {'path_moved_max_m': 0.2, 'duration_change_s': 0.001, 'clearance_m': 0.1,
               'clearance_change_m': 0.0, 'free': True}
    assert 's longer' not in _sentence('x', numbers) and '0.200 m' in _sentence('x', numbers)
    assert '1.00 s shorter' in _sentence('x', {**numbers, 'duration_change_s': -1.0})
    assert _sentence('x', {**numbers, 'path_moved_max_m': 0.0}).endswith('would be the same')


def test_what_has_no_choice_is_no_active_bound(explanation: Explanation) -> None:
    active = explanation.numbers['constraints']['active']
    assert active.get('velocity_bounds', {'share': 0.0})['share'] < 1.0


def test_attention_maps_of_a_transformer_are_shares(tmp_path: Path) -> None:
    if MISSING:
        pytest.skip(f'{", ".join(MISSING)}: not installed')
    folder = model(tmp_path, denoiser='transformer', collision_weight=0.0)
    asked = Question(replace(ARM, planner='diffuser', model=str(folder)))
    maps = attention_maps(asked, 3)
    assert not isinstance(maps, str) and len(maps) == 3
    layers, _, tokens, width = maps[0].shape
    assert (layers, tokens, width) == (1, 9, 9)  # the condition and eight knots
    np.testing.assert_allclose(maps[0].sum(3), 1.0, atol=1e-5)
    assert isinstance(attention_maps(Question(ARM), 3), str)


@pytest.mark.parametrize(('arguments', 'hint'), [
    (['--guidance-scale', '0'], '--guidance-scale'), (['--scene', '/no/such'], '--scene'),
    (['--planner', 'oracle'], 'training_free')])
def test_bad_input(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(['explain', *arguments]) == 2
    assert hint in capsys.readouterr().err
