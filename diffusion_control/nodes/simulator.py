# SPDX-License-Identifier: Apache-2.0
"""The simulator node: a robot with its own numbers, the receiver of commands, goals, the truth."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from diffusion_control import simulation
from diffusion_control.evaluation.demo_scene import demo_scene
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.nodes.arm_wires import ArmWires
from diffusion_control.nodes.base_wires import BaseWires
from diffusion_control.nodes.control_node import (
    ControlNode,
    leave,
    loop_values,
    publish_json,
    run,
)
from diffusion_control.nodes.convert import obstacles_to_markers, to_time
from diffusion_control.nodes.goal_sequence import GoalSequence
from diffusion_control.nodes.qos import LATCHED, STANDARD
from diffusion_control.nodes.robot_input import load_robot
from diffusion_control.nodes.taps import Arrival
from diffusion_control.nodes.wire_states import MovedMarkers
from diffusion_control.parameters.simulator import BASE_PLANT
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.planar import compose
from diffusion_control.simulation.base.simulation import BaseSimulation
from diffusion_control.simulation.receivers.messages import Message

WAKE_S = 0.005
MAX_TICKS = 50
SPARE_RADIUS_M = 0.06
REPORT_S = 0.2
GOALS = 12


class SimulatorNode(ControlNode):
    """Advance the simulation with the clock and publish what a robot would."""

    def __init__(self) -> None:
        """Declare parameters and publishers."""
        super().__init__('simulator')
        self._obstacles = self.create_publisher(MarkerArray, 'obstacles', STANDARD)
        self._report = self.create_publisher(String, 'simulator/report', STANDARD)
        self._events: list[dict[str, Any]] = []
        self._silent_until: dict[str, float] = {}
        self._ends: list[tuple[float, str]] = []
        self._received = self._ticks = 0
        self._activated = False
        self._waiting: deque[tuple[float, Message]] = deque()

    def configure(self) -> None:
        """Load robot, scene and plant, build the physics."""
        settings = self.settings
        self.robot = cast(Any, load_robot(self, settings))
        self._wires = wires(self, self.robot, settings)
        scene = scene_of(self.robot, settings)
        scene.check(self.robot, settings['scene'] or 'scene')
        spare = Obstacle('sphere', (SPARE_RADIUS_M,), np.array([0.0, 0.0, -50.0]), key='spare')
        self.simulation = simulation.make(
            self.robot, scene=scene, plant=plant_of(settings, self.robot.dof),
            seed=settings['seed'], profile=settings['profile'] or self._wires.profile,
            spare=(spare,), record=Path(settings['out']) if settings['out'] else False)
        self._spare_index = len(scene.obstacles)
        self._markers = MovedMarkers(MarkerArray())
        self._marked: tuple[int, ...] = ()
        self._wake_s = WAKE_S if self._wires.kind == 'joint_trajectory' else WAKE_S / 2
        topic = settings['command_topic'] or self.robot.controller.command_topic
        self._taps = self.make_taps()
        self._wires.subscribe(self._taps, topic, self._hand_over)
        self._taps.subscribe(String, 'simulator/fault', self._on_fault, STANDARD)
        self._taps.subscribe(String, 'safety/state', self._on_state, LATCHED)
        self._goals = GoalSequence(self, self.robot, scene.goals, self._wires.frame)
        self._clock_out = (
            self.create_publisher(Clock, '/clock', STANDARD)
            if settings['publish_clock'] else None)

    def activate(self) -> None:
        """Let time run."""
        self._anchor_steady, self._anchor_s = time.monotonic(), time.time()
        self.simulation.reset(time_s=self._anchor_s, obstacles_move=False)
        self._loop = self.make_loop(self._wake_s, self._tick, self._on_error)
        self._loop.start()

    def deactivate(self) -> None:
        """Stop time and write the ground truth."""
        self._loop.stop()
        self._publish_report()
        self.simulation.close()

    def diagnose(self) -> tuple[int, str, dict[str, object]]:
        """Report the loop and how far the simulation is."""
        if not self.active:
            return 0, 'inactive', {}
        return 0, 'running', {
            **loop_values(self._loop.statistics()), 'time_s': self.simulation.time_s,
            'commands': self._received, **self.simulation.receiver.counters}

    def _on_error(self, error: Exception) -> None:
        self.report_error(error)

    def _tick(self) -> None:
        now_steady = time.monotonic()
        self._end_faults(now_steady)
        before_s = self.simulation.time_s
        self._taps.poll()
        target = self._advance(now_steady)
        if self.simulation.paused:
            self._anchor_steady, self._anchor_s = now_steady, self.simulation.time_s
            return
        if target - self.simulation.time_s > 0.1:
            self._anchor_steady, self._anchor_s = now_steady, self.simulation.time_s
        ran = self.simulation.time_s > before_s
        state = self.simulation.measure()
        if not ran:
            return
        self._ticks += 1
        if self._clock_out is not None:
            self._clock_out.publish(Clock(clock=to_time(self.simulation.time_s)))
        if self._ticks % self._every('joint_states_rate_hz') == 0 and not self._silent(
                'joint_states_stop', now_steady):
            self._wires.publish_state(state)
        if self._ticks % self._every('obstacles_rate_hz') == 0 and not self._silent(
                'obstacles_stop', now_steady):
            self._publish_obstacles()
        self._wires.publish_sensors(self.simulation, self._ticks)
        self._goals.update(
            self.simulation.true_state(), self.simulation.time_s, self._events)
        if self._ticks % round(REPORT_S / self._wake_s) == 0:
            self._publish_report()

    def _advance(self, now_steady: float) -> float:
        """Advance to now, each command given to the receiver when it arrived, however late we are.

        Returns:
            The simulated time that belongs to now [s].
        """
        while self._waiting:
            arrived, message = self._waiting.popleft()
            self._advance_to(arrived)
            self.simulation.receive(message)
        return self._advance_to(now_steady)

    def _advance_to(self, steady_s: float) -> float:
        """Advance to an instant of the steady clock [s]; return its simulated time [s]."""
        factor = self.settings['real_time_factor']
        target = self._anchor_s + factor * (steady_s - self._anchor_steady)
        self.simulation.advance_to(target, max_ticks=MAX_TICKS)
        return target

    def _publish_obstacles(self) -> None:
        """Publish the full set; the messages are kept and only moved while the set is the same."""
        places, now_s = self.simulation.obstacle_places(), self.simulation.time_s
        if tuple(places) != self._marked:
            self._marked = tuple(places)
            self._markers = MovedMarkers(obstacles_to_markers(
                self.simulation.obstacles_now(), self._wires.frame, now_s))
        self._obstacles.publish(self._markers.at(places.values(), now_s))

    def _every(self, name: str) -> int:
        return max(1, round(1.0 / (self.settings[name] * self._wake_s)))

    def _silent(self, fault: str, now_steady: float) -> bool:
        return now_steady < self._silent_until.get(fault, 0.0)

    def _publish_report(self) -> None:
        events, self._events = self._events, []
        publish_json(self._report, {
            'time_s': self.simulation.time_s, 'goals': self._goals.summary(), 'events': events,
            'distance_min_m': self.simulation.distance_m,
            'contacts': dict(self.simulation.contact_totals),
            'plant': self.simulation.plant.summary(),
            'commands': dict(self.simulation.receiver.counters)})

    def _hand_over(self, message: Message, arrival: Arrival) -> None:
        """Keep a command with the time it arrived, which is when the receiver gets it."""
        self._received += 1
        self._waiting.append((time.monotonic() - arrival.age_s, message))
        if not self._activated:
            self._activated = True
            self.simulation.activate_obstacles()

    def _on_state(self, message: String, arrival: Arrival) -> None:
        self._goals.safety_state(message.data)

    def _on_fault(self, message: String, arrival: Arrival) -> None:
        fault = json.loads(message.data)
        name, duration = fault['name'], float(fault.get('duration_s') or 0.0)
        end = time.monotonic() + duration
        if name == 'robot_frozen':
            self.simulation.freeze(duration)
        elif name == 'clock_pause':
            self.simulation.paused = True
            self._ends.append((end, name))
        elif name == 'obstacle_jump':
            self.simulation.place_obstacle(
                self._spare_index, self._in_world(fault['position_m'], fault.get('frame', '')))
            self._ends.append((end, name))
        elif name in ('joint_states_stop', 'obstacles_stop'):
            self._silent_until[name] = end
        else:
            self.warn_once(f'unknown fault {name}')
            return
        self._events.append({'event': 'fault', 'name': name, 'time_s': self.simulation.time_s})

    def _in_world(self, position_m: list[float], frame: str) -> np.ndarray[Any, Any]:
        """Return a position [3] in the simulator's world; that of a base may be in `odom`."""
        x, y, z = (float(value) for value in position_m)
        if isinstance(self.simulation, BaseSimulation) and frame == self.robot.base_frame:
            x, y, _ = compose(self.simulation.map_to_odom(), np.array([x, y, 0.0])).tolist()
        return np.array([x, y, z])

    def _end_faults(self, now_steady: float) -> None:
        for end, name in [item for item in self._ends if item[0] <= now_steady]:
            self._ends.remove((end, name))
            if name == 'clock_pause':
                self.simulation.paused = False
                self._anchor_steady, self._anchor_s = now_steady, self.simulation.time_s
            else:
                self.simulation.restore_obstacle(self._spare_index)


