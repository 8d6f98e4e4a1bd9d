# SPDX-License-Identifier: Apache-2.0
"""Answers in time: what is cut short, what never is, and models too slow for a deadline."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from learning_world import panda

from diffusion_control.errors import ConfigurationError
from diffusion_control.planners import selection
from diffusion_control.planners.deadline import DRAW, JUDGE, RANK, Deadline
from diffusion_control.planners.diffuser import DiffuserPlanner
from diffusion_control.planners.motion_sampler import Draw
from diffusion_control.planners.problem import PlanningProblem, Start
from diffusion_control.planners.selection import STAGES, Pool, candidates, polish
from diffusion_control.planners.spline_problem import SplineProblem
from diffusion_control.planners.world import World
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.state import RobotState

STEP_S = 0.01
COUNT, STEPS = 6, 10


class Clock:
    """Time that passes only where a test lets it."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def question(clock: Clock | None = None) -> tuple[SplineProblem, Pool]:
    """Return a question and random motions; with a clock, each look at the world takes 10 ms."""
    robot = panda()
    still, start = np.zeros(7), robot.home_rad
    splines = SplineProblem(
        World(robot, (Obstacle('sphere', (0.1,), np.array([0.5, 0.2, 0.5])),), margin_m=0.015),
        Start(0.0, start, still, still), robot.limits.scaled(0.65))
    goal = np.repeat((start + 0.6)[None], COUNT, 0)
    noise = 0.5 * splines.noise(np.random.default_rng(1), (COUNT,))
    free = splines.clip(splines.line(goal) + noise)
    _, duration = splines.fit_duration(free, goal, np.full(COUNT, 2.0))
    if clock is not None:
        cost = splines.world.cost

        def slow(*arguments: Any, **options: Any) -> Any:
            clock.now += STEP_S
            return cost(*arguments, **options)

        splines.world.cost = slow  # type: ignore[method-assign]
    return splines, Pool(free, goal, duration)


def test_without_a_deadline_nothing_changes() -> None:
    splines, pool = question()
    found = polish(splines, pool, count=COUNT, steps=STEPS)
    again = polish(*question(), count=COUNT, steps=STEPS, due=Deadline())
    np.testing.assert_array_equal(found.free, again.free)
    assert len(found.free) == 2 * COUNT + len(STAGES) * min(selection.SHORTENED, 2 * COUNT)


@pytest.mark.parametrize(('left_s', 'steps'), [
    (0.0, 0), (0.009, 1), (0.05, 5), (0.054, 5), (10.0, STEPS)])
def test_a_descent_begins_no_step_that_would_be_late(left_s: float, steps: int) -> None:
    """The first step is of unknown length; the others are as long as the longest before."""
    clock = Clock()
    splines, pool = question(clock)
    before = splines.evaluations
    splines.descend(pool.free, pool.goal, pool.duration, steps=STEPS,
                    until_s=clock.now + left_s, clock=clock)
    made = (splines.evaluations - before) // COUNT
    assert made == max(steps, 1) and clock.now <= 50.0 + max(left_s, STEP_S) + 1e-9


def test_what_is_cut_short_is_the_beginning_of_the_whole() -> None:
    clock = Clock()
    splines, pool = question(clock)
    short = splines.descend(pool.free, pool.goal, pool.duration, steps=STEPS,
                            until_s=clock.now + 4.5 * STEP_S, clock=clock)
    np.testing.assert_array_equal(
        short, question()[0].descend(pool.free, pool.goal, pool.duration, steps=4))


@pytest.mark.parametrize('left_s', [0.03, 0.08, 0.15, 0.3, 0.6])
def test_polishing_leaves_time_to_rank_and_to_judge(left_s: float) -> None:
    """A look takes 10 ms, so ranking N motions does, and each judgement is told to take 5 ms."""
    clock = Clock()
    splines, pool = question(clock)
    due = Deadline(clock, clock.now + left_s)
    due.each_s |= {RANK: STEP_S / (2 * COUNT), JUDGE: 0.005}
    found = polish(splines, pool, count=COUNT, steps=STEPS, due=due)
    assert len(found.free) >= COUNT
    candidates(splines, found, problem(), count=6, due=due)
    assert clock.now <= due.until_s + 1e-9


