# SPDX-License-Identifier: Apache-2.0
"""The demo's eyes and hands on the graph: what it watches, and the faults it sends as messages."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Bool, String

from diffusion_control.nodes.convert import from_time
from diffusion_control.nodes.loop import PeriodicLoop
from diffusion_control.nodes.motion_input import MotionInput
from diffusion_control.nodes.qos import LATCHED, NEWEST, SENSOR, STANDARD
from diffusion_control.nodes.robot_io import robot_io
from diffusion_control.nodes.taps import Arrival, Taps
from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.state import RobotState
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
MOVING_RAD_S = 0.05
POLL_S = 0.01


class Rates:
    """Rates of topics over the last second, from the arrival of their messages."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._arrivals: dict[str, deque[float]] = {}

    def count(self, name: str, number: int = 1) -> None:
        """Take `number` messages that arrived now."""
        arrivals = self._arrivals.setdefault(name, deque(maxlen=512))
        now = time.monotonic()
        arrivals.extend([now] * number)

    def hz(self, now_s: float) -> dict[str, float]:
        """Return messages a second by name over the second before `now_s`."""
        return {name: float(sum(1 for t in list(arrivals) if now_s - t <= 1.0))
                for name, arrivals in self._arrivals.items()}


@dataclass
class Seen:
    """Everything the monitor has seen so far."""

    states: list[tuple[float, str, str]] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    planner: dict[str, Any] = field(default_factory=dict)
    fallback: dict[str, Any] = field(default_factory=dict)
    tracker: dict[str, Any] = field(default_factory=dict)
    simulator: dict[str, Any] = field(default_factory=dict)
    plans: list[dict[str, Any]] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    first_motion_steady_s: float | None = None
    errors: list[str] = field(default_factory=list)
    rates: Rates = field(default_factory=Rates)