def wires(node: ControlNode, robot: Arm | Base, settings: dict[str, Any]) -> ArmWires | BaseWires:
    """Return what the robot publishes and takes."""
    if isinstance(robot, Base):
        return BaseWires(node, robot, settings)
    return ArmWires(node, robot, settings)


def scene_of(robot: Arm | Base, settings: dict[str, Any]) -> simulation.Scene:
    """Return the scene of a file, or one of the seed; of a base with the walls of a layout."""
    if not isinstance(robot, Base):
        if settings['scene']:
            return simulation.load_scene(settings['scene'])
        return drawn_scene(robot, settings['seed'], settings['tier'])
    from diffusion_control.evaluation.base.chosen_world import chosen_world
    return chosen_world(
        robot, scene=settings['scene'], layout=settings['layout'], seed=settings['seed'],
        tier=settings['tier'])


def drawn_scene(robot: Arm, seed: int, tier: str) -> simulation.Scene:
    """Return the demo's scene of a seed, or one of a tier with several goals."""
    if tier == 'demo':
        return demo_scene(robot, seed)
    return generate_scene(robot, seed, tier, goals=GOALS)


def plant_of(settings: dict[str, Any], links: int) -> simulation.Plant:
    """Return the plant of the preset, with the values that are given (not negative) put in."""
    plant = simulation.Plant.make(settings['plant.preset'], seed=settings['seed'], links=links)
    given: dict[str, Any] = {}
    for name in ('delay_s', 'payload_kg', 'noise_rad', 'drop_rate'):
        if settings[f'plant.{name}'] >= 0.0:
            given[name] = settings[f'plant.{name}']
    for name in ('mass_scale', 'friction_scale'):
        values = settings[f'plant.{name}']
        if min(values) >= 0.0:
            given[name] = values[0] if len(values) == 1 else tuple(values)
    base = {name: settings[f'plant.{name}'] for name in BASE_PLANT
            if settings[f'plant.{name}'] >= 0.0}
    return dataclasses.replace(plant, **given, base=dataclasses.replace(plant.base, **base))


def main(args: Sequence[str] | None = None) -> int:
    """Run the simulator node."""
    return run('simulator', SimulatorNode, args)


if __name__ == '__main__':
    leave(main())
