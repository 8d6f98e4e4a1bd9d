# SPDX-License-Identifier: Apache-2.0
"""Fallbacks from a robot in motion: stop, then the conservative plan."""

import dataclasses

import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.planners import fallback
from diffusion_control.planners.path_timing import time_path
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.robots.state import RobotState

PILLAR = Obstacle('cylinder', (0.05, 0.9), np.array([0.36, 0.0, 0.45]), key='pillar')


@pytest.fixture(scope='module')
def robot():
    arm = robots.load('panda')
    arm.collision.warm_up()
    return arm


def moving_problem(robot, obstacles=(PILLAR,)) -> PlanningProblem:
    position, velocity, goal = robot.home_rad.copy(), np.zeros(7), robot.home_rad.copy()
    position[0], velocity[0], goal[0] = 0.8, -0.8, -0.7
    return PlanningProblem(
        RobotState(position, velocity, 2.0), Goal(joints_rad=goal), obstacles, start_s=2.0)


def check(robot, problem, answer, factor):
    assert answer.best is not None
    motion = answer.trajectory
    np.testing.assert_allclose(motion.position[0], problem.state.position, atol=1e-9)
    np.testing.assert_allclose(motion.velocity[0], problem.state.velocity, atol=1e-9)
    assert len(motion.times_s) <= 40 and (motion.velocity[-1] == 0).all()
    times = np.linspace(motion.start_s, motion.end_s, 500)
    q, v, _ = motion.sample_many(times)
    near, own = robot.collision.path_clearance(
        q, np.zeros(500), ObstacleArrays.pack(problem.obstacles))
    assert near.min() > 0 and own.min() > 0
    allowed = np.maximum(
        factor * robot.limits.velocity_rad_s, np.abs(problem.state.velocity))
    assert (np.abs(v) <= 1.02 * allowed).all()


@pytest.mark.parametrize('name', ['classical', 'training_free'])
def test_reaches_the_goal_slowly_from_motion(robot, name):
    problem = moving_problem(robot)
    answer = fallback.make(name, robot=robot, seed=1, **(
        {'search_s': 20.0} if name == 'classical' else {})).plan(problem)
    check(robot, problem, answer, 0.37)
    np.testing.assert_allclose(answer.trajectory.position[-1], problem.goal.joints_rad, atol=1e-3)


def test_hold_stops_and_stands(robot):
    problem = moving_problem(robot)
    answer = fallback.make('hold', robot=robot).plan(problem)
    check(robot, problem, answer, 0.65)
    assert np.abs(answer.trajectory.position[-1] - problem.state.position).max() < 0.3
    assert answer.source == 'hold'


def test_hold_at_rest_stays_exactly(robot):
    problem = PlanningProblem(
        RobotState(robot.home_rad, np.zeros(7), 1.0), Goal(joints_rad=robot.home_rad))
    motion = fallback.make('hold', robot=robot).plan(problem).trajectory
    assert (motion.position == robot.home_rad).all() and (motion.velocity == 0).all()


def test_retreat_goes_back_along_the_way(robot):
    problem = moving_problem(robot)
    retreat = fallback.make('retreat', robot=robot, length_rad=0.5)
    for angle in np.linspace(1.5, 0.8, 200):
        q = robot.home_rad.copy()
        q[0] = angle
        retreat.record(q)
    answer = retreat.plan(problem)
    check(robot, problem, answer, 0.36)
    motion = answer.trajectory
    assert 1.1 < motion.position[-1, 0] < 1.35
    others = motion.position[:, 1:] - robot.home_rad[1:]
    assert np.abs(others).max() < 1e-2


@pytest.mark.parametrize('first', [1.5, 0.0])
def test_retreat_asked_again_goes_on_back_and_what_lay_beyond_is_forgotten(robot, first):
    problem, retreat = moving_problem(robot, ()), fallback.make('retreat', robot=robot)

    def at(angle: float) -> np.ndarray:
        q = robot.home_rad.copy()
        q[0] = angle
        return q

    for angle in np.linspace(first, 0.8, 200):
        retreat.record(at(angle))
    ends, way = [], 0.5 * (first + 0.8)
    for angle in (0.8, way, 0.5 * (first + way)):
        again = dataclasses.replace(problem, state=RobotState(at(angle), np.zeros(7), 2.0))
        motion = retreat.plan(again).trajectory
        there = np.sign(first - angle) * (motion.position[:, 0] - angle)
        assert there.min() > -1e-3
        ends.append(float(motion.position[-1, 0]))
    np.testing.assert_allclose(ends, first, atol=1e-3)
    retreat.record(at(way))
    left = np.sign(first - way) * (retreat.way_back(at(0.8))[1:, 0] - way)
    assert left.min() > -0.05


def test_retreat_without_a_way_stands(robot):
    problem = moving_problem(robot)
    answer = fallback.make('retreat', robot=robot).plan(problem)
    check(robot, problem, answer, 0.36)
    assert answer.trajectory.position[-1, 0] == pytest.approx(0.8, abs=0.25)


def test_time_path_keeps_the_limits_and_passes_the_way_points(robot):
    way = robot.home_rad + np.cumsum(
        np.random.default_rng(0).normal(scale=0.15, size=(12, 7)), axis=0)
    limits = robot.limits.scaled(0.5)
    motion = time_path(way, limits, stamp_s=1.0, names=robot.joint_names)
    assert (np.abs(motion.velocity) <= limits.velocity_rad_s).all()
    assert (np.abs(motion.acceleration) <= 1.05 * limits.acceleration_rad_s2).all()
    for point in way:
        assert np.abs(motion.position - point).max(1).min() < 0.02
    np.testing.assert_allclose(motion.position[[0, -1]], way[[0, -1]], atol=1e-6)
