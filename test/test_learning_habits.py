# SPDX-License-Identifier: Apache-2.0
"""Habits: their scenes show them, the expert keeps them, nothing else is told."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning_world import panda, random_demonstrations
from scipy.interpolate import BSpline

from diffusion_control import cli
from diffusion_control.learning.arm_batches import ArmBatches
from diffusion_control.learning.data_set import stack
from diffusion_control.learning.demonstration import Demonstration
from diffusion_control.learning.habit_rules import RuledWorld, tilt
from diffusion_control.learning.habits import HABITS, demonstrate_habit
from diffusion_control.planners.problem import PlanningProblem, Start
from diffusion_control.planners.selection import Pool, candidates, polish
from diffusion_control.planners.spline_problem import FREE_POINTS, SplineProblem
from diffusion_control.planners.world import World
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.state import RobotState
from diffusion_control.simulation.scene import Scene
from diffusion_control.trajectory.spline import to_trajectory

SEED = 1_000_000
KNOTS = np.concatenate([np.zeros(3), np.linspace(0.0, 1.0, 12), np.ones(3)])
PHASE = np.linspace(0.0, 1.0, 101)


@functools.cache
def scene_of(habit: str, seed: int = SEED) -> Scene:
    """Return a scene of a habit."""
    return HABITS[habit].scene(panda(), seed)


@functools.cache
def shown(habit: str) -> list[Demonstration]:
    """Return what the expert shows in a scene of a habit."""
    return demonstrate_habit(panda(), habit, SEED, count=3)


def goal_of(scene: Scene) -> Any:
    """Return the configuration at the goal."""
    return np.asarray(scene.goals[0].joints_rad)


def way(found: Demonstration) -> Any:
    """Return a demonstration's configurations, by scipy."""
    ends = [np.repeat(end[None], 3, 0) for end in (found.question.start, found.question.goal)]
    return BSpline(KNOTS, np.concatenate([ends[0], found.free, ends[1]]), 3)(PHASE)


def tilt_deg(joints: Any) -> float:
    """Return the angle of the Panda's hand from pointing down [degrees]."""
    return float(np.degrees(np.arccos(np.clip(-panda().tool_pose(joints)[1][2, 2], -1.0, 1.0))))


@pytest.mark.parametrize('habit', HABITS)
def test_a_seed_is_a_scene(habit: str) -> None:
    first, again = scene_of(habit), HABITS[habit].scene(panda(), SEED)
    assert np.array_equal(first.start_rad, again.start_rad)
    assert len(first.obstacles) == len(again.obstacles)
    assert not np.array_equal(first.start_rad, scene_of(habit, SEED + 1).start_rad)


@pytest.mark.parametrize('seed', range(SEED, SEED + 3))
def test_upright_scenes_ask_for_the_habit(seed: int) -> None:
    """Upright at both ends; who goes straight is not, on the way."""
    scene = scene_of('upright', seed)
    start, goal = scene.start_rad, goal_of(scene)
    assert max(tilt_deg(start), tilt_deg(goal)) < 0.05
    line = start + PHASE[:, None] * (goal - start)
    assert max(tilt_deg(joints) for joints in line) > 14.9
    assert not HABITS['upright'].kept(panda(), scene, line)


def test_tilt_is_the_angle_of_the_hand() -> None:
    joints = panda().home_rad + np.random.default_rng(0).uniform(-0.8, 0.8, (20, 7))
    wanted = [tilt_deg(q) for q in joints]
    assert np.allclose(np.degrees(tilt(panda(), joints)), wanted, atol=1e-3)


def test_the_expert_stays_upright() -> None:
    assert shown('upright')
    assert max(tilt_deg(q) for found in shown('upright') for q in way(found)) < 8.0


def test_the_expert_passes_on_the_left() -> None:
    """The left of one who goes from start to goal, by the cross product."""
    scene = scene_of('left')
    centre = scene.obstacles[0].position_m[:2]
    assert shown('left')
    for found in shown('left'):
        tool = np.array([panda().tool_pose(q)[0][:2] for q in way(found)])
        ahead = (tool[-1] - tool[0]) / np.linalg.norm(tool[-1] - tool[0])
        beside = np.argmin(np.abs((tool - centre) @ ahead))
        away = tool[beside] - centre
        assert ahead[0] * away[1] - ahead[1] * away[0] > 0.02
        assert HABITS['left'].kept(panda(), scene, way(found))


def test_a_way_back_passes_on_the_right() -> None:
    scene = scene_of('left')
    back = replace(
        scene, start_rad=goal_of(scene), goals=(Goal(joints_rad=scene.start_rad),))
    assert not HABITS['left'].kept(panda(), back, way(shown('left')[0])[::-1])


