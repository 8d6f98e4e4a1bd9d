# SPDX-License-Identifier: Apache-2.0
"""What a simulated base publishes is what the nodes of a base read, and the twists they send."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from rclpy.serialization import deserialize_message, serialize_message
from test_nodes_base_inputs import NONE, NOW, START_S, Wires, connected

from diffusion_control.nodes.base_wires import BaseWires, stamped_twist_of, twist_of
from diffusion_control.nodes.goal_sequence import pose_of
from diffusion_control.nodes.outputs import MESSAGE_TYPES, sample_message
from diffusion_control.robots import load_arm, load_base
from diffusion_control.robots.base import Base
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.planar import quaternion_of
from diffusion_control.robots.scan import Scan
from diffusion_control.robots.state import RobotState
from diffusion_control.safety.outputs import CommandSample

SETTINGS = {'command_type': '', 'scan_rate_hz': 10.0, 'map_to_odom_rate_hz': 5.0}


@pytest.fixture(scope='module')
def robot() -> Base:
    return load_base('base')


class Driver(Wires):
    """A simulator whose publishers lead to the inputs of a node."""

    def create_publisher(self, kind: Any, topic: str, qos: Any) -> Any:
        def publish(message: Any) -> None:
            self.counts[topic] = self.counts.get(topic, 0) + 1
            if topic in self.reader.handlers:
                self.reader.send(topic, message)
        self.counts: dict[str, int] = {}
        return SimpleNamespace(publish=publish)


class World:
    """In place of a simulation: a map, a laser and a localisation."""

    def __init__(self) -> None:
        self.time_s = START_S
        cells = np.zeros((3, 4), dtype=np.int8)
        cells[0, 0] = 100
        self.map = OccupancyMap(0.5, np.array([-1.0, 2.0, 0.0]), cells)

    def scan(self) -> Scan:
        return Scan(self.time_s, -np.pi, np.pi / 4, np.full(8, 1.5), 0.05, 8.0)

    def map_to_odom(self) -> np.ndarray:
        return np.array([1.0, 0.5, 0.25])


def test_what_goes_out_comes_in(robot: Base) -> None:
    reader, io = connected(robot)
    world: Any = io.world({**NONE, 'map.required': True, 'scan.required': True})
    driver = Driver()
    driver.reader = reader  # type: ignore[attr-defined]
    wires = BaseWires(driver, robot, SETTINGS)  # type: ignore[arg-type]
    state = RobotState(np.array([1.0, -2.0, 9.5]), np.array([0.3, -0.1, 0.7]), START_S)
    wires.publish_state(state)
    read = io.states.box.look()
    assert read is not None and read.stamp_s == pytest.approx(START_S)
    assert np.mod(read.position[2] - 9.5 + 1.0, 2 * np.pi) == pytest.approx(1.0)
    np.testing.assert_allclose(read.position[:2], state.position[:2])
    np.testing.assert_allclose(read.velocity, state.velocity, atol=1e-12)
    simulation = World()
    wires.publish_sensors(simulation, 0)
    world.map.wait()
    seen = world.look()
    assert seen is not None and seen.map is not None and seen.scan is not None
    assert np.array_equal(seen.map.cells, simulation.map.cells)
    np.testing.assert_allclose(seen.scan.pose, read.position, atol=1e-9)
    np.testing.assert_allclose(seen.scan.ranges_m, 1.5)


def test_sensors_keep_their_rates(robot: Base) -> None:
    reader, io = connected(robot)
    driver = Driver()
    driver.reader = reader  # type: ignore[attr-defined]
    wires = BaseWires(driver, robot, SETTINGS)  # type: ignore[arg-type]
    simulation = World()
    for _ in range(400):
        simulation.time_s += 0.005
        wires.publish_sensors(simulation, 0)
    assert driver.counts['map'] == 1
    assert driver.counts['scan'] in (20, 21)
    assert driver.counts['map_to_odom'] in (10, 11)


@pytest.mark.parametrize(('kind', 'read'), [
    ('twist_stamped', stamped_twist_of), ('twist', twist_of)])
def test_twists(robot: Base, kind: str, read: Any) -> None:
    sample = CommandSample(np.zeros(3), np.array([0.4, 0.0, -0.8]))
    message = sample_message(kind, sample, robot, 12.5)
    data = bytes(serialize_message(message))
    wired = deserialize_message(data, MESSAGE_TYPES[kind])
    received = read(data)
    np.testing.assert_allclose(received.twist, sample.velocity)
    assert received.stamp_s == (12.5 if kind == 'twist_stamped' else 0.0)
    if kind == 'twist_stamped':
        assert wired.header.frame_id == 'base_link'


def test_goals_travel_as_poses(robot: Base) -> None:
    arm = load_arm('panda')
    place = np.array([1.0, 2.0, 0.0])
    free, named = Goal(position_m=place), Goal(joints_rad=np.array([1.0, 2.0, 0.5]))
    assert pose_of(free, robot) == ([1.0, 2.0, 0.0], (0.0, 0.0, 0.0, 0.0))
    assert pose_of(free, arm) == ([1.0, 2.0, 0.0], (0.0, 0.0, 0.0, 1.0))
    assert pose_of(named, robot) == ((1.0, 2.0, 0.0), quaternion_of(0.5).tolist())
    assert NOW.age_s == 0.0


def test_the_judge_follows_turns_from_motion_to_motion() -> None:
    from diffusion_control.evaluation.base.turns import in_one_turn
    from diffusion_control.evaluation.commands import Command
    times, ahead = np.array([0.0, 1.0]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    yaws = (2.5, 3.1, -2.9, -2.2)
    commands = [Command(k, k, times, ahead + [0.0, 0.0, yaw]) for k, yaw in enumerate(yaws)]
    first = [command.position[0, 2] for command in in_one_turn(commands)]
    np.testing.assert_allclose(first, [2.5, 3.1, 2 * np.pi - 2.9, 2 * np.pi - 2.2])