def test_too_late_nothing_is_polished_and_one_motion_is_judged() -> None:
    clock = Clock()
    splines, pool = question(clock)
    due = Deadline(clock, clock.now - 1.0)
    assert polish(splines, pool, count=COUNT, steps=STEPS, due=due) is pool
    assert len(candidates(splines, pool, problem(), count=6, due=due)) == 1
    due.until_s = math.inf
    assert len(candidates(splines, pool, problem(), count=6, due=due)) == 6


def test_a_part_is_expected_to_take_what_it_took_of_late() -> None:
    clock = Clock()
    due = Deadline(clock, 60.0)
    assert due.last_call_s(100) == 60.0 and due.allows(100)
    for spent, expected in ((0.4, 0.1), (0.04, 0.097), (0.8, 0.2)):
        with due.timed(RANK, 4):
            clock.now += spent
        assert due.each_s[RANK] == pytest.approx(expected)
    due.note(JUDGE, 0.3, 1)
    assert due.last_call_s(10) == pytest.approx(60.0 - 1.5 * (10 * 0.2 + 0.3))
    clock.now = 56.5
    assert due.allows(10) and not due.allows(11)


def problem() -> PlanningProblem:
    home = panda().home_rad
    return PlanningProblem(RobotState(home, np.zeros(7)), Goal(joints_rad=home + 0.6))


class SlowNetwork:
    """A network whose single evaluations take the given times, one series after the other."""

    def __init__(self, *series_s: float) -> None:
        self.series_s = list(series_s)

    def evaluation_s(self, splines: Any, goal: Any, count: int, repeats: int) -> Any:
        assert count == 64
        return np.full(repeats, self.series_s.pop(0))


def planner(*series_s: float) -> DiffuserPlanner:
    """Return a planner without a model that takes so long."""
    made = object.__new__(DiffuserPlanner)
    made.network = SlowNetwork(*series_s)  # type: ignore[assignment]
    made.values, made._home = SimpleNamespace(num_samples=64), (None, None)  # type: ignore[assignment]
    return made


def test_a_model_that_is_too_slow_is_refused_with_its_time() -> None:
    with pytest.raises(ConfigurationError) as caught:
        planner(0.0301, 0.0264, 0.0251).require_deadline(0.05)
    error = caught.value
    assert error.where == 'planner.deadline_s' and error.value == 0.05 and error.exit_code == 2
    assert '25.1 ms' in error.allowed and '0.0502 s' in error.allowed
    assert 'training_free' in error.remedy


def test_a_burst_in_one_series_refuses_nobody() -> None:
    planner(0.5, 0.0249, 0.4).require_deadline(0.05)
    planner(0.5, 0.025, 0.4).require_deadline(0.05)


def test_fewer_motions_are_drawn_where_one_evaluation_of_all_would_take_too_long() -> None:
    clock = Clock()
    made = object.__new__(DiffuserPlanner)
    made.clock, made.due, made.generator = clock, Deadline(clock), np.random.default_rng(0)
    drawn: list[int] = []

    def draw(splines: Any, goal: Any, duration: float, generator: Any, count: int, how: Any,
             *rest: Any) -> Any:
        drawn.append(count)
        clock.now += 1e-3 * count
        return np.zeros((count, 8, 7)), 1

    made.network = SimpleNamespace(draw=draw)  # type: ignore[assignment]
    request: Any = SimpleNamespace(
        splines=None, network_evaluations=0,
        timed=lambda free, goal: Pool(free, goal, np.ones(len(free))))
    for left_s in (math.inf, 0.2, 0.051, 0.001, math.inf):
        made._draw(request, np.zeros(7), 1.0, 64, Draw(1, until_s=clock.now + left_s))
    assert drawn == [64, 64, 25, 8, 64]
    assert made.due.each_s[DRAW] == pytest.approx(1e-3)