@pytest.mark.parametrize('habit', HABITS)
def test_slope_of_a_ruled_world(habit: str) -> None:
    """What the rule adds to the slope, by central differences, where it acts and elsewhere."""
    scene = scene_of(habit)
    rule, goal = HABITS[habit].rule(panda(), scene), goal_of(scene)
    positions = scene.start_rad + np.linspace(0.3, 0.7, 9)[:, None] * (goal - scene.start_rad)
    positions = positions + np.random.default_rng(1).normal(0.0, 0.05, positions.shape)

    world = RuledWorld(panda(), scene.obstacles, rule, margin_m=0.015, own_margin_m=0.005)
    plain = World(panda(), scene.obstacles, margin_m=0.015, own_margin_m=0.005)
    ruled, free = (w.cost(positions, np.zeros(9), extra_m=0.02, gradient=True)
                   for w in (world, plain))
    assert ruled[2] is not None and free[2] is not None
    assert (ruled[1] < free[1]).any()
    h = 1e-5
    for step in h * np.eye(7):
        above, below = (
            np.maximum(0.02 - rule.slack(positions + s), 0.0)**2 for s in (step, -step))
        wanted = (above - below) / (2 * h)
        found = (ruled[2] - free[2]) @ (step / h)
        assert np.allclose(found, wanted, atol=1e-4)


def test_without_reverse_no_motion_runs_backwards() -> None:
    data = stack(random_demonstrations(6))
    forwards = ArmBatches(panda(), data, seed=0, reverse=False).draw(0, 0, 32)[0].chosen
    both = ArmBatches(panda(), data, seed=0).draw(0, 0, 32)[0].chosen
    starts = {round(float(q[3]), 6) for q in data.start}
    assert {round(float(q[3]), 6) for q in forwards.start} <= starts
    assert not {round(float(q[3]), 6) for q in both.start} <= starts


def test_a_refinement_that_does_not_shorten_leaves_free_motions_alone() -> None:
    home = np.asarray(panda().home_rad)
    splines = SplineProblem(
        World(panda(), (), margin_m=0.015), Start(0.0, home, np.zeros(7), np.zeros(7)),
        panda().limits.scaled(0.65))
    goal = home[None] + 0.3
    bent = splines.line(goal) + 0.2 * splines.noise(np.random.default_rng(0), (1,))
    pool = Pool(splines.clip(bent), goal, np.array([3.0]))
    left = polish(splines, pool, count=1, steps=10, shorten=False).free
    assert left.shape == (2, FREE_POINTS, 7)
    assert np.allclose(left, pool.free)
    shortened = polish(splines, pool, count=1, steps=10).free
    assert np.abs(shortened - pool.free[0]).max() > 0.05


def test_without_shortening_the_free_motion_that_was_moved_least_is_taken() -> None:
    """A short one that had to be pushed far loses against a long one that was free as drawn."""
    home = np.asarray(panda().home_rad)
    goal = home[None] + 1.6 * np.eye(7)[:1]
    middle = panda().tool_positions((home + 0.5 * (goal[0] - home))[None])[0]
    ball = Obstacle('sphere', (0.05,), middle)
    splines = SplineProblem(
        World(panda(), (ball,), margin_m=0.015), Start(0.0, home, np.zeros(7), np.zeros(7)),
        panda().limits.scaled(0.65))
    through = splines.line(goal)
    aside = np.sin(np.linspace(0.3, 2.8, FREE_POINTS))[:, None] * np.eye(7)[3]
    around = through + 1.2 * aside
    pool = splines_pool(splines, np.concatenate([through, around]), goal)
    question = PlanningProblem(RobotState(home, np.zeros(7)), Goal(joints_rad=goal[0]), (ball,))
    best = {}
    for shorten in (False, True):
        polished = polish(splines, pool, count=2, steps=60, shorten=shorten)
        found = candidates(splines, polished, question, count=4)
        best[shorten] = max(found, key=lambda c: c.score)
        assert best[shorten].judgement.free
    drawn = splines.assemble(pool.free, pool.goal, pool.duration)[1]
    wanted = to_trajectory(drawn, 1.0, 0.0, panda().joint_names).position
    np.testing.assert_allclose(best[False].motion.position, wanted, atol=1e-6)
    assert best[True].duration_s < 0.95 * best[False].duration_s


def splines_pool(splines: SplineProblem, free: Any, goal: Any) -> Pool:
    """Return motions to a goal with their shortest durations."""
    goals = np.repeat(goal, len(free), 0)
    clipped = splines.clip(free)
    _, duration = splines.fit_duration(clipped, goals, np.full(len(free), 3.0))
    return Pool(clipped, goals, duration)


def test_an_unknown_habit_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(['data', 'generate', '--habit', 'right', '--out', str(tmp_path / 'd')]) == 2
    assert 'upright' in capsys.readouterr().err
    assert not (tmp_path / 'd').exists()
