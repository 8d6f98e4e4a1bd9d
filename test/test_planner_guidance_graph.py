# SPDX-License-Identifier: Apache-2.0
"""Guidance in the graph against guidance by the kernel: the same steps, on a tiny network."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed (extra `train`)')
onnx = pytest.importorskip('onnx', reason='onnx is not installed (extra `train`)')
pytest.importorskip('onnxscript', reason='onnxscript is not installed (extra `train`)')
pytest.importorskip('onnxruntime', reason='ONNX Runtime is not installed (extra `cpu`)')

from learning_world import OBSTACLES, cards, exported_model, panda  # noqa: E402
from test_planner_guidance import asked  # noqa: E402
from test_planners_plan import PILLAR, problem_of  # noqa: E402

from diffusion_control import planners, robots  # noqa: E402
from diffusion_control.errors import ConfigurationError  # noqa: E402
from diffusion_control.inference.card import parse  # noqa: E402
from diffusion_control.inference.untrained import write_untrained  # noqa: E402
from diffusion_control.learning import guided_model  # noqa: E402
from diffusion_control.learning.guided_model import write_guided  # noqa: E402
from diffusion_control.planners.graph_guidance import (  # noqa: E402
    GRAPH,
    INPUTS,
    KERNEL,
    GraphGuidance,
    Guided,
    make_guidance,
)
from diffusion_control.planners.motion_sampler import Draw, MotionSampler  # noqa: E402
from diffusion_control.planners.spline_problem import (  # noqa: E402
    COLLISION_WEIGHT,
    DESCENT_EXTRA_M,
    FREE,
    SAMPLES,
)
from diffusion_control.robots.obstacles import Obstacle  # noqa: E402
from diffusion_control.trajectory.spline import basis  # noqa: E402

pytestmark = pytest.mark.filterwarnings('ignore')
APART = 1e-3
"""Of codes, so in units of the data's deviation; the median is a hundredth of it."""
BATCH = 12
IN_THE_WAY = (
    Obstacle('sphere', (0.12,), np.array([0.45, 0.25, 0.5])),
    Obstacle('box', (0.15, 0.2, 0.5), np.array([0.35, 0.4, 0.3]), OBSTACLES[1].quaternion),
    Obstacle('cylinder', (0.08, 0.7), np.array([0.3, -0.1, 0.5]), OBSTACLES[2].quaternion),
    Obstacle('sphere', (0.1,), np.array([0.5, 0.0, 0.4]), velocity_m_s=np.array(
        [0.0, 0.2, 0.0]), may_move=True))
QUESTIONS: dict[str, dict[str, Any]] = {
    'standing': {'obstacles': IN_THE_WAY[:3]}, 'moving': {'obstacles': IN_THE_WAY, 'speed': 0.3},
    'nothing': {'obstacles': ()}, 'many': {'obstacles': IN_THE_WAY * 8},
    'heavy': {'obstacles': IN_THE_WAY, 'guidance': 30.0},
    'narrow': {'obstacles': IN_THE_WAY, 'slack_rad': 0.05}}


@pytest.fixture(scope='module')
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_model(tmp_path_factory.mktemp('tiny'))


@pytest.fixture(scope='module')
def guided(plain: Path) -> Path:
    return write_guided(plain, panda(), plain.parent / 'guided')


def sampler(folder: Path, guide: str) -> MotionSampler:
    return MotionSampler(
        panda(), folder, planner='diffuser', backend='onnx', require_gpu=False,
        clock=time.monotonic, guide=guide)


def codes(made: MotionSampler, question: Guided, evaluations: int, **how: Any) -> Any:
    """Return the codes of motions drawn from fixed noise."""
    plan = how.pop('plan', None)
    free, done = made.draw(
        question.splines, question.goal, question.duration_s, np.random.default_rng(5), BATCH,
        Draw(evaluations, descent=question.steps, **how), plan)
    assert done == evaluations
    return made.code.encode(free, question.line)


