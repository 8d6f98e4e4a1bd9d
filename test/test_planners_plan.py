# SPDX-License-Identifier: Apache-2.0
"""The planners, on one small scene each: exact ends, clearance, warm start, deadline."""

import numpy as np
import pytest

from diffusion_control import planners, robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.planners.protocol import Planner
from diffusion_control.planners.training_free import (
    TrainingFreePlanner,
    score_step,
    sigma_at,
)
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.robots.state import RobotState

NAMES = ('training_free', 'multi_start', 'mppi', 'cem', 'straight_line', 'random', 'rrt_connect')
PILLAR = Obstacle('cylinder', (0.05, 0.9), np.array([0.36, 0.0, 0.45]), key='pillar')


@pytest.fixture(scope='module')
def robot():
    arm = robots.load('panda')
    arm.collision.warm_up()
    return arm


def turned(robot, angle: float) -> np.ndarray:
    q = robot.home_rad.copy()
    q[0] = angle
    return q


def problem_of(robot, obstacles=(PILLAR,), start=0.6, goal=-0.6, **more) -> PlanningProblem:
    state = RobotState(turned(robot, start), np.zeros(robot.dof), 5.0)
    return PlanningProblem(
        state, Goal(joints_rad=turned(robot, goal)), tuple(obstacles), **more)


def check_motion(robot, problem, motion, limit=0.95):
    start = problem.start
    np.testing.assert_allclose(motion.position[0], start.position, atol=1e-9)
    np.testing.assert_allclose(motion.velocity[0], start.velocity, atol=1e-9)
    assert motion.start_s == pytest.approx(start.stamp_s)
    assert (motion.velocity[-1] == 0).all()
    assert len(motion.times_s) <= 40
    assert motion.names == robot.joint_names
    times = np.linspace(motion.start_s, motion.end_s, 400)
    q, v, a = motion.sample_many(times)
    near, own = robot.collision.path_clearance(
        q, times - times[0], ObstacleArrays.pack(problem.obstacles))
    assert near.min() > 0.01 and own.min() > 0
    assert (np.abs(v) <= limit * robot.limits.velocity_rad_s).all()
    assert (np.abs(a) <= limit * robot.limits.acceleration_rad_s2).all()
    assert (q >= robot.limits.lower_rad - 1e-9).all()
    assert (q <= robot.limits.upper_rad + 1e-9).all()


@pytest.mark.parametrize('name', NAMES)
def test_every_planner_reaches_a_goal_in_the_open(robot, name):
    planner = planners.make(name, robot=robot, seed=1)
    assert isinstance(planner, Planner)
    assert planner.info()['name'] == name
    problem = problem_of(robot, obstacles=())
    answer = planner.plan(problem)
    assert answer.best is not None
    check_motion(robot, problem, answer.trajectory)
    np.testing.assert_allclose(answer.trajectory.position[-1], problem.goal.joints_rad, atol=1e-6)
    assert len(answer.scores) == len(answer.candidates)
    assert (np.diff(answer.scores) <= 0).all()
    assert all(len(values) == len(answer.scores) for values in answer.costs.values())


@pytest.mark.parametrize('name', ['training_free', 'multi_start', 'mppi', 'cem', 'rrt_connect'])
def test_goes_around_what_the_line_runs_into(robot, name):
    problem = problem_of(robot)
    blocked = planners.make('straight_line', robot=robot).plan(problem)
    assert blocked.best is None and blocked.trajectory is None
    assert blocked.scores[0] < -1000 and blocked.costs['violation_m'][0] > 0
    answer = planners.make(name, robot=robot, seed=2).plan(problem)
    assert answer.best is not None
    check_motion(robot, problem, answer.trajectory)
    assert answer.evaluations > 0


