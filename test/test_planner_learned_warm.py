# SPDX-License-Identifier: Apache-2.0
"""A learned planner that has a plan already: what it draws around it, and what becomes of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from learning_world import cards, panda
from scipy.interpolate import BSpline
from test_learning_features import weights
from test_planner_learned import SIGMA, Watched, exported, folder, make
from test_planners_plan import PILLAR, problem_of, replan

__all__ = ['exported', 'folder']
KNOTS = np.concatenate([np.zeros(3), np.linspace(0.0, 1.0, 12), np.ones(3)])
pytestmark = pytest.mark.filterwarnings('ignore')


def test_a_warm_start_is_the_kept_plan_with_noise_on_it(folder: Path) -> None:
    """The mean of many beginnings, decoded with the card's numbers, is the plan."""
    planner = make(
        'diffuser', folder, seed=3, num_warm_samples=1500, warm_start_level=0.4)
    plan = planner.plan(problem_of(panda())).trajectory
    watched = Watched(planner)
    planner.plan(replan(panda(), plan, plan.start_s, [PILLAR]))
    begin, level = watched.begins[0], watched.tables[0][0, SIGMA]
    assert begin.shape == (1500, 8, 7) and level == pytest.approx(0.4)
    np.testing.assert_allclose(begin.std(0), level, atol=0.05)
    code = {name: np.array(value) for name, value in cards(folder)['normaliser'][
        'residual'].items()}
    start, goal = plan.position[0], plan.position[-1]
    line = start + weights()[1:-1, None] * (goal - start)
    free = line + code['mean'] + code['deviation'] * (
        code['factor'] @ begin.mean(0) / (1.0 - level))
    ends = [np.repeat(end[None], 3, 0) for end in (start, goal)]
    shares = np.linspace(0.0, 1.0, 60)
    way = BSpline(KNOTS, np.concatenate([ends[0], free, ends[1]]), 3)(shares)
    wanted = plan.sample_many(plan.start_s + shares * plan.times_s[-1])[0]
    straight = BSpline(KNOTS, np.concatenate([ends[0], line, ends[1]]), 3)(shares)
    assert np.abs(wanted - straight).max() > 0.2, 'it goes around'
    assert np.abs(way - wanted).max() < 0.06


def test_a_kept_plan_gets_shorter_and_stays_the_networks(folder: Path) -> None:
    """It is refined beside what is drawn; a plan of unknown source is not."""
    planner = make('diffuser', folder, seed=3, polish_steps=2, keep_ratio=1.0)
    first = planner.plan(problem_of(panda())).trajectory
    planner.values = dataclasses.replace(planner.values, polish_steps=40)
    again = planner.plan(replan(panda(), first, first.start_s, [PILLAR]))
    assert again.source == 'diffusion'
    assert again.trajectory.times_s[-1] < 0.97 * first.times_s[-1]
    pools: list[int] = []
    screen = planner.screen
    planner.screen = lambda request, pool: pools.append(len(pool.free)) or screen(request, pool)
    planner.plan(replan(panda(), first, first.start_s, [PILLAR]))
    planner.reset(3)
    planner.plan(replan(panda(), first, first.start_s, [PILLAR]))
    assert pools == [17, 16]