@pytest.mark.parametrize('name', list(QUESTIONS))
def test_both_ways_draw_the_same_motions(plain: Path, guided: Path, name: str) -> None:
    """Whole or step by step, from noise or from a plan; and guidance moves what they draw."""
    kernel, graph = sampler(plain, KERNEL), sampler(guided, GRAPH)
    question, free = (asked(**QUESTIONS[name], steps=steps) for steps in (2, 0))
    for evaluations in (2, 4):
        wanted = codes(kernel, question, evaluations)
        found = codes(graph, question, evaluations)
        moved = np.abs(wanted - codes(kernel, free, evaluations)).max()
        assert moved > (5e-4 if name == 'nothing' else 0.02)  # smoothness alone moves little
        assert np.abs(found - wanted).max() <= min(APART, 0.02 * moved)
        assert np.median(np.abs(found - wanted)) <= APART / 100
    plan = question.line[0] + 0.1
    late = time.monotonic() + 600.0
    wanted = codes(kernel, question, 3, start=0.6, plan=plan, until_s=late)
    assert np.abs(codes(graph, question, 3, start=0.6, plan=plan) - wanted).max() <= APART
    assert np.abs(codes(
        graph, question, 3, start=0.6, plan=plan, until_s=late) - wanted).max() <= APART


@pytest.mark.parametrize('name', ['heavy', 'narrow'])
@pytest.mark.parametrize('steps', [1, 2, 5])
def test_a_clean_estimate_is_moved_as_by_the_kernel(
    guided: Path, steps: int, name: str
) -> None:
    made, question = sampler(guided, GRAPH), asked(**QUESTIONS[name], steps=steps)
    before, after = (_first_estimate(made, each) for each in (
        asked(**QUESTIONS[name], steps=0), question))
    improve = make_guidance(KERNEL, made.chain.card, guided).improve(
        Guided(question.splines, made.code, question.goal, question.duration_s, steps))
    assert improve is not None
    assert np.abs(after - before).max() > 0.1
    assert np.abs(improve(before) - after).max() <= APART


def _first_estimate(made: MotionSampler, question: Guided) -> Any:
    """Return the clean estimates of the first of two evaluations, as they leave the graph."""
    inner, seen = made.chain.sampler, []

    class Kept:
        card, info = inner.card, inner.info

        def run(self, inputs: Mapping[str, Any], num_inference_steps: int) -> dict[str, Any]:
            seen.append(inner.run(inputs, num_inference_steps))
            return seen[-1]

    made.chain.sampler = Kept()
    codes(made, question, 2)
    made.chain.sampler = inner
    assert len(seen) == 1, 'one call for the whole draw'
    return seen[0]['estimates'][0]


def test_the_slopes_are_the_kernels_also_beside_faces() -> None:
    """Also within a millimetre of a face, where the kernel softens them."""
    question, count = asked(IN_THE_WAY), 200
    instants = SAMPLES
    code = np.random.default_rng(1).normal(size=(count, 8, 7))
    free = question.splines.clip(question.code.decode(code, question.line))
    at, lasting = basis(instants), np.full(count, question.duration_s)
    points = question.splines.assemble(free, np.repeat(question.goal[None], count, 0), lasting)
    _, _, slope = question.splines.world.cost(
        (at.position @ points).reshape(-1, 7), np.tile(at.phase * question.duration_s, count),
        extra_m=DESCENT_EXTRA_M, gradient=True)
    assert slope is not None
    wanted = COLLISION_WEIGHT * 48 / instants * (
        at.position[:, FREE].T @ slope.reshape(count, instants, 7))
    step = guided_model.DescentStep(guided_model.ArmBody.of(panda()))
    found = step.gradient(torch.as_tensor(free, dtype=torch.float32), *(
        torch.as_tensor(value) for name, value in GraphGuidance(instants).inputs(question).items()
        if name.startswith('arm_'))).numpy()
    assert np.abs(wanted).max() > 10.0
    assert np.abs(found - wanted).max() < 2e-4 * np.abs(wanted).max()


