# SPDX-License-Identifier: Apache-2.0
"""The tracker node: admits plans and turns them into the next motion, 100 times a second."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from diffusion_control import tracking
from diffusion_control.nodes.control_node import (
    ControlNode,
    leave,
    loop_values,
    publish_json,
    run,
)
from diffusion_control.nodes.convert import line_strip
from diffusion_control.nodes.goal_target import GoalTarget
from diffusion_control.nodes.mailbox import Mailbox
from diffusion_control.nodes.motion_input import MotionInput
from diffusion_control.nodes.qos import LATCHED, STANDARD
from diffusion_control.nodes.reports import read_object
from diffusion_control.nodes.robot_input import load_robot
from diffusion_control.nodes.robot_io import robot_io
from diffusion_control.nodes.taps import Arrival
from diffusion_control.nodes.tracker_report import TickLog
from diffusion_control.robots.base import Base
from diffusion_control.robots.state import RobotState
from diffusion_control.tracking.admission import MALFORMED, PlanAdmission, PlanArrays, Verdict
from diffusion_control.tracking.exercise import exercise
from diffusion_control.tracking.hand_over import MODES, PlanSlots
from diffusion_control.tracking.protocol import Reference, TrackerOutput
from diffusion_control.trajectory.trajectory import Trajectory

COMMITTED_FRESH_S = 1.0
SIMULATED_POLL_S = 0.002
QUEUE = 16
JUDGE_S = 0.0015
SHOWN_POINTS = 12
TRACKER_PARAMETERS = ('warm_start', 'braking_fraction', 'command_delay_s', 'observer')


class TrackerNode(ControlNode):
    """Run the tracker in its own thread; the executor only serves parameters and services."""

    def __init__(self) -> None:
        """Declare parameters and publishers."""
        super().__init__('tracker')
        self._report = self.create_publisher(String, 'tracker/report', STANDARD)
        self._path = self.create_publisher(MarkerArray, 'tracker/predicted_path', STANDARD)
        self._queue: deque[tuple[str, PlanArrays]] = deque(maxlen=QUEUE)
        self._verdicts: Counter[str] = Counter()
        self._mode, self._time_scale = 'planner', 1.0
        self._safety_lost = False
        self._last_motion: Trajectory | None = None
        self._last_tick_s = -np.inf

    def configure(self) -> None:
        """Load the robot, make the tracker, compile and solve once."""
        settings = self.settings
        self.robot = load_robot(self, settings)
        self.robot.collision.warm_up()
        self.tracker = tracking.make(
            settings['type'], robot=self.robot, **chosen_parameters(settings, self.robot.kind))
        self.admission = PlanAdmission(self.robot)
        self.slots = PlanSlots()
        self._log = TickLog(1.0 / settings['rate_hz'])
        taps = self._taps = self.make_taps()
        io = robot_io(self, taps, self.robot)
        self._states, self._motions, self._world = io.states, io.motions, io.world(settings)
        self._motion = self.create_publisher(
            self._motions.message, 'tracker/motion', STANDARD)
        self._committed = MotionInput(self, taps, 'safety/committed', self._motions)
        self._target = (
            GoalTarget(io.goals(), self.robot, self.warn_once)
            if settings['follow_goals'] else None)
        self._status: Mailbox[str] = Mailbox()
        for source in ('planner', 'fallback'):
            self._subscribe_plans(source)
        taps.subscribe(String, 'safety/mode', self._on_mode, LATCHED)
        taps.subscribe(String, 'safety/status', self._on_status, STANDARD)
        self._warm_up()

    def activate(self) -> None:
        """Start tracking."""
        period = 1.0 / self.settings['rate_hz']
        self._loop = self.make_loop(
            SIMULATED_POLL_S if self.clocks.simulated else period, self._tick, self._on_error)
        self._loop.start()

    def deactivate(self) -> None:
        """Stop publishing: the safety monitor brakes within `motion.stale_s`."""
        self._loop.stop()

    def diagnose(self) -> tuple[int, str, dict[str, object]]:
        """Report loop, solver and plan verdicts."""
        if not self.active:
            return 0, 'inactive', {}
        rate = self._log.success_rate()
        level = 2 if rate < 0.90 else 1 if rate < 0.95 or self._safety_lost else 0
        message = 'safety lost' if self._safety_lost else f'success rate {rate:.2f}'
        return level, message, {
            **loop_values(self._loop.statistics()), 'success_rate_100': rate,
            **{f'verdict.{code}': count for code, count in sorted(self._verdicts.items())},
            **{f'missed.{stage}': n for stage, n in self._log.missed.items()},
            **{f'over_budget.{stage}': n for stage, n in self._log.over_budget.items()}}

    def _subscribe_plans(self, source: str) -> None:
        def receive(data: bytes, arrival: Arrival) -> None:
            plan = self._motions.read_plan(data, self.clocks.ros_s())
            if plan is None:
                self._verdicts[MALFORMED] += 1
            else:
                self._queue.append((source, plan))
        self._taps.subscribe(
            self._motions.message, f'{source}/plan', receive, STANDARD, raw=True)

    def _on_mode(self, message: String, arrival: Arrival) -> None:
        if message.data in MODES:
            self._mode = message.data

    def _on_status(self, message: String, arrival: Arrival) -> None:
        self._status.put(message.data, arrival.age_s)
        scale = read_number(message.data, 'time_scale')
        if scale is not None:
            self._time_scale = min(1.0, max(0.0, scale))

    def _on_error(self, error: Exception) -> None:
        self._log.failed()
        self.report_error(error)

    def _tick(self) -> None:
        begin = time.perf_counter()
        cpu = time.thread_time()
        self.clocks.observe()
        self._taps.poll()
        now_s = self.clocks.ros_s()
        state = self._states.box.look()
        if state is None or self.clocks.paused or not self._due(now_s):
            return
        self._judge_waiting(now_s, begin)
        received = time.perf_counter()
        output = self._step(state, now_s)
        stepped = time.perf_counter()
        self._motion.publish(self._motions.encode(output.motion))
        self._last_motion = output.motion
        end = time.perf_counter()
        stages = {'receive': received - begin, **output.report.stage_s, 'publish': end - stepped}
        self._log.add(output.report, stages, time.thread_time() - cpu, end - begin)
        if self._log.ready():
            self._safety_lost = self._status.age_s() > COMMITTED_FRESH_S
            publish_json(self._report, {**self._log.take(), 'safety_lost': self._safety_lost})
            self._show(output.motion)

    def _due(self, now_s: float) -> bool:
        """Tell whether a period of ROS time has passed; always so without simulated time."""
        if not self.clocks.simulated:
            return True
        since = now_s - self._last_tick_s
        if 0.0 <= since < 0.999 / self.settings['rate_hz']:
            return False
        self._last_tick_s = now_s
        return True

    def _step(self, state: RobotState, now_s: float) -> TrackerOutput:
        self.slots.set_mode(self._mode)
        chosen = self.slots.select(self._time_scale)
        world = self._world.look()
        fresh = self._committed.box.age_s() < COMMITTED_FRESH_S
        committed = self._committed.box.look() if fresh else None
        around, scale = world.obstacles if world else (), chosen.time_scale
        goal = None
        if self._target is not None and chosen.plan is None and self._mode == 'planner':
            goal, scale = self._target.look(state.position, around), self._time_scale
        return self.tracker.step(
            state, Reference(chosen.plan, committed, scale, around, goal), now_s)

    def _judge_waiting(self, now_s: float, begin_s: float) -> None:
        """Judge plans until one took its time; a flood of broken ones is passed over quickly."""
        for _ in range(QUEUE):
            if not self._queue or time.perf_counter() - begin_s > JUDGE_S:
                return
            self._judge_next(now_s)

    def _judge_next(self, now_s: float) -> None:
        source, plan = self._queue.popleft()
        world = self._world.look()
        around = () if world is None else self.robot.pack(
            world.obstacles, map=world.map, scan=world.scan)
        verdict = self.admission.judge(plan, now_s, self._last_motion, around)
        self._verdicts[verdict.reason_code] += 1
        if verdict.plan is not None:
            self.slots.offer(source, verdict.plan)
        publish_json(self._report, verdict_report(source, plan, verdict))

    def _show(self, motion: Trajectory) -> None:
        """Publish the tool's path along the motion, if anybody looks."""
        if not self._path.get_subscription_count():
            return
        times = np.linspace(motion.start_s, motion.end_s, SHOWN_POINTS)
        path = self.robot.tool_positions(motion.sample_many(times)[0])
        self._path.publish(MarkerArray(markers=[line_strip(
            path, self.robot.base_frame, motion.start_s, namespace='predicted')]))

    def _warm_up(self) -> None:
        home = np.asarray(self.robot.home_rad, dtype=float)
        for goal in (None, None, home):
            self.tracker.step(
                RobotState(home, np.zeros_like(home), 0.0), Reference(goal_rad=goal), 0.0)
        self.tracker.reset()
        if isinstance(self.robot, Base):
            exercise(self.tracker, self.robot)


def chosen_parameters(settings: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return what a tracker is told; the table's defaults are those of an arm."""
    return tracking.settings_for(kind, {
        name: value for name, value in settings.items()
        if name.startswith('mpc.') or name in TRACKER_PARAMETERS})


def verdict_report(source: str, plan: PlanArrays, verdict: Verdict) -> dict[str, Any]:
    """Return the JSON object of `tracker/report` for one plan."""
    return {
        'event': 'verdict', 'source': source, 'plan_stamp': plan.stamp_s,
        'accepted': verdict.accepted, 'reason_code': verdict.reason_code,
        'detail': verdict.detail}


def read_number(text: str, key: str) -> float | None:
    """Return a number of a flat JSON object, or None."""
    value = (read_object(text) or {}).get(key)
    return float(value) if isinstance(value, int | float) else None


def main(args: Sequence[str] | None = None) -> int:
    """Run the tracker node."""
    return run('tracker', TrackerNode, args)


if __name__ == '__main__':
    leave(main())
