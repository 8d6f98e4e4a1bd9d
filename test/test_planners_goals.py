# SPDX-License-Identifier: Apache-2.0
"""Joint configurations for goals, and the world that motions are judged in."""

import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.planners.goal_configurations import GoalConfigurations, rotation_vector
from diffusion_control.planners.problem import PlanningError
from diffusion_control.planners.world import World
from diffusion_control.robots.goal import Goal, rotation_angle
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.trajectory.trajectory import Trajectory

POSE = Goal(position_m=np.array([0.4, 0.3, 0.4]), quaternion=np.array([1.0, 0.0, 0.0, 0.0]))


@pytest.fixture(scope='module')
def robot():
    arm = robots.load('panda')
    arm.collision.warm_up()
    return arm


def world_of(robot, *obstacles: Obstacle) -> World:
    return World(robot, obstacles, margin_m=0.02)


def sphere(position, radius=0.1, velocity=(0.0, 0.0, 0.0), may_move=False) -> Obstacle:
    return Obstacle(
        'sphere', (radius,), np.array(position, dtype=float),
        velocity_m_s=np.array(velocity, dtype=float), may_move=may_move)


def still(robot, position, duration=1.0) -> Trajectory:
    zero = np.zeros((2, robot.dof))
    return Trajectory(
        0.0, np.array([0.0, duration]), np.stack([position] * 2), zero, zero, robot.joint_names)


def test_pose_goal_gives_distinct_configurations_at_the_pose(robot):
    found = GoalConfigurations(robot).find(POSE, robot.home_rad, world_of(robot))
    assert len(found) >= 3
    distances = np.linalg.norm((found - robot.home_rad) / robot.limits.velocity_rad_s, axis=1)
    assert distances[0] == distances.min()
    for index, q in enumerate(found):
        position, rotation = robot.tool_pose(q)
        assert np.linalg.norm(position - POSE.position_m) < 1e-3
        assert rotation_angle(POSE.rotation.T @ rotation) < 2e-3
        assert (q >= robot.limits.lower_rad).all() and (q <= robot.limits.upper_rad).all()
        assert all(np.abs(q - other).max() > 0.2 for other in found[:index])


def test_configurations_depend_on_the_seed_alone(robot):
    first = GoalConfigurations(robot, seed=3).find(POSE, robot.home_rad, world_of(robot))
    again = GoalConfigurations(robot, seed=3).find(POSE, robot.home_rad, world_of(robot))
    np.testing.assert_array_equal(first, again)


def test_position_without_orientation_is_enough(robot):
    goal = Goal(position_m=np.array([0.4, 0.0, 0.6]))
    found = GoalConfigurations(robot).find(goal, robot.home_rad, world_of(robot))
    assert goal.error(robot, found[0])[0] < 1e-3


def test_the_end_of_the_followed_plan_comes_first(robot):
    goals = GoalConfigurations(robot)
    found = goals.find(POSE, robot.home_rad, world_of(robot))
    again = goals.find(POSE, robot.home_rad, world_of(robot), found[-1])
    np.testing.assert_array_equal(again[0], found[-1])


def test_unreachable_and_colliding_goals_say_so(robot):
    far = Goal(position_m=np.array([0.0, 0.0, -0.6]), quaternion=np.array([1.0, 0.0, 0.0, 0.0]))
    with pytest.raises(PlanningError) as caught:
        GoalConfigurations(robot).find(far, robot.home_rad, world_of(robot))
    assert caught.value.reason == 'goal_unreachable'
    inside = world_of(robot, sphere(POSE.position_m))
    with pytest.raises(PlanningError) as caught:
        GoalConfigurations(robot).find(POSE, robot.home_rad, inside)
    assert caught.value.reason == 'goal_in_collision'
    with pytest.raises(ConfigurationError):
        GoalConfigurations(robot).find(
            Goal(joints_rad=np.full(robot.dof, 9.0)), robot.home_rad, world_of(robot))


