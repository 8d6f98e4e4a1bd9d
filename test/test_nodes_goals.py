# SPDX-License-Identifier: Apache-2.0
"""Without a planner: the tracker holds, or goes to goals by itself; safety commands the robot."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from std_msgs.msg import String

from diffusion_control import simulation
from diffusion_control.demo.processes import ProcessGroup, node_environment
from diffusion_control.middleware import local_environment
from diffusion_control.nodes.demo_monitor import DemoMonitor
from diffusion_control.nodes.goal_target import GoalTarget
from diffusion_control.nodes.qos import STANDARD
from diffusion_control.robots import load_arm, load_base
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.planar import quaternion_of
from diffusion_control.simulation.scene import Scene
from diffusion_control.trajectory.trajectory import Trajectory

PATIENCE_S = 60.0
ASIDE = np.array([1.2, 0, 0, 0, 0, 0, 0.0])


class Given:
    """Goals that the test sets."""

    rejected = 0
    goal: Goal | None = None

    def look(self) -> Goal | None:
        return self.goal


def found(target: GoalTarget, position: Any, obstacles: Any = ()) -> Any:
    """Return the target once the thread that looks for it is done."""
    target.look(position, obstacles)
    target._thread.ident and target._thread.join()
    return target.look(position, obstacles)


def test_a_pose_of_the_tool_becomes_the_nearest_free_configuration() -> None:
    robot, goals, said = load_arm('panda'), Given(), []
    target = GoalTarget(goals, robot, said.append)
    assert target.look(robot.home_rad, ()) is None, 'no goal'
    place, rotation = robot.tool_pose(robot.home_rad + 0.1)
    goals.goal = Goal(position_m=place)
    reached = found(target, robot.home_rad)
    np.testing.assert_allclose(robot.tool_pose(reached)[0], place, atol=1e-3)
    goals.goal = Goal(position_m=place.copy())
    assert target.look(robot.home_rad, ()) is reached, 'the same goal again is not solved again'
    goals.goal = Goal(joints_rad=robot.home_rad + ASIDE)
    np.testing.assert_array_equal(target.look(robot.home_rad, ()), goals.goal.joints_rad)
    goals.goal = Goal(position_m=place + np.array([0, 0, 0.05]))
    inside = Obstacle('sphere', (0.2,), goals.goal.position_m, key='in the way')
    assert found(target, robot.home_rad, (inside,)) is None
    assert 'in collision' in said[0]
    goals.goal = Goal(position_m=goals.goal.position_m)
    assert found(target, robot.home_rad) is not None, 'sent again, and nothing is in the way now'


def test_a_goal_of_a_base_may_leave_its_yaw_free() -> None:
    goals, robot = Given(), load_base('base')
    target = GoalTarget(goals, robot, print)
    goals.goal = Goal(position_m=np.array([1.0, 2.0, 0.0]))
    np.testing.assert_array_equal(target.look(np.zeros(3), ()), [1.0, 2.0, np.nan])
    goals.goal = Goal(position_m=np.array([1.0, 2.0, 0.0]), quaternion=quaternion_of(0.5))
    np.testing.assert_allclose(target.look(np.zeros(3), ()), [1.0, 2.0, 0.5])


@contextmanager
def nodes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, domain_id: int, robot: Any, scene: Scene, *,
    follow_goals: bool, also: tuple[str, ...] = (),
) -> Iterator[DemoMonitor]:
    """Run simulator, safety and tracker, and others; the simulator sets the goals in turn."""
    for name, value in local_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain_id))
    simulation.dump_scenes([scene], folder / 'scene.yaml')
    values = {
        'tracker': {'follow_goals': follow_goals}, 'safety': {},
        'simulator': {'scene': str(folder / 'scene.yaml'), 'out': str(folder)},
        **{name: {} for name in also}}
    for name in ('tracker', 'safety', *also):
        values[name] |= {f'{need}.required': False for need in ('map', 'scan')}
    (folder / 'params.yaml').write_text(yaml.safe_dump({
        name: {'ros__parameters': {'robot': robot.name, **own}} for name, own in values.items()}))
    processes = ProcessGroup(lambda name, line: print(name, line), node_environment(domain_id))
    monitor = DemoMonitor(robot, relay=False, use_sim_time=False)
    try:
        for name in values:
            processes.start_node(name, params_file=str(folder / 'params.yaml'))
        yield monitor
        assert not processes.deaths()
    finally:
        processes.stop(['safety', 'tracker', *also])
        processes.stop(['simulator'], grace_s=30.0)
        monitor.close()


def wait(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    """Tell whether something came true in time."""
    end = time.monotonic() + patience_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def reached(monitor: DemoMonitor) -> int:
    """Return how many goals the simulated robot has reached."""
    return int(monitor.seen.simulator.get('goals', {}).get('reached', 0))


@pytest.mark.process
def test_an_arm_goes_to_goals_alone_and_safety_stops_it_before_an_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot = load_arm('panda')
    home = np.asarray(robot.home_rad)
    place, _ = robot.tool_pose(home - 0.3 * ASIDE)
    between = robot.tool_pose(home + 0.6 * ASIDE)[0]
    scene = Scene(
        0, (Obstacle('sphere', (0.08,), between, key='post'),), home,
        (Goal(position_m=place), Goal(joints_rad=home + ASIDE)))
    with nodes(tmp_path, monkeypatch, 95, robot, scene, follow_goals=True) as monitor:
        assert wait(lambda: reached(monitor) == 1), 'the first goal is free'
        assert wait(lambda: stands_before(monitor, home)), 'the second lies behind the post'
        assert monitor.state in ('NOMINAL', 'HOLD')
        assert not monitor.seen.plans and not monitor.seen.errors
    truth = np.load(tmp_path / 'truth.npz')
    assert 0.0 < truth['distance_min_m'].min() < 0.1, 'it came near, and touched nothing'
    assert not truth['contacts'].any()


def stands_before(monitor: DemoMonitor, home: Any) -> bool:
    state = monitor.robot_state
    return state is not None and state.position[0] > home[0] + 0.1 and bool(
        np.abs(state.velocity).max() < 0.005)


@pytest.mark.process
def test_a_base_goes_to_goals_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    robot = load_base('base')
    scene = Scene(0, (), np.zeros(3), (
        Goal(position_m=np.array([0.6, 0.4, 0.0])),
        Goal(position_m=np.array([0.2, 0.5, 0.0]), quaternion=quaternion_of(2.0))))
    with nodes(tmp_path, monkeypatch, 96, robot, scene, follow_goals=True) as monitor:
        assert wait(lambda: reached(monitor) >= 2)
        assert not monitor.seen.plans


@pytest.mark.process
def test_a_planner_that_hangs_in_its_first_plan_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it says that it waits nothing is amiss; silent, it owes a plan like any other."""
    robot = load_base('base')
    scene = Scene(0, (), np.zeros(3), (Goal(position_m=np.array([0.6, 0.4, 0.0])),))
    with nodes(tmp_path, monkeypatch, 97, robot, scene, follow_goals=False,
               also=('fallback',)) as monitor:
        report = monitor.node.create_publisher(String, 'planner/report', STANDARD)
        assert wait(lambda: monitor.state == 'NOMINAL')
        for _ in range(10):
            report.publish(String(data='{"plan_stamp": null, "reason": "waiting for odom"}'))
            assert not wait(lambda: monitor.state != 'NOMINAL', 0.2)
        assert wait(lambda: monitor.state == 'FALLBACK'), 'it has fallen silent'
        assert wait(lambda: reached(monitor) >= 1), 'the fallback goes on'


@pytest.mark.process
def test_without_plans_and_the_parameter_the_robot_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot = load_arm('panda')
    home = np.asarray(robot.home_rad)
    scene = Scene(0, (), home, (Goal(joints_rad=home + ASIDE),))
    with nodes(tmp_path, monkeypatch, 94, robot, scene, follow_goals=False) as monitor:
        assert wait(lambda: monitor.state == 'NOMINAL')
        assert not wait(monitor.moving, 3.0)
        state = monitor.robot_state
        assert state is not None and np.abs(state.position - home).max() < 5e-3
        assert isinstance(monitor.motion, Trajectory), 'the tracker keeps saying where it stands'