def test_without_steps_and_by_the_kernel_a_guided_model_is_the_plain_one(
    plain: Path, guided: Path
) -> None:
    """Bit for bit; the last estimate, which is the sample, is not moved by anyone."""
    kernel, graph, idle = sampler(plain, KERNEL), sampler(guided, GRAPH), sampler(guided, KERNEL)
    moved, free = asked(IN_THE_WAY), asked(IN_THE_WAY, steps=0)
    np.testing.assert_array_equal(codes(graph, free, 3), codes(kernel, free, 3))
    np.testing.assert_array_equal(codes(idle, moved, 3), codes(kernel, moved, 3))
    np.testing.assert_array_equal(codes(graph, moved, 1), codes(kernel, free, 1))


def test_every_input_of_the_guidance_matters(guided: Path) -> None:
    made = sampler(guided, GRAPH)
    question = asked(IN_THE_WAY, guidance=2.0)
    usual = codes(made, question, 2)
    told = made.guidance.inputs(question)

    class Changed:
        def __init__(self, name: str) -> None:
            self.name = name

        def inputs(self, asked: Guided) -> dict[str, Any]:
            factor = 0.01 if self.name in ('guidance_lower', 'guidance_upper') else 0.4
            return {**told, self.name: np.float32(factor) * told[self.name]}

        def improve(self, asked: Guided) -> None:
            return None

    for name in INPUTS:
        made.guidance = Changed(name)
        assert np.abs(codes(made, question, 2) - usual).max() > 1e-4, name


def test_a_planner_plans_with_the_graph_as_with_the_kernel(plain: Path, guided: Path) -> None:
    problem = problem_of(panda(), [PILLAR])
    one, other = (planners.make(
        'diffuser', robot=panda(), model=folder, guide=guide, seed=3, polish_steps=0).plan(problem)
        for folder, guide in ((plain, KERNEL), (guided, GRAPH)))
    assert one.source == other.source
    assert len(one.candidates) == len(other.candidates) > 1
    for here, there in zip(one.candidates, other.candidates, strict=True):
        np.testing.assert_allclose(there.position, here.position, atol=APART)
    with pytest.raises(ConfigurationError, match='no guidance in it'):
        planners.make('diffuser', robot=panda(), model=plain, guide=GRAPH)


def test_random_weights_leave_the_guidance_as_it_is(guided: Path, tmp_path: Path) -> None:
    """The constants of the arm are no weights."""
    random = write_untrained(guided, tmp_path / 'random', seed=4)
    question = asked(IN_THE_WAY)
    by_graph, by_kernel = (codes(sampler(random, guide), question, 3) for guide in (GRAPH, KERNEL))
    assert np.abs(by_graph - by_kernel).max() <= APART
    assert np.abs(by_graph - codes(sampler(guided, GRAPH), question, 3)).max() > 0.05


def test_the_card_says_what_the_graph_takes(plain: Path, guided: Path) -> None:
    """And what it was made from; a score was not measured, weights are the same."""
    before, after = cards(plain), cards(guided)
    assert set(after['inputs']) - set(before['inputs']) == set(INPUTS)
    assert after['inputs']['arm_obstacle_centre']['shape'] == [SAMPLES, 'O', 3]
    assert after['guidance']['in_graph_of'] == before['sha256']
    assert all(value is None for value in after['score'].values())
    assert after['normaliser'] == before['normaliser']
    parse((guided / 'card.json').read_bytes())
    old, new = (onnx.load(str(folder / 'model.onnx')).graph.initializer
                for folder in (plain, guided))
    assert [value.SerializeToString() for value in old] == [
        value.SerializeToString() for value in new]


def test_what_cannot_be_guided_is_refused(plain: Path, guided: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match='no guidance can be put'):
        write_guided(guided, panda(), tmp_path / 'twice')
    with pytest.raises(ConfigurationError, match='another robot'):
        write_guided(plain, robots.load('ur5'), tmp_path / 'other')
    broken = tmp_path / 'broken'
    shutil.copytree(plain, broken)
    (broken / 'model.onnx').write_bytes((plain / 'model.onnx').read_bytes()[:-1])
    with pytest.raises(ConfigurationError, match='not the file of its card'):
        write_guided(broken, panda(), tmp_path / 'third')
    assert [path.name for path in tmp_path.iterdir()] == ['broken']
