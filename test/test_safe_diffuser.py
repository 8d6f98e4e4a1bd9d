# SPDX-License-Identifier: Apache-2.0
"""SafeDiffuser of an arm: plans stay in the region at their knots, between, and fast or slow."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_world import panda
from scipy.interpolate import BSpline
from test_planners_plan import PILLAR, check_motion, problem_of, replan

from diffusion_control import planners
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.planners.joint_region import JointRegion, RegionProblem
from diffusion_control.planners.point_mass.barrier import RELAXED, ROBUST, TIME_VARYING
from diffusion_control.planners.problem import PlanningError, PlanningProblem, Start
from diffusion_control.planners.safe_diffuser import JointMoves
from diffusion_control.planners.spline_problem import SplineProblem
from diffusion_control.planners.world import World
from diffusion_control.robots.state import RobotState
from diffusion_control.trajectory.trajectory import Trajectory

NAMES = ('safediffuser_ros', 'safediffuser_res', 'safediffuser_tvs', 'safediffuser')
NARROW: dict[str, Any] = {'slack_rad': 0.25, 'reaction_s': 0.1}
needs_runtime = pytest.mark.skipif(
    importlib.util.find_spec('onnxruntime') is None, reason='ONNX Runtime is not installed')


def least(region: JointRegion, plan: Any, count: int) -> float:
    """Return the least h of a plan by its definition, joint by joint."""
    times = plan.stamp_s + np.interp(
        np.linspace(0, 1, count), np.linspace(0, 1, len(plan.times_s)), plan.times_s)
    q, v, _ = plan.sample_many(times)
    ends = [region.upper[j] - q[:, j] - region.reaction_s * v[:, j] for j in range(q.shape[1])]
    ends += [q[:, j] - region.lower[j] + region.reaction_s * v[:, j] for j in range(q.shape[1])]
    return float(np.min(ends))


@pytest.mark.parametrize('kind', [ROBUST, RELAXED, TIME_VARYING])
@given(seed=st.integers(0, 1000), steps=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_moves_end_in_the_range_whatever_the_denoiser_wants(
    kind: str, seed: int, steps: int
) -> None:
    random = np.random.default_rng(seed)
    low, high = np.sort(random.uniform(-2.0, 2.0, (2, 7)), axis=0)
    high = high + 0.1
    moves, points = JointMoves(low, high, kind), random.normal(0.0, 3.0, (3, 8, 7))
    for step in range(steps):
        points = moves(
            points, points + random.normal(0.0, 1.0, points.shape), (step + 1) / steps)
    assert (points >= low - 1e-9).all() and (points <= high + 1e-9).all()


def test_a_move_that_is_safe_is_left_as_it_is() -> None:
    moves, points = JointMoves(-np.ones(7), np.ones(7), ROBUST), np.zeros((1, 8, 7))
    np.testing.assert_array_equal(moves(points, points + 0.1, 0.5), points + 0.1)
    np.testing.assert_allclose(
        moves(points, points + 3.0, 0.5), 0.5 * (1.0 - 0.01), atol=1e-12)


@given(seed=st.integers(0, 1000), reaction_s=st.floats(0.0, 0.5))
@settings(max_examples=40, deadline=None)
def test_durations_keep_the_part_of_h_that_depends_on_the_speed(
    seed: int, reaction_s: float
) -> None:
    robot, random = panda(), np.random.default_rng(seed)
    start, goal = robot.home_rad + random.uniform(-0.4, 0.4, (2, 7))
    rest = np.zeros(7)
    asked = World(robot, (), margin_m=0.015), Start(0.0, start, rest, rest), robot.limits
    free = SplineProblem(*asked)
    region = JointRegion.around(start, goal, 0.3, reaction_s, robot.limits)
    problem = RegionProblem(*asked, region, 0.02)
    inner = problem.clip(problem.line(goal[None]) + random.normal(0.0, 0.4, (5, 8, 7)))
    points, duration = problem.fit_duration(inner, np.repeat(goal[None], 5, 0), np.full(5, 1.0))
    _, usual = free.fit_duration(inner, np.repeat(goal[None], 5, 0), np.full(5, 1.0))
    assert (duration >= usual - 1e-9).all()
    knots = np.concatenate([np.zeros(3), np.linspace(0.0, 1.0, 12), np.ones(3)])
    phase = np.linspace(0.0, 1.0, 97)
    for motion, lasting in zip(points, duration, strict=True):
        curve = BSpline(knots, motion, 3)
        q, v = curve(phase), curve.derivative()(phase) / lasting
        assert (region.upper - q - reaction_s * v).min() >= -1e-9
        assert (q - region.lower + reaction_s * v).min() >= -1e-9


@needs_runtime
@pytest.mark.parametrize('name', NAMES)
def test_plans_stay_in_the_region_where_the_unguarded_one_leaves_it(name: str) -> None:
    problem = problem_of(panda(), (PILLAR,))
    planner: Any = planners.make(name, robot=panda(), seed=1, **NARROW)
    plan = planner.plan(problem).trajectory
    assert plan is not None
    check_motion(panda(), problem, plan)
    region = JointRegion.around(
        problem.state.position, np.asarray(problem.goal.joints_rad), 0.25, 0.1, panda().limits)
    assert least(region, plan, len(plan.times_s)) >= 0.0
    assert least(region, plan, 10 * len(plan.times_s)) >= 0.0
    free = planners.make('diffuser', robot=panda(), seed=1).plan(problem).trajectory
    assert free is not None and least(region, free, 400) < 0.0


@needs_runtime
def test_the_region_is_kept_until_the_goal_changes() -> None:
    planner: Any = planners.make('safediffuser', robot=panda(), seed=1, **NARROW)
    plan = planner.plan(problem_of(panda(), (PILLAR,))).trajectory
    first = planner.region
    later = replan(panda(), plan, plan.start_s + 0.4 * plan.times_s[-1], [PILLAR])
    again = planner.plan(later).trajectory
    assert planner.region is first and again is not None and least(first, again, 400) >= 0.0
    planner.plan(problem_of(panda(), (), goal=0.3))
    assert planner.region is not first


@given(seed=st.integers(0, 200))
@settings(max_examples=20, deadline=None)
def test_a_motion_that_leaves_the_region_between_its_knots_is_not_free(seed: int) -> None:
    """Three knots, of which the one in the middle is at the border: beside it h is below 0."""
    robot, random = panda(), np.random.default_rng(seed)
    start = robot.home_rad.copy()
    rest, joint, fast = np.zeros(7), int(random.integers(7)), float(random.uniform(0.3, 0.5))
    goal = start.copy()
    goal[joint] += 0.2
    region = JointRegion(start - 0.3, goal + 0.1)
    problem = RegionProblem(World(robot, (), margin_m=0.0), Start(0.0, start, rest, rest),
                            robot.limits, region, 0.02)

    def through(middle: float, speed: float) -> Trajectory:
        position = np.stack([start, goal, goal])
        position[1, joint] = goal[joint] + middle
        velocity = np.zeros((3, 7))
        velocity[1, joint] = speed
        return Trajectory(0.0, np.array([0.0, 1.0, 2.0]), position, velocity, np.zeros((3, 7)),
                          robot.joint_names, robot.base_frame)

    leaves, stays = through(0.1 - 1e-3, fast), through(0.0, 0.0)
    assert region.h(leaves.position, leaves.velocity).min() >= 0.0
    assert World.judge(problem.world, leaves).free and not problem.judge(leaves).free
    assert problem.judge(stays).free
    outside = RegionProblem(
        World(robot, (), margin_m=0.0), Start(0.0, start, rest, rest), robot.limits,
        JointRegion(start + 0.05, goal + 0.1), 0.02)
    assert outside.judge(stays).free, 'a start outside may be led back'


@needs_runtime
def test_a_goal_out_of_the_region_is_refused_with_the_range() -> None:
    planner: Any = planners.make('safediffuser', robot=panda(), seed=1, slack_rad=0.05)
    problem = problem_of(panda())
    planner.plan(problem)
    planner.region = JointRegion(
        problem.state.position - 0.1, problem.state.position + 0.1)
    with pytest.raises(PlanningError, match='no configuration of the goal is inside the region'):
        planner.plan(problem)
    assert planner.plan(problem_of(panda(), (), goal=0.1)).best is not None


@needs_runtime
@pytest.mark.parametrize(('planner', 'known'), [
    ({'name': 'safediffuser', 'num_random': 192}, 'multi_start'),
    ({'name': 'safediffuser', 'num_random': 0}, None),
    ({'name': 'safediffuser_ros', 'num_random': 192}, None)])
def test_random_splines_help_where_no_corrected_motion_is_free(
    planner: dict[str, Any], known: str | None
) -> None:
    """In this scene a search finds a way in the region, and the network does not."""
    robot = panda()
    scene = generate_scene(robot, 48_059, 'hard')
    start = np.asarray(scene.start_rad, dtype=float)
    problem = PlanningProblem(
        RobotState(start, np.zeros(7), 0.0), scene.goals[0], scene.obstacles)
    made = planners.make(robot=robot, **planner)
    plan = made.plan(problem).trajectory
    if known is None:
        assert plan is None
    else:
        assert plan is not None and least(made.region, plan, 400) >= 0.0
        assert made.plan(problem).source == known