def test_an_unreachable_goal_is_solved_for_once_until_the_robot_is_elsewhere(robot, monkeypatch):
    far = Goal(position_m=np.array([0.0, 0.0, -0.6]), quaternion=np.array([1.0, 0.0, 0.0, 0.0]))
    goals, tried, solve = GoalConfigurations(robot), [], GoalConfigurations._solve

    def counted(*asked):
        tried.append(asked[-1])
        return solve(*asked)

    monkeypatch.setattr(GoalConfigurations, '_solve', counted)
    for away in (0.0, 0.05, 0.5, 0.52):
        with pytest.raises(PlanningError, match='reaches the goal'):
            goals.find(far, robot.home_rad + away * np.eye(robot.dof)[0], world_of(robot))
    assert len(tried) == 2
    assert len(goals.find(POSE, robot.home_rad, world_of(robot))) > 0


def test_a_goal_that_was_in_collision_is_found_when_it_is_free(robot):
    goals = GoalConfigurations(robot)
    with pytest.raises(PlanningError):
        goals.find(POSE, robot.home_rad, world_of(robot, sphere(POSE.position_m)))
    assert len(goals.find(POSE, robot.home_rad, world_of(robot))) > 0


@pytest.mark.parametrize('axis', [(1, 0, 0), (0, 1, 0), (0.6, 0, 0.8), (0.36, 0.48, 0.8)])
@pytest.mark.parametrize('angle', [0.0, 1e-9, 0.3, 2.5, np.pi - 1e-9, np.pi])
def test_rotation_vector(axis, angle):
    axis = np.array(axis, dtype=float)
    skew = np.array([
        [0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation = np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew
    vector = rotation_vector(rotation)
    if angle > np.pi - 1e-6 and vector @ axis < 0:
        vector = -vector
    np.testing.assert_allclose(vector, axis * angle, atol=1e-6)


def test_standing_still_is_free_until_something_comes(robot):
    tool, _ = robot.tool_pose(robot.home_rad)
    motion = still(robot, robot.home_rad)
    assert world_of(robot).judge(motion).free
    assert not world_of(robot, sphere(tool + [0.15, 0, 0], 0.1, (-0.2, 0, 0), True)).judge(
        motion).free
    assert world_of(robot, sphere(tool + [0.15, 0, 0], 0.1, (0.2, 0, 0), True)).judge(
        motion).clearance_m < 0.1
    late = world_of(robot, sphere(tool + [0.9, 0, 0], 0.1, (-0.45, 0, 0), True)).judge(
        still(robot, robot.home_rad, 6.0))
    assert late.free


def test_a_start_inside_something_may_only_leave_it(robot):
    tool, _ = robot.tool_pose(robot.home_rad)
    world = world_of(robot, sphere(tool + [0.0, 0.0, -0.11], 0.1))
    assert world.standing_clearance(robot.home_rad)[0] < 0
    assert not world.judge(still(robot, robot.home_rad)).free
    away = robot.home_rad.copy()
    away[3] += 0.8
    times = np.array([0.0, 1.0])
    leaving = Trajectory(
        0.0, times, np.stack([robot.home_rad, away]), np.zeros((2, 7)), np.zeros((2, 7)),
        robot.joint_names)
    assert world.judge(leaving).free


def test_speed_acceleration_and_position_limits_are_judged(robot):
    goal = robot.home_rad.copy()
    goal[0] += 1.0
    world = world_of(robot)
    ends = np.stack([robot.home_rad, goal])
    zero = np.zeros((2, 7))
    slow = Trajectory(0.0, np.array([0.0, 2.0]), ends, zero, zero, robot.joint_names)
    fast = Trajectory(0.0, np.array([0.0, 0.3]), ends, zero, zero, robot.joint_names)
    assert world.judge(slow).free and world.judge(slow).limit_ratio < 1
    assert world.judge(fast).limit_ratio > 1 and not world.judge(fast).free
    outside = ends.copy()
    outside[1, 0] = 3.5
    beyond = Trajectory(0.0, np.array([0.0, 9.0]), outside, zero, zero, robot.joint_names)
    assert not world.judge(beyond).free