@pytest.mark.parametrize('name', ['training_free', 'multi_start', 'mppi', 'cem', 'random'])
def test_same_seed_same_plan(robot, name):
    def plans(planner):
        return [planner.plan(problem_of(robot)).candidates[0].position for _ in range(2)]

    planner = planners.make(name, robot=robot, seed=7)
    first = plans(planner)
    planner.reset(7)
    np.testing.assert_array_equal(first, plans(planner))
    planner.reset(8)
    assert not np.array_equal(first[0], planner.plan(problem_of(robot)).candidates[0].position)


def replan(robot, plan, at, obstacles, **offset):
    sample = plan.sample(at)
    state = RobotState(sample.position, sample.velocity, at)
    return PlanningProblem(
        state, Goal(joints_rad=plan.position[-1]), tuple(obstacles), previous=plan, start_s=at,
        acceleration=sample.acceleration, **offset)


def test_a_free_plan_is_kept_and_a_blocked_one_is_left(robot):
    planner = planners.make('training_free', robot=robot, seed=3, keep_ratio=0.5)
    plan = planner.plan(problem_of(robot)).trajectory
    at = plan.start_s + 0.3 * plan.times_s[-1]
    kept = planner.plan(replan(robot, plan, at, [PILLAR])).trajectory
    assert kept.end_s == pytest.approx(plan.end_s)
    times = np.linspace(at, plan.end_s, 50)
    np.testing.assert_allclose(
        kept.sample_many(times)[0], plan.sample_many(times)[0], atol=1e-6)
    middle = plan.sample(plan.start_s + 0.6 * plan.times_s[-1]).position
    tool, _ = robot.tool_pose(middle)
    problem = replan(robot, plan, at, [PILLAR, Obstacle('sphere', (0.05,), tool)])
    answer = planner.plan(problem)
    assert answer.best is not None
    check_motion(robot, problem, answer.trajectory)


def test_a_much_longer_plan_is_replaced(robot):
    planner = planners.make('training_free', robot=robot, seed=4)
    slow = planners.make('training_free', robot=robot, seed=4, speed_scale=0.2)
    plan = slow.plan(problem_of(robot)).trajectory
    answer = planner.plan(replan(robot, plan, plan.start_s, [PILLAR]))
    assert answer.trajectory.end_s < 0.7 * plan.end_s + 0.3 * plan.start_s


def test_replans_in_motion_begin_exactly_and_keep_the_limits(robot):
    planner = planners.make('training_free', robot=robot, seed=5)
    plan = planner.plan(problem_of(robot, start=0.9, goal=-0.9)).trajectory
    for share in (0.2, 0.5, 0.8):
        at = plan.start_s + share * plan.times_s[-1]
        problem = replan(robot, plan, at, [PILLAR])
        fresh = PlanningProblem(
            problem.state, problem.goal, problem.obstacles, start_s=at,
            acceleration=problem.acceleration)
        for asked in (problem, fresh):
            answer = planner.plan(asked)
            assert answer.best is not None
            check_motion(robot, asked, answer.trajectory)


def test_near_and_at_the_goal_it_arrives_and_stays(robot):
    planner = planners.make('training_free', robot=robot, seed=6)
    goal = turned(robot, 0.6)
    plan, q, now = None, turned(robot, 0.605), 0.0
    for _ in range(6):
        problem = PlanningProblem(
            RobotState(q, np.zeros(7), now), Goal(joints_rad=goal), (PILLAR,), previous=plan)
        answer = planner.plan(problem)
        plan, now = answer.trajectory, now + 0.25
        assert np.abs(plan.position - goal).max() <= np.abs(q - goal).max() + 1e-9
        q = plan.sample(now).position
    np.testing.assert_allclose(q, goal, atol=1e-12)
    np.testing.assert_allclose(plan.velocity, 0.0, atol=1e-9)


