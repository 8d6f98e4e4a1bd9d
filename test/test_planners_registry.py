# SPDX-License-Identifier: Apache-2.0
"""Names, parameters, import rules."""

import dataclasses
import subprocess
import sys
import time

import numpy as np
import pytest

from diffusion_control import planners
from diffusion_control.errors import ConfigurationError
from diffusion_control.planners import fallback, registry
from diffusion_control.planners.parameters import describe, parameter, read_parameters
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.state import RobotState
from diffusion_control.trajectory.trajectory import Trajectory


@dataclasses.dataclass(frozen=True)
class Settings:
    """Two parameters."""

    count: int = parameter(3, 1, 9, 'a number')
    share: float = parameter(0.5, 0.0, 1.0, 'a share')


def test_available_lists_the_names_of_the_contract():
    assert {'training_free', 'straight_line', 'rrt_connect', 'random', 'multi_start'} <= set(
        planners.available())
    assert {'classical', 'retreat', 'hold', 'training_free'} <= set(fallback.available())


@pytest.mark.parametrize('make', [planners.make, fallback.make])
def test_unknown_name_lists_the_known_ones(make):
    with pytest.raises(ConfigurationError) as caught:
        make('no_such_planner', robot=None)
    assert 'training_free' in caught.value.allowed
    assert caught.value.value == 'no_such_planner'


@pytest.mark.parametrize('values', [
    {'count': 0}, {'count': 10}, {'count': 2.5}, {'count': True}, {'count': 'x'},
    {'share': 1.1}, {'share': float('nan')}, {'share': None}, {'other': 1}])
def test_bad_parameters_are_refused(values):
    with pytest.raises(ConfigurationError) as caught:
        read_parameters(Settings, 'some', values)
    assert next(iter(values)) in caught.value.where
    assert caught.value.allowed


def test_parameters_are_read_in_their_type():
    read = read_parameters(Settings, 'some', {'count': 4.0, 'share': 1})
    assert read == Settings(4, 1.0)
    assert isinstance(read.count, int) and isinstance(read.share, float)
    assert describe(Settings)['count'] == {
        'default': 3, 'low': 1, 'high': 9, 'text': 'a number'}


@pytest.mark.parametrize('name', ['training_free', 'diffuser', 'hybrid'])
def test_no_classical_search_behind_a_planner_that_diffuses(name):
    code = (
        f'import sys, diffusion_control.planners, diffusion_control.planners.{name}\n'
        'bad = [m for m in sys.modules if m.split(".")[0] in ("ompl", "toppra", "torch", "rclpy")'
        ' or "path_search" in m or "rrt_connect" in m or "fallback" in m]\n'
        'print(bad); sys.exit(bool(bad))')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_problem_begins_at_the_state_or_at_the_end_of_the_prefix():
    state = RobotState(np.ones(2), np.full(2, 0.1), 4.0)
    goal = Goal(joints_rad=np.zeros(2))
    start = PlanningProblem(state, goal).start
    assert start.stamp_s == 4.0 and not start.at_rest
    assert (start.acceleration == 0).all()
    assert PlanningProblem(state, goal, start_s=5.0).start.stamp_s == 5.0
    prefix = Trajectory(
        6.0, np.array([0.0, 0.5]), np.array([[0.0, 0.0], [0.3, 0.2]]), np.zeros((2, 2)),
        np.zeros((2, 2)), ('a', 'b'))
    start = PlanningProblem(state, goal, frozen_prefix=prefix).start
    assert start.stamp_s == 6.5 and start.at_rest
    np.testing.assert_array_equal(start.position, [0.3, 0.2])


def test_problem_refuses_what_is_not_finite():
    goal = Goal(joints_rad=np.zeros(2))
    with pytest.raises(ConfigurationError):
        PlanningProblem(RobotState(np.array([0.0, np.nan]), np.zeros(2)), goal)
    with pytest.raises(ConfigurationError):
        PlanningProblem(RobotState(np.zeros(2), np.zeros(2)), goal, horizon_s=0.0)


def test_a_planner_is_told_a_clock_if_it_takes_one(monkeypatch):
    told = {'clock': time.thread_time}
    assert registry.clocked('training_free', time.thread_time, 'arm') == told
    for name in ('astar', 'safediffuser_ros', 'hierarchical'):
        assert registry.clocked(name, time.thread_time, 'point_mass') == told, name
    monkeypatch.setattr(registry, 'planner_class', lambda *_: lambda robot, model, seed: None)
    assert registry.clocked('of_a_stranger', time.thread_time, 'arm') == {}
