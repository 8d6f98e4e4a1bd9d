# SPDX-License-Identifier: Apache-2.0
"""Goals: what is refused, and when one is reached."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.goal import Goal, rotation_angle
from diffusion_control.robots.state import RobotState


@pytest.fixture(scope='module')
def arm() -> robots.Arm:
    return robots.load('panda')


def at(position: np.ndarray, speed: float = 0.0) -> RobotState:
    return RobotState(position, np.full(len(position), speed))


@pytest.mark.parametrize('arguments', [
    {},
    {'joints_rad': [0.0] * 7, 'position_m': [0.0] * 3},
    {'joints_rad': [0.0] * 7, 'quaternion': [0.0, 0.0, 0.0, 1.0]},
    {'position_m': [0.0, 0.0]},
    {'position_m': [0.0, 0.0, float('nan')]},
    {'position_m': 'there'},
    {'joints_rad': [float('inf')] * 7},
    {'position_m': [0.0] * 3, 'quaternion': [0.0, 0.0, 0.0, 2.0]},
    {'position_m': [0.0] * 3, 'quaternion': [0.0, 0.0, 1.0]},
])
def test_bad_goal_is_refused(arguments: dict) -> None:
    with pytest.raises(ConfigurationError) as error:
        Goal(**arguments)
    assert error.value.allowed


def test_goal_that_the_robot_cannot_take_is_refused(arm: robots.Arm) -> None:
    Goal(joints_rad=arm.home_rad).check(arm)
    Goal(position_m=np.array([0.5, 0.0, 0.4])).check(arm)
    with pytest.raises(ConfigurationError, match='out of the reach'):
        Goal(position_m=np.array([1.5, 0.0, 0.4])).check(arm)
    with pytest.raises(ConfigurationError, match='panda_joint4'):
        Goal(joints_rad=np.zeros(7)).check(arm)
    with pytest.raises(ConfigurationError, match='6 joints, panda has 7'):
        Goal(joints_rad=np.zeros(6)).check(arm)


def test_joint_goal_is_reached_within_its_tolerance(arm: robots.Arm) -> None:
    goal = Goal(joints_rad=arm.home_rad)
    for offset, reached in ((0.019, True), (0.021, False)):
        state = at(arm.home_rad + np.array([0, 0, 0, 0, 0, 0, offset]))
        assert goal.reached(arm, state) is reached
    assert not goal.reached(arm, at(arm.home_rad, 0.021))
    assert goal.reached(arm, at(arm.home_rad, 0.021), check_speed=False)


def test_tool_goal_is_reached_within_its_tolerance(arm: robots.Arm) -> None:
    tool, rotation = arm.tool_pose(arm.home_rad)
    quaternion = Rotation.from_matrix(rotation).as_quat()
    for axis in np.eye(3):
        assert Goal(position_m=tool + 0.0099 * axis).reached(arm, at(arm.home_rad))
        assert not Goal(position_m=tool + 0.0101 * axis).reached(arm, at(arm.home_rad))
        for angle, reached in ((0.049, True), (0.051, False)):
            turn = Rotation.from_rotvec(angle * axis)
            turned = (turn * Rotation.from_quat(quaternion)).as_quat()
            for sign in (1.0, -1.0):
                goal = Goal(position_m=tool, quaternion=sign * turned)
                assert goal.reached(arm, at(arm.home_rad)) is reached
                assert goal.error(arm, arm.home_rad)[1] == pytest.approx(angle, abs=1e-6)
    assert not Goal(position_m=tool).reached(arm, at(arm.home_rad, 0.03))


def test_rotation_angle_from_zero_to_pi() -> None:
    for angle in (0.0, 1e-9, 1e-4, 1.0, 3.0, np.pi - 1e-4, np.pi):
        matrix = Rotation.from_rotvec(angle * np.array([0.6, 0.0, 0.8])).as_matrix()
        assert rotation_angle(matrix) == pytest.approx(angle, abs=1e-8)
