# SPDX-License-Identifier: Apache-2.0
"""The generated scenes keep what the tiers and the demo promise."""

import functools

import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.scene_geometry import (
    SceneGeometry,
    is_mover,
    signed_distance,
    standing,
    swept,
)
from diffusion_control.evaluation.scene_tiers import demo_scene, generate_scene
from diffusion_control.planners.goal_configurations import inverse_kinematics
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.movers import Mover

SEEDS = range(12)


@functools.cache
def geometry_of(name):
    return SceneGeometry.of(robots.load(name))


@functools.cache
def scenes_of(name, tier):
    return [generate_scene(geometry_of(name).robot, seed, tier) for seed in SEEDS]


def all_copies(scene):
    return tuple(copy for obstacle in scene.obstacles for copy in swept(obstacle))


@pytest.mark.parametrize(('name', 'tier', 'low', 'high'), [
    ('panda', 'easy', 3, 10), ('panda', 'hard', 10, 16), ('ur5', 'easy', 3, 10),
    ('ur5', 'hard', 10, 16)])
def test_counts_speeds_and_clearances(name, tier, low, high):
    geometry = geometry_of(name)
    for scene in scenes_of(name, tier):
        scene.check(geometry.robot)
        assert low <= len(scene.obstacles) <= high and scene.tier == tier
        movers = [o for o in scene.obstacles if is_mover(o)]
        assert len(movers) <= 2
        assert all(np.linalg.norm(o.velocity_m_s) <= 0.5 for o in movers)
        for joints in (scene.start_rad, scene.goals[0].joints_rad):
            assert geometry.clearance(joints, all_copies(scene)) >= 0.04


def test_some_scenes_have_movers_and_all_shapes_occur():
    scenes = scenes_of('panda', 'easy') + scenes_of('panda', 'hard')
    assert sum(any(is_mover(o) for o in scene.obstacles) for scene in scenes) >= 6
    assert {o.shape for scene in scenes for o in scene.obstacles} == {'sphere', 'box', 'cylinder'}


@pytest.mark.parametrize(('tier', 'share'), [('easy', 0.6), ('hard', 1.0)])
def test_the_straight_line_collides(tier, share):
    geometry = geometry_of('panda')
    blocked = [geometry.line_clearance(
        scene.start_rad, scene.goals[0].joints_rad, standing(scene.obstacles)) < 0
        for scene in scenes_of('panda', tier)]
    assert np.mean(blocked) >= share


def test_hard_obstacles_crowd_start_and_goal():
    geometry = geometry_of('panda')
    for scene in scenes_of('panda', 'hard'):
        near = [min(geometry.distal_clearance(joints, o) for joints in (
            scene.start_rad, scene.goals[0].joints_rad)) <= 0.06 for o in scene.obstacles]
        assert np.mean(near) >= 0.6


def test_a_seed_is_a_scene():
    robot = geometry_of('panda').robot
    one, same, other = (generate_scene(robot, seed, 'hard') for seed in (5, 5, 6))
    assert np.array_equal(one.start_rad, same.start_rad)
    assert all(np.array_equal(a.position_m, b.position_m)
               for a, b in zip(one.obstacles, same.obstacles, strict=True))
    assert not np.array_equal(one.start_rad, other.start_rad)


def test_several_goals_are_all_clear():
    geometry = geometry_of('panda')
    scene = generate_scene(geometry.robot, 3, 'easy', goals=6)
    assert len(scene.goals) == 6
    assert min(geometry.clearance(goal.joints_rad, all_copies(scene))
               for goal in scene.goals) >= 0.04


def test_bad_tier_and_bad_count_are_refused():
    robot = geometry_of('panda').robot
    with pytest.raises(ConfigurationError, match='unknown tier'):
        generate_scene(robot, 0, 'medium')
    with pytest.raises(ConfigurationError, match='needs a goal'):
        generate_scene(robot, 0, 'easy', goals=0)


def test_the_sweep_contains_every_place_of_the_mover():
    obstacle = Obstacle('sphere', (0.05,), np.array([0.3, 0.1, 0.4]),
                        velocity_m_s=np.array([0.0, 0.5, 0.0]))
    places = np.array([copy.position_m for copy in swept(obstacle)])
    mover = Mover.of(obstacle)
    for time_s in np.linspace(0.0, 12.0, 400):
        nearest = np.linalg.norm(places - mover.at(time_s)[0], axis=1).min()
        assert nearest <= 0.011


def test_signed_distance_of_each_shape():
    point = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.05], [3.0, 0.0, 0.1 + 4.0]])
    origin = np.zeros(3)
    ball = Obstacle('sphere', (0.1,), origin)
    box = Obstacle('box', (0.2, 0.2, 0.2), origin)
    cylinder = Obstacle('cylinder', (3.0, 0.2), origin)
    assert signed_distance(ball, point[:2]) == pytest.approx([0.9, -0.05])
    assert signed_distance(box, point[:2]) == pytest.approx([0.9, -0.05])
    assert signed_distance(cylinder, point) == pytest.approx([0.9, -0.05, 4.0])


@pytest.mark.parametrize('name', ['panda', 'ur5'])
def test_demo_goals_can_be_held_and_visited(name):
    geometry = geometry_of(name)
    robot = geometry.robot
    scene = demo_scene(robot, 1)
    scene.check(robot)
    assert len(scene.goals) >= 12
    assert 1 <= sum(is_mover(o) for o in scene.obstacles) <= 2
    assert geometry.clearance(scene.start_rad, all_copies(scene)) >= 0.04
    rng = np.random.default_rng(0)
    lower, upper = robot.limits.lower_rad, robot.limits.upper_rad
    for goal in scene.goals:
        clear = []
        for _ in range(6):
            begin = np.clip(robot.home_rad + rng.normal(0.0, 0.8, robot.dof), lower, upper)
            found = inverse_kinematics(robot, goal, begin, lower, upper)
            if found is not None:
                clear.append(geometry.clearance(found, all_copies(scene)))
        assert clear and max(clear) >= 0.04
