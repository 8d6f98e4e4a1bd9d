# SPDX-License-Identifier: Apache-2.0
"""What guides an arm's clean estimates: which models can, what they are told, who is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning_world import OBSTACLES, panda
from test_planner_learned import card

from diffusion_control.errors import ConfigurationError
from diffusion_control.inference.card import ModelCard, parse
from diffusion_control.planners import registry
from diffusion_control.planners.graph_guidance import (
    GRAPH,
    INPUTS,
    KERNEL,
    GraphGuidance,
    Guided,
    KernelGuidance,
    make_guidance,
)
from diffusion_control.planners.motion_code import MotionCode
from diffusion_control.planners.problem import Start
from diffusion_control.planners.spline_problem import SplineProblem
from diffusion_control.planners.trace import CostWeights
from diffusion_control.planners.world import World
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.trajectory.spline import basis

FOLDER = Path('models/some')
SHAPES: dict[str, list[Any]] = {
    'guidance_steps': [1], 'guidance_weights': [2], 'guidance_centre': [8, 7],
    'guidance_lower': [7], 'guidance_upper': [7], 'guidance_rest': [8, 7], 'arm_offset': [12, 7],
    'arm_margins': [2], 'arm_obstacle_code': ['O'], 'arm_obstacle_centre': [12, 'O', 3],
    'arm_obstacle_rotation': ['O', 3, 3], 'arm_obstacle_half': ['O', 3]}


def card_with(*names: str, **shapes: list[Any]) -> ModelCard:
    """Return the card of a model whose graph takes some inputs of guidance."""
    data = copy.deepcopy(card())
    data['inputs'] |= {
        name: {'shape': {**SHAPES, **shapes}[name], 'dtype': 'float32'} for name in names}
    return parse(json.dumps(data).encode())


def asked(
    obstacles: tuple[Obstacle, ...] = OBSTACLES, steps: int = 2, speed: float = 0.0,
    slack_rad: float = 9.0, **more: Any,
) -> Guided:
    """Return a question of the Panda; no joint leaves the range of the ends by more than so."""
    robot = panda()
    home, still = robot.home_rad, np.zeros(7)
    goal = home + np.array([1.2, 0.3, 0.0, 0.2, 0.0, 0.0, 0.0])
    splines = SplineProblem(
        World(robot, obstacles, margin_m=0.02), Start(0.0, home - 0.3, still + speed, still),
        robot.limits, **more)
    splines.lower = np.maximum(splines.lower, np.minimum(home - 0.3, goal) - slack_rad)
    splines.upper = np.minimum(splines.upper, np.maximum(home - 0.3, goal) + slack_rad)
    code = MotionCode.of_card(card()['normaliser'], 8, 7)
    return Guided(splines, code, goal, 1.5, steps)


def test_a_model_without_guidance_is_guided_by_the_kernel_alone() -> None:
    guidance = make_guidance(KERNEL, card_with(), FOLDER)
    assert isinstance(guidance, KernelGuidance)
    assert guidance.inputs(asked()) == {}
    assert guidance.improve(asked()) is not None
    assert guidance.improve(asked(steps=0)) is None


@pytest.mark.parametrize('names', [(), INPUTS[:5]])
def test_the_graph_of_a_model_that_cannot_is_refused(names: tuple[str, ...]) -> None:
    """With what is missing, where, and what to do."""
    with pytest.raises(ConfigurationError, match='no guidance in it') as caught:
        make_guidance(GRAPH, card_with(*names), FOLDER)
    said = str(caught.value)
    assert 'models/some/card.json' in said and 'guide: kernel' in said
    assert all(name in said for name in INPUTS[len(names):])


def test_an_unknown_guide_and_open_instants_are_refused() -> None:
    with pytest.raises(ConfigurationError, match='kernel, graph'):
        make_guidance('both', card_with(), FOLDER)
    with pytest.raises(ConfigurationError, match='kernel'):
        registry.make('diffuser', robot=panda(), guide='both')
    with pytest.raises(ConfigurationError, match='number of instants'):
        make_guidance(GRAPH, card_with(
            *INPUTS, arm_offset=['S', 7], arm_obstacle_centre=['S', 'O', 3]), FOLDER)


def test_the_shipped_model_has_none_in_its_graph() -> None:
    pytest.importorskip('onnxruntime')
    with pytest.raises(ConfigurationError, match='no guidance in it'):
        registry.make('diffuser', robot=panda(), guide=GRAPH)


@pytest.mark.parametrize('obstacles', [(), OBSTACLES])
def test_the_inputs_have_the_shapes_of_the_card(obstacles: tuple[Obstacle, ...]) -> None:
    """For any number of obstacles, none included; a kernel's graph is told to take no step."""
    full = card_with(*INPUTS)
    places = max(len(obstacles), 1)
    for guide, steps in ((GRAPH, 2), (KERNEL, 0)):
        found = make_guidance(guide, full, FOLDER).inputs(asked(obstacles))
        assert tuple(found) == INPUTS
        assert found['guidance_steps'] == steps
        for name, value in found.items():
            shape = [places if side == 'O' else side for side in SHAPES[name]]
            assert value.dtype == np.float32 and list(value.shape) == shape, name
    assert make_guidance(GRAPH, full, FOLDER).improve(asked(obstacles)) is None
    assert make_guidance(KERNEL, full, FOLDER).improve(asked(obstacles)) is not None


def test_the_inputs_say_where_motions_are_and_what_counts() -> None:
    """Positions from offset and free points are the spline's; weights, margins, limits too."""
    mover = Obstacle('sphere', (0.1,), np.array([0.4, 0.0, 0.4]), velocity_m_s=np.array(
        [0.0, 0.2, 0.0]), may_move=True)
    question = asked((mover,), speed=0.2, guidance=3.0, weights=CostWeights(0.5, 2.0, 1.0))
    found = GraphGuidance(12).inputs(question)
    code = np.random.default_rng(0).normal(size=(8, 7))
    free = question.code.decode(code[None], question.line)
    np.testing.assert_allclose(
        found['guidance_centre'] + question.code.deviation * (question.code.factor @ code),
        free[0], atol=1e-6)
    points = question.splines.assemble(free, question.goal[None], np.array([1.5]))
    wanted = basis(12).position @ points[0]
    np.testing.assert_allclose(
        found['arm_offset'] + basis(12).position[:, 3:-3] @ free[0], wanted, atol=1e-6)
    np.testing.assert_allclose(found['guidance_weights'], [3.0 * 0.5, 0.02 * 2.0], rtol=1e-6)
    np.testing.assert_allclose(found['arm_margins'], [0.04, 0.02], atol=1e-7)
    np.testing.assert_allclose(found['guidance_upper'], question.splines.upper, rtol=1e-6)
    at = found['arm_obstacle_centre'][:, 0]
    np.testing.assert_allclose(at[[0, -1], 1], [0.0, 0.3], atol=1e-6)
    assert found['arm_obstacle_half'][0, 0] == pytest.approx(0.13), 'a mover is grown'
