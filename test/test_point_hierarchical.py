# SPDX-License-Identifier: Apache-2.0
"""Sub-goals and the motion between them, both out of trained networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip('onnxruntime')

from diffusion_control import planners  # noqa: E402
from diffusion_control.errors import ConfigurationError  # noqa: E402
from diffusion_control.evaluation.maze.layouts import MAZES  # noqa: E402
from diffusion_control.planners.point_mass.wall_check import line_clearances  # noqa: E402
from diffusion_control.planners.problem import PlanningProblem  # noqa: E402
from diffusion_control.robots.goal import Goal  # noqa: E402
from diffusion_control.robots.point_mass import PointMass  # noqa: E402
from diffusion_control.robots.state import RobotState  # noqa: E402

ROBOT, MAZE = PointMass(), MAZES['large']


@pytest.fixture(scope='module')
def planner() -> Any:
    return planners.make('hierarchical', robot=ROBOT)


def problem_to(cell: int, **more: Any) -> PlanningProblem:
    return PlanningProblem(
        RobotState(MAZE.free[0] - 0.2, np.array([0.3, 0.0])),
        Goal(position_m=np.append(MAZE.free[cell] - 0.2, 0.0)), map=MAZE.map, **more)


@pytest.mark.parametrize('cell', [-1, 20, 8])
def test_plans_lead_from_the_start_to_the_goal_through_free_space(
    planner: Any, cell: int
) -> None:
    planner.reset(0)
    problem = problem_to(cell)
    found = planner.plan(problem)
    best = found.trajectory
    assert found.source == 'diffusion' and (np.diff(found.scores) <= 0.0).all()
    assert np.abs(best.position[0] - problem.start.position).max() < 1e-6
    assert np.abs(best.velocity[0] - problem.start.velocity).max() < 1e-6
    assert np.abs(best.position[-1] - problem.goal.position_m[:2]).max() < 1e-6
    assert np.abs(best.velocity[-1]).max() == 0.0
    dense = best.sample_many(np.arange(0.0, best.times_s[-1], 0.005))[0]
    assert line_clearances(dense[None], MAZE.map).min() > ROBOT.radius_m - 0.002


def test_the_motion_begins_at_the_cubics_through_the_sub_goals(
    planner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    planner.reset(0)
    problem = problem_to(-1)
    ground = planner.network.ground(MAZE.map, problem.goal.position_m[:2])
    lead, above = planner.upper.lead(problem, ground)
    assert planner.upper.network.knot_s == 4 * planner.network.knot_s
    start = np.concatenate([problem.start.position, problem.start.velocity])
    np.testing.assert_allclose(lead.knots[:, 0], np.repeat(start[None], len(lead.knots), 0))
    speed = np.linalg.norm(np.diff(lead.knots[..., :2], axis=1), axis=2) / planner.network.knot_s
    assert 1.0 < speed.max() < 8.0, 'the knots are as far apart as the lower network expects'
    hows, draw = [], planner.network.draw
    monkeypatch.setattr(planner.network, 'draw', lambda *given: (
        hows.append(given[3]), draw(*given))[1])
    planner.reset(0)
    _, _, spent = planner.windows(problem, ground)
    assert spent > above > 0
    first, horizon = hows[0], planner.network.horizon
    assert (first.evaluations, first.start) == (
        planner.values.num_fill_steps, planner.values.fill_level)
    np.testing.assert_array_equal(first.plan, lead.knots[:, :horizon])


def test_a_previous_plan_needs_no_new_sub_goals(
    planner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    planner.reset(0)
    first = planner.plan(problem_to(-1))
    monkeypatch.setattr(planner.upper, 'lead', None)
    again = planner.plan(problem_to(-1, previous=first.trajectory))
    assert again.evaluations < first.evaluations


def test_a_model_whose_knots_are_no_sub_goals_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='sub-goals'):
        planners.make('hierarchical', robot=ROBOT, sub_goal_model='diffuser_point_mass')


def test_both_models_are_named(planner: Any) -> None:
    found = planner.info()
    assert found['inference'] and found['sub_goals']
    assert found['inference'] != found['sub_goals']