class DemoMonitor:
    """Watch a run from a process of its own, and send what a fault needs.

    Args:
        robot: The robot of the run.
        relay: Pass plans on from `planner/plan_unaltered`, so that some can be spoiled on the way.
        use_sim_time: Follow /clock.
    """

    def __init__(self, robot: Robot, *, relay: bool, use_sim_time: bool) -> None:
        """Join the graph and start spinning."""
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self.seen = Seen()
        self._robot = robot
        self._spoil = 0
        self._unexplained: deque[tuple[int, dict[str, Any]]] = deque()
        self._lock = threading.Lock()
        self.node = Node('demo_monitor')
        self._clock_s: float | None = None
        node = self.node
        taps = self._taps = Taps(node)
        io = robot_io(node, taps, robot, NEWEST)
        self._states, self._motions = io.states, io.motions
        self._motion = MotionInput(node, taps, 'tracker/motion', io.motions, NEWEST)
        self._plans = MotionInput(
            node, taps, 'planner/plan_unaltered' if relay else 'planner/plan', io.motions)
        taps.subscribe(
            io.motions.message, 'safety/committed',
            lambda data, arrival: self.seen.rates.count('safety'), STANDARD, raw=True)
        taps.subscribe(String, 'safety/state', self._on_state, LATCHED)
        taps.subscribe(String, 'safety/status', self._on_status, STANDARD)
        taps.subscribe(String, 'planner/report', self._on_plan, STANDARD)
        taps.subscribe(String, 'fallback/report', self._on_fallback, STANDARD)
        taps.subscribe(String, 'tracker/report', self._on_tracker, STANDARD)
        taps.subscribe(String, 'simulator/report', self._on_simulator, STANDARD)
        if use_sim_time:
            taps.subscribe(Clock, '/clock', self._on_clock, SENSOR)
        self._emergency = node.create_publisher(Bool, 'emergency_stop', STANDARD)
        self._fault = node.create_publisher(String, 'simulator/fault', STANDARD)
        if relay:
            self._plan = node.create_publisher(io.motions.message, 'planner/plan', STANDARD)
            taps.subscribe(
                io.motions.message, 'planner/plan_unaltered', self._pass_on, STANDARD, raw=True)
        self._loop = PeriodicLoop(
            POLL_S, self._poll, lambda error: self.seen.errors.append(str(error)), name='monitor')
        self._loop.start()

    def close(self) -> None:
        """Leave the graph."""
        self._loop.stop()
        self._taps.close()
        self.node.destroy_node()
        rclpy.try_shutdown()

    @property
    def state(self) -> str:
        """Current state of the safety monitor, empty before the first one."""
        return self.seen.states[-1][1] if self.seen.states else ''

    @property
    def robot_state(self) -> RobotState | None:
        """Measured state."""
        return self._states.box.look()

    @property
    def motion(self) -> Trajectory | None:
        """Newest motion of the tracker."""
        return self._motion.box.look()

    @property
    def plan(self) -> Trajectory | None:
        """Newest plan of the planner."""
        return self._plans.box.look()

    def ros_s(self) -> float:
        """Return ROS time [s]."""
        return time.time() if self._clock_s is None else self._clock_s

    def speed_share(self) -> float:
        """Return the largest speed of a joint, or of the base, over its limit."""
        state = self.robot_state
        return 0.0 if state is None else speed_share(self._robot, state.velocity)

    def moving(self) -> bool:
        """Tell whether any joint moves; remember when it first did."""
        state = self.robot_state
        moving = state is not None and bool(np.abs(state.velocity).max() > MOVING_RAD_S)
        if moving and self.seen.first_motion_steady_s is None:
            self.seen.first_motion_steady_s = time.monotonic()
        return moving

    def send_emergency_stop(self) -> None:
        """Publish `emergency_stop` true."""
        self._emergency.publish(Bool(data=True))

    def send_fault(self, name: str, **details: Any) -> None:
        """Ask the simulator for a fault of its own (see `nodes/simulator.py`)."""
        self._fault.publish(String(data=json.dumps({'name': name, **details})))

    def spoil_plans(self, count: int) -> None:
        """Put a NaN into the next `count` plans that are passed on."""
        with self._lock:
            self._spoil = count

    def _poll(self) -> None:
        self._taps.poll()

    def _pass_on(self, data: bytes, arrival: Arrival) -> None:
        with self._lock:
            spoiled = self._spoil > 0
            self._spoil -= int(spoiled)
        self._plan.publish(self._motions.spoil(data) if spoiled else data)

    def _on_clock(self, message: Clock, arrival: Arrival) -> None:
        self._clock_s = from_time(message.clock)

    def _on_state(self, message: String, arrival: Arrival) -> None:
        previous = self.state
        if message.data == previous:
            return
        self.seen.states.append((time.monotonic(), message.data, ''))
        self._event('safety', 'state', previous, message.data, '', '')
        self._unexplained.append((len(self.seen.states) - 1, self.seen.events[-1]))

    def _on_status(self, message: String, arrival: Arrival) -> None:
        """Keep the status; the first one in a new state says why it was entered."""
        self.seen.status = status = self._read(message)
        if not self._unexplained or status.get('state') != self._unexplained[0][1]['to']:
            return
        index, event = self._unexplained.popleft()
        event['cause'] = str(status.get('cause', ''))
        self.seen.states[index] = (*self.seen.states[index][:2], event['cause'])

    def _on_plan(self, message: String, arrival: Arrival) -> None:
        self.seen.planner = self._read(message)
        self.seen.plans.append(self.seen.planner)
        if self.seen.planner.get('plan_stamp') is not None:
            self.seen.rates.count('planner')

    def _on_fallback(self, message: String, arrival: Arrival) -> None:
        self.seen.fallback = self._read(message)

    def _on_tracker(self, message: String, arrival: Arrival) -> None:
        report = self._read(message)
        if report.get('event') == 'verdict':
            if not report.get('accepted', True):
                code = str(report.get('reason_code', ''))
                self.seen.rejected[code] = self.seen.rejected.get(code, 0) + 1
                self._event('tracker', 'plan_rejected', None, None, code,
                            str(report.get('detail', '')))
        else:
            self.seen.tracker = report
            self.seen.rates.count('tracker', int(report.get('count', 0)))

    def _on_simulator(self, message: String, arrival: Arrival) -> None:
        report = self._read(message)
        for event in report.pop('events', []):
            self._event('simulator', event.pop('event', 'event'), None, None, '',
                        json.dumps(event))
        self.seen.simulator = report

    def _read(self, message: String) -> dict[str, Any]:
        try:
            value = json.loads(message.data)
        except ValueError:
            self.seen.errors.append(message.data[:200])
            return {}
        return value if isinstance(value, dict) else {}

    def _event(
        self, node: str, event: str, before: str | None, after: str | None, cause: str,
        action: str,
    ) -> None:
        self.seen.events.append({
            't_steady_s': time.monotonic(), 'node': node, 'event': event, 'from': before,
            'to': after, 'cause': cause, 'action': action})


def speed_share(robot: Robot, velocity: Array) -> float:
    """Return the largest speed of a joint over its limit; a base drives in one direction."""
    speeds = np.abs(velocity)
    if robot.kind == 'base':
        speeds = np.array([np.hypot(velocity[0], velocity[1]), 0.0, speeds[2]])
    return float(np.max(speeds / robot.limits.velocity_rad_s))
