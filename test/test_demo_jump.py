# SPDX-License-Identifier: Apache-2.0
"""Where an obstacle may jump into the path of a base."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.demo.obstacle_jump import braking_configurations, jump_position
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.trajectory.trajectory import Trajectory

SPEED = 0.5


def straight(length_s: float = 8.0) -> Trajectory:
    """Return a drive along x at 0.5 m/s."""
    times = np.array([0.0, length_s])
    position = np.array([[0.0, 0.0, 0.0], [SPEED * length_s, 0.0, 0.0]])
    velocity = np.array([[SPEED, 0.0, 0.0], [SPEED, 0.0, 0.0]])
    return Trajectory(
        100.0, times, position, velocity, np.zeros((2, 3)), ('x', 'y', 'yaw'), 'odom')


def test_a_base_is_held_to_what_its_receiver_does_on_silence() -> None:
    robot = robots.load_base('base')
    poses = braking_configurations(robot, straight(), 101.0, 0.06, 0.75)
    held = robot.receiver_timeout_s
    braking = SPEED**2 / (2 * robot.drive.braking_max_m_s2)
    assert poses[-1, 0] == pytest.approx(0.5 + SPEED * (0.06 + held) + braking, abs=2e-3)


def test_an_obstacle_jumps_as_near_as_that_allows_and_no_nearer() -> None:
    robot = robots.load_base('base')
    place = jump_position(
        robot, straight(), straight(), 101.0, 0.06, np.random.default_rng(0), reaction_s=0.06,
        braking_fraction=0.75, margin_m=0.02)
    assert place is not None
    last = braking_configurations(robot, straight(), 101.0, 0.06, 0.75)[-1]
    assert place[2] == pytest.approx(robot.collision.height_m / 2)
    gap = place[0] - last[0] - 0.06 - 0.20
    assert 0.025 - 1e-6 <= gap < 0.05
    around = robot.pack((Obstacle('sphere', (0.06,), place),))
    assert robot.collision.clearance(last, around)[0] >= 0.02


def test_there_is_no_place_where_the_plan_ends_too_soon() -> None:
    robot = robots.load_base('base')
    assert jump_position(
        robot, straight(1.2), straight(), 100.5, 0.06, np.random.default_rng(0),
        reaction_s=0.06, braking_fraction=0.75, margin_m=0.02) is None
