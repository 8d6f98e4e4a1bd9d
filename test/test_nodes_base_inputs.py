# SPDX-License-Identifier: Apache-2.0
"""What the nodes of a base make of odometry, frames, map, scan, obstacles, goals and motions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from geometry_msgs.msg import PoseStamped, TransformStamped
from nav_msgs.msg import OccupancyGrid
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes import wire_multi_dof
from diffusion_control.nodes.base_wires import map_message, scan_message, transform_of
from diffusion_control.nodes.convert import obstacles_to_markers, to_time
from diffusion_control.nodes.robot_io import BaseIo
from diffusion_control.nodes.taps import Arrival
from diffusion_control.robots import load_base
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.planar import compose, quaternion_of
from diffusion_control.robots.scan import Scan
from diffusion_control.trajectory.trajectory import Trajectory

NOW = Arrival(0.0, 0, 0, 0)
START_S = 100.0
ALL = {f'{name}.required': True for name in ('obstacles', 'map', 'scan')}
NONE = dict.fromkeys(ALL, False)


@dataclass
class Wires:
    """In place of `Taps` and the node: topics that the test publishes on, a clock that it sets."""

    handlers: dict[str, list[tuple[Callable[..., None], bool]]] = field(default_factory=dict)
    now_s: float = START_S

    def subscribe(
        self, kind: Any, topic: str, handler: Callable[..., None], qos: Any, *, raw: bool = False
    ) -> None:
        self.handlers.setdefault(topic, []).append((handler, raw))

    def send(self, topic: str, message: Any) -> None:
        for handler, raw in self.handlers[topic]:
            data = message if isinstance(message, bytes) else bytes(serialize_message(message))
            handler(data if raw else message, NOW)

    def get_clock(self) -> Any:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=round(self.now_s * 1e9)))

    def get_logger(self) -> Any:
        return logging.getLogger('test')


@pytest.fixture(scope='module')
def robot() -> Base:
    return load_base('base')


def odometry(pose: Any, twist: Any = (0.0, 0.0, 0.0), stamp_s: float = START_S) -> Any:
    from nav_msgs.msg import Odometry
    message = Odometry(child_frame_id='base_link')
    message.header.frame_id, message.header.stamp = 'odom', to_time(stamp_s)
    place, turn = message.pose.pose.position, message.pose.pose.orientation
    place.x, place.y = float(pose[0]), float(pose[1])
    _, _, turn.z, turn.w = quaternion_of(pose[2]).tolist()
    linear = message.twist.twist.linear
    linear.x, linear.y = float(twist[0]), float(twist[1])
    message.twist.twist.angular.z = float(twist[2])
    return message


def localisation(pose: Any, parent: str = 'map') -> TransformStamped:
    message = TransformStamped(child_frame_id='odom', transform=transform_of(np.array(pose)))
    message.header.frame_id = parent
    return message


def goal(x: float, y: float, yaw: float | None, frame: str) -> PoseStamped:
    message = PoseStamped()
    message.header.frame_id = frame
    message.pose.position.x, message.pose.position.y = x, y
    turn = message.pose.orientation
    turn.z, turn.w = (0.0, 0.0) if yaw is None else tuple(quaternion_of(yaw)[2:].tolist())
    return message


def connected(robot: Base) -> tuple[Wires, BaseIo]:
    wires = Wires()
    io = BaseIo(wires, wires, robot, None)  # type: ignore[arg-type]
    return wires, io


def test_the_twist_of_an_odometry_is_the_body_s(robot: Base) -> None:
    wires, io = connected(robot)
    wires.send('odom', odometry((1.0, 2.0, np.pi / 2), (0.5, 0.1, 0.3)))
    state = io.states.box.look()
    assert state is not None
    np.testing.assert_allclose(state.position, [1.0, 2.0, np.pi / 2])
    np.testing.assert_allclose(state.velocity, [-0.1, 0.5, 0.3], atol=1e-12)


def test_yaw_goes_on_over_many_turns(robot: Base) -> None:
    wires, io = connected(robot)
    for step in range(60):
        wires.send('odom', odometry((0.0, 0.0, 0.5 * step), stamp_s=START_S + 0.01 * step))
    state = io.states.box.look()
    assert state is not None and state.position[2] == pytest.approx(29.5)


@pytest.mark.parametrize('change', ['frame', 'child', 'nan', 'turn', 'old'])
def test_an_odometry_that_is_none_is_refused(robot: Base, change: str) -> None:
    wires, io = connected(robot)
    wires.send('odom', odometry((1.0, 0.0, 0.0)))
    bad = odometry((2.0, 0.0, 0.0), stamp_s=START_S + 0.01)
    if change == 'frame':
        bad.header.frame_id = 'map'
    elif change == 'child':
        bad.child_frame_id = 'wheel'
    elif change == 'nan':
        bad.twist.twist.linear.x = float('nan')
    elif change == 'turn':
        bad.pose.pose.orientation.w = bad.pose.pose.orientation.z = 0.0
    else:
        bad.header.stamp = to_time(START_S - 0.5)
    wires.send('odom', bad)
    state = io.states.box.look()
    assert state is not None and state.position[0] == 1.0
    assert io.states.rejected == (0 if change == 'old' else 1)


def test_a_clock_that_went_back_begins_anew(robot: Base) -> None:
    wires, io = connected(robot)
    wires.send('odom', odometry((1.0, 0.0, 0.0)))
    wires.send('odom', odometry((2.0, 0.0, 0.0), stamp_s=1.0))
    state = io.states.box.look()
    assert state is not None and state.position[0] == 2.0


def test_the_map_lies_where_the_localisation_says(robot: Base) -> None:
    wires, io = connected(robot)
    world: Any = io.world({**NONE, 'map.required': True})
    cells = np.zeros((4, 6), dtype=np.int8)
    cells[1, 2] = 100
    known = OccupancyMap(0.5, np.array([-1.0, 0.0, 0.3]), cells)
    wires.send('map', map_message(known, 'map', START_S))
    world.map.wait()
    assert world.look() is None
    assert world.missing() == 'map_to_odom'
    odom_in_map = np.array([3.0, -1.0, 0.7])
    wires.send('map_to_odom', localisation(odom_in_map))
    first = world.look()
    assert first is not None and first.map is not None
    np.testing.assert_allclose(compose(odom_in_map, first.map.origin), known.origin, atol=1e-9)
    again = world.look()
    assert again is not None and again.map is first.map, 'nothing has moved'
    wires.send('map_to_odom', localisation((3.0, -1.1, 0.7)))
    wires.send('map', map_message(known, 'map', START_S + 1.0))
    world.map.wait()
    moved = world.look()
    assert moved is not None and moved.map is not None
    assert moved.map is not first.map
    assert moved.map.cells is first.map.cells, 'the distance field is computed once'


@pytest.mark.parametrize('frame', ['base_link', 'kitchen'])
def test_a_map_in_a_strange_frame_is_refused(robot: Base, frame: str) -> None:
    wires, io = connected(robot)
    world: Any = io.world(NONE)
    grid = OccupancyGrid(data=[0])
    grid.info.width = grid.info.height = 1
    grid.info.resolution, grid.info.origin.orientation.w = 0.1, 1.0
    grid.header.frame_id = frame
    wires.send('map', grid)
    assert (world.map.received, world.map.rejected > 0) == (False, True)
    assert frame in world.map.last_error


def test_a_scan_is_placed_where_the_robot_was_then(robot: Base) -> None:
    """At 1.8 rad/s a tenth of a second is a third of a metre two metres away."""
    wires, io = connected(robot)
    world = io.world(NONE)
    for step in range(11):
        time_s = START_S + 0.01 * step
        wires.send('odom', odometry((0.0, 0.0, 1.8 * (time_s - START_S)), stamp_s=time_s))
    wires.now_s = START_S + 0.1
    ranges = np.full(8, np.inf)
    ranges[2] = 2.0
    scan = Scan(START_S + 0.035, 0.0, np.pi / 4, ranges, 0.05, 8.0)
    wires.send('scan', scan_message(scan, robot))
    seen = world.look()
    assert seen is not None and seen.scan is not None
    yaw = 1.8 * 0.035 + np.pi / 2
    np.testing.assert_allclose(
        seen.scan.points(), [[2.0 * np.cos(yaw), 2.0 * np.sin(yaw)]], atol=1e-6)


def test_a_scan_of_an_unknown_place_or_time_is_refused(robot: Base) -> None:
    wires, io = connected(robot)
    world: Any = io.world(NONE)
    scan = Scan(START_S, 0.0, 0.1, np.ones(4), 0.05, 8.0)
    wires.send('scan', scan_message(scan, robot))
    assert world.scan.last_error == 'no odometry of the time of the scan'
    wires.send('odom', odometry((0.0, 0.0, 0.0)))
    message = scan_message(scan, robot)
    message.header.frame_id = 'turret'
    wires.send('scan', message)
    assert 'turret' in world.scan.last_error
    turret, tower = localisation((0.0, 0.2, 0.0), 'tower'), localisation((1.0, 0.0, np.pi / 2))
    turret.child_frame_id, tower.child_frame_id, tower.header.frame_id = (
        'turret', 'tower', 'base_link')
    io.frames.take((turret, tower), static=True)
    wires.send('scan', message)
    seen = world.scan.box.look()
    np.testing.assert_allclose(seen.pose, [0.8, 0.0, np.pi / 2], atol=1e-12)


def test_obstacles_are_seen_in_any_known_frame(robot: Base) -> None:
    wires, io = connected(robot)
    world = io.world({**NONE, 'obstacles.required': True})
    wires.send('map_to_odom', localisation((1.0, 0.0, np.pi / 2)))
    wires.send('odom', odometry((2.0, 1.0, np.pi)))
    box = Obstacle('box', (0.2, 0.4, 0.6), np.array([1.0, 3.0, 0.3]))
    for frame, place in (('odom', [1.0, 3.0]), ('map', [3.0, 0.0]), ('base_link', [1.0, -2.0])):
        wires.send('obstacles', obstacles_to_markers((box,), frame, START_S))
        seen = world.look()
        assert seen is not None
        np.testing.assert_allclose(seen.obstacles[0].position_m, [*place, 0.3], atol=1e-12)
    assert world.obstacles.rejected == 0
    wires.send('obstacles', obstacles_to_markers((box,), 'kitchen', START_S))
    assert world.obstacles.rejected == 1
    assert 'kitchen' in world.obstacles.last_error


def test_a_jump_of_the_map_moves_no_obstacle(robot: Base) -> None:
    """What stands in `map` keeps standing, and what moves there keeps its speed."""
    wires, io = connected(robot)
    world = io.world({**NONE, 'obstacles.required': True})
    for step in range(200):
        time_s = START_S + 0.04 * step
        wires.now_s = time_s
        wires.send('map_to_odom', localisation((0.03 * (step // 20), 0.0, np.pi / 2)))
        wires.send('obstacles', obstacles_to_markers((
            Obstacle('sphere', (0.1,), np.array([1.0, 1.0, 0.2])),
            Obstacle('sphere', (0.1,), np.array([0.0, 0.2 * (time_s - START_S), 0.2]))),
            'map', time_s))
        seen = world.look()
        assert seen is not None
        standing, mover = seen.obstacles
        assert not standing.velocity_m_s.any()
        if step > 10:
            np.testing.assert_allclose(mover.velocity_m_s, [0.2, 0.0, 0.0], atol=1e-6)
    assert not standing.may_move


def test_goals_in_map_follow_its_jumps_by_centimetres(robot: Base) -> None:
    wires, io = connected(robot)
    goals = io.goals()
    wires.send('goal_pose', goal(2.0, 1.0, np.pi / 2, 'map'))
    assert goals.look() is None, 'nobody knows where map lies'
    wires.send('map_to_odom', localisation((1.0, 0.0, 0.0)))
    first = goals.look()
    assert first is not None and first.position_m is not None
    np.testing.assert_allclose(first.position_m, [1.0, 1.0, 0.0], atol=1e-12)
    assert goals.look() is first
    wires.send('map_to_odom', localisation((1.005, 0.0, 0.0)))
    wires.send('goal_pose', goal(2.0, 1.0, np.pi / 2, 'map'))
    assert goals.look() is first, 'half a centimetre, and the same goal again'
    wires.send('map_to_odom', localisation((1.02, 0.0, 0.0)))
    moved = goals.look()
    assert moved is not first and moved is not None and moved.position_m is not None
    np.testing.assert_allclose(moved.position_m, [0.98, 1.0, 0.0], atol=1e-12)


def test_goals_of_other_forms(robot: Base) -> None:
    wires, io = connected(robot)
    goals = io.goals()
    wires.send('goal_pose', goal(2.0, 1.0, None, 'odom'))
    free = goals.look()
    assert free is not None and free.quaternion is None
    wires.send('odom', odometry((1.0, 1.0, np.pi / 2)))
    wires.send('goal_pose', goal(1.0, 0.0, 0.0, 'base_link'))
    ahead = goals.look()
    assert ahead is not None and ahead.position_m is not None and ahead.quaternion is not None
    np.testing.assert_allclose(ahead.position_m, [1.0, 2.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(ahead.quaternion, quaternion_of(np.pi / 2), atol=1e-12)
    wires.send('goal_joints', JointState(name=['yaw', 'x', 'y'], position=[0.5, 3.0, 4.0]))
    named = goals.look()
    assert named is not None and named.position_m is not None
    np.testing.assert_allclose(named.position_m, [3.0, 4.0, 0.0])
    for bad in (goal(1.0, 0.0, 0.0, 'kitchen'), goal(float('nan'), 0.0, 0.0, 'odom')):
        wires.send('goal_pose', bad)
        assert goals.look() is named
    wires.send('goal_joints', JointState(name=['x', 'y'], position=[1.0, 2.0]))
    assert goals.look() is named
    assert goals.rejected == 3


def turning(first_yaw: float) -> Trajectory:
    times = np.array([0.0, 0.5, 1.0])
    position = np.stack([times, 0 * times, first_yaw + times], axis=1)
    velocity = np.tile([1.0, 0.0, 1.0], (3, 1))
    return Trajectory(
        START_S, times, position, velocity, 0 * velocity, ('x', 'y', 'yaw'), 'odom')


def test_motions_arrive_on_the_turn_that_the_robot_is_on(robot: Base) -> None:
    wires, io = connected(robot)
    for step in range(50):
        wires.send('odom', odometry((0.0, 0.0, 0.5 * step), stamp_s=START_S + 0.01 * step))
    here = 24.5
    for turns in (0, 1, -3):
        data = io.motions.encode(turning(here + 0.3 + 2 * np.pi * turns))
        read = io.motions.read(data, START_S, 'test')
        np.testing.assert_allclose(read.position[:, 2], here + 0.3 + read.times_s, atol=1e-9)
        assert (read.frame_id, read.names) == ('odom', ('x', 'y', 'yaw'))
        plan = io.motions.read_plan(data, START_S)
        assert plan is not None
        np.testing.assert_allclose(plan.position, read.position)


def test_motions_that_are_none_are_refused(robot: Base) -> None:
    _, io = connected(robot)
    from dataclasses import replace

    from rclpy.serialization import deserialize_message
    good = turning(0.0)
    elsewhere = wire_multi_dof.encode(replace(good, frame_id='map'))
    named = deserialize_message(wire_multi_dof.encode(good), io.motions.message)
    named.joint_names = ['arm']
    bare = deserialize_message(wire_multi_dof.encode(good), io.motions.message)
    bare.points[1].velocities = []
    cases = {
        'map': elsewhere, 'arm': bytes(serialize_message(named)),
        'velocity': bytes(serialize_message(bare)), 'large': b'\x00' * 70_000,
        'decoded': b'\x00\x01\x00\x00', 'NaN': io.motions.spoil(wire_multi_dof.encode(good))}
    for text, data in cases.items():
        with pytest.raises(ConfigurationError):
            io.motions.read(data, START_S, 'test')
        plan = io.motions.read_plan(data, START_S)
        if text == 'arm':
            assert plan is not None and tuple(plan.names) == ('arm',), 'admission refuses it'
        elif text == 'NaN':
            assert plan is not None and not np.isfinite(plan.position).all()
        else:
            assert plan is None, text


def test_what_is_required_is_waited_for_and_ages(robot: Base) -> None:
    wires, io = connected(robot)
    world = io.world(ALL)
    assert world.missing() == 'obstacles, map, scan'
    ages = world.ages(0.0)
    assert ages.map_s == float('inf')
    free = connected(robot)[1].world(NONE)
    seen = free.look()
    assert seen is not None and seen.obstacles == ()
    assert free.ages(0.0) == type(ages)(None, None, None)