def test_a_start_inside_the_margin_is_planned_out_of(robot):
    start = turned(robot, 0.0)
    tool, _ = robot.tool_pose(start)
    low, high = 0.0, 0.5
    for _ in range(40):
        middle = (low + high) / 2
        near = Obstacle('sphere', (0.05,), tool + [middle, 0.0, 0.0])
        clear = robot.collision.clearance(start, ObstacleArrays.pack((near,)))[0]
        low, high = (middle, high) if clear < 0.004 else (low, middle)
    planner = planners.make('training_free', robot=robot, seed=8)
    answer = planner.plan(problem_of(robot, [near], start=0.0, goal=1.0))
    assert answer.best is not None
    assert answer.costs['clearance_m'][0] >= 0.0


class StepClock:
    """A clock that goes on by a fixed amount whenever it is read."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


def test_the_deadline_shortens_the_diffusion(robot):
    problem = problem_of(robot, start=1.2, goal=-1.2)
    spent = []
    for step in (1e-6, 0.004, 0.2):
        planner = TrainingFreePlanner(robot, seed=9, clock=StepClock(step))
        answer = planner.plan(problem, 0.1)
        assert answer.candidates
        spent.append(answer.evaluations)
    assert spent[0] > spent[1] > spent[2]


@pytest.mark.parametrize(('finishing_s', 'left_s'), [(0.0, 0.025), (0.06, 0.06), (1.0, 0.075)])
def test_a_search_leaves_the_time_that_polishing_and_judging_took(
        robot, monkeypatch, finishing_s, left_s):
    """So that on a slow machine the answer is out by the deadline; the search keeps half."""
    planner = TrainingFreePlanner(robot, seed=9, clock=StepClock(1e-6))
    planner.finishing_s = finishing_s
    reverse, ends = planner._reverse, []

    def watched(request, chains, steps, samples, until):
        ends.append(until)
        return reverse(request, chains, steps, samples, until)
    monkeypatch.setattr(planner, '_reverse', watched)
    planner.plan(problem_of(robot, start=1.2, goal=-1.2), 0.15)
    assert ends[0] == pytest.approx(0.15 - left_s, abs=1e-3)
    assert 0.0 < planner.finishing_s <= max(0.8 * finishing_s, 1e-3), 'measured anew'


def test_pose_goal_is_reached(robot):
    goal = Goal(
        position_m=np.array([0.4, -0.35, 0.45]), quaternion=np.array([1.0, 0.0, 0.0, 0.0]))
    problem = PlanningProblem(
        RobotState(turned(robot, 0.6), np.zeros(7)), goal, (PILLAR,))
    answer = planners.make('training_free', robot=robot, seed=10).plan(problem)
    end = RobotState(answer.trajectory.position[-1], np.zeros(7))
    assert goal.reached(robot, end)
    check_motion(robot, problem, answer.trajectory)


def test_a_model_or_bad_parameters_are_refused(robot):
    with pytest.raises(ConfigurationError):
        planners.make('training_free', robot=robot, model='models/some')
    with pytest.raises(ConfigurationError) as caught:
        planners.make('training_free', robot=robot, num_chainz=3)
    assert 'num_chains' in caught.value.allowed
    with pytest.raises(ConfigurationError):
        planners.make('training_free', robot=robot, temperature=-1.0)


def test_score_step_prefers_the_cheap_samples():
    samples = np.zeros((1, 3, 8, 2))
    samples[0, 1], samples[0, 2] = 1.0, 5.0
    cost = np.array([[3.0, 0.0, 9.0]])
    np.testing.assert_allclose(score_step(samples, cost, 0.02)[0], 1.0, atol=1e-9)
    flat = score_step(samples, np.zeros((1, 3)), 0.02)
    np.testing.assert_allclose(flat[0], 2.0)


def test_the_noise_schedule_is_geometric():
    assert sigma_at(1.0) == pytest.approx(1.0)
    assert sigma_at(0.0) == pytest.approx(0.05)
    assert sigma_at(0.5) ** 2 == pytest.approx(sigma_at(0.0) * sigma_at(1.0))
