# SPDX-License-Identifier: Apache-2.0
"""The planner node: state, goal, obstacles in; the best of several candidate futures out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Float64, String
from visualization_msgs.msg import Marker, MarkerArray

from diffusion_control import planners
from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes.control_node import (
    ControlNode,
    leave,
    loop_values,
    publish_json,
    run,
)
from diffusion_control.nodes.convert import line_strip, to_time
from diffusion_control.nodes.measured_latency import MeasuredLatency
from diffusion_control.nodes.motion_input import FRESH_S, MotionInput
from diffusion_control.nodes.path_output import PathOutput
from diffusion_control.nodes.qos import LATCHED, NEWEST, STANDARD
from diffusion_control.nodes.reports import verdict_on
from diffusion_control.nodes.robot_input import load_robot
from diffusion_control.nodes.robot_io import robot_io
from diffusion_control.nodes.taps import Arrival
from diffusion_control.planners.behind import falls_behind
from diffusion_control.planners.models import resolve
from diffusion_control.planners.problem import PlanningError, PlanningProblem, PlanSet
from diffusion_control.planners.selection import NOT_FREE
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.state import RobotState
from diffusion_control.trajectory.trajectory import Sample, Trajectory

Array = NDArray[np.float64]
DELIVERY_S = 0.03
UNKNOWN_LEAD_S = 0.32
SHOWN_CANDIDATES = 8
SHOWN_POINTS = 24
BEST, OTHER = (0.1, 0.6, 0.9), (0.6, 0.6, 0.9)


class PlannerNode(ControlNode):
    """Plan at a low rate from where the robot will be when the plan arrives."""

    def __init__(self) -> None:
        """Declare parameters and publishers."""
        super().__init__('planner')
        self._confidence = self.create_publisher(Float64, 'planner/confidence', STANDARD)
        self._report = self.create_publisher(String, 'planner/report', STANDARD)
        self._candidates = self.create_publisher(MarkerArray, 'planner/candidates', STANDARD)
        self._previous: Trajectory | None = None
        self._published_s = 0.0
        self._latency = MeasuredLatency()
        self._published = self._failed = 0
        self._shortest_s = 0.0
        self._refused = self._aside = self._stopped = False
        self._reason = 'waiting'

    def configure(self) -> None:
        """Load the robot, make the planner, compile its kernels."""
        self.robot = load_robot(self, self.settings)
        self.robot.collision.warm_up()
        kind = resolve(self.settings['type'], self.robot, self.settings['model'])
        self.planner = planners.make(
            kind, robot=self.robot,
            **{'seed': self.settings['seed'],
               **planners.settings_for(kind, self.settings, self.robot.kind)})
        require_deadline = getattr(self.planner, 'require_deadline', None)
        if require_deadline is not None:
            require_deadline(self.settings['deadline_s'])
            self._shortest_s = self.settings['deadline_s']
        self._hold = planners.make_fallback('hold', robot=self.robot)
        taps = self._taps = self.make_taps()
        self._io = robot_io(self, taps, self.robot, NEWEST)
        self._states, self._motions = self._io.states, self._io.motions
        self._world, self._goals = self._io.world(self.settings), self._io.goals()
        self._motion = MotionInput(self, taps, 'tracker/motion', self._motions, NEWEST)
        self._plan = self.create_publisher(self._motions.message, 'planner/plan', STANDARD)
        self._path = PathOutput(self) if self.robot.kind == 'base' else None
        taps.subscribe(String, 'tracker/report', self._on_tracker, STANDARD)
        taps.subscribe(String, 'safety/mode', self._on_mode, LATCHED)

    def activate(self) -> None:
        """Start planning."""
        self._loop = self.make_loop(
            1.0 / self.settings['rate_hz'], self._tick, self._failed_tick)
        self._loop.start()

    def deactivate(self) -> None:
        """Stop planning; the tracker goes on with the last plan."""
        self._loop.stop()

    def retune(self, changed: dict[str, Any]) -> None:
        """Refuse a shorter deadline where a network was timed for the one that it had."""
        asked_s = changed.get('deadline_s')
        if asked_s is not None and asked_s < self._shortest_s:
            raise ConfigurationError(
                'whether the network keeps a shorter deadline is measured at configure',
                where='planner.deadline_s', value=asked_s,
                allowed=f'>= {self._shortest_s} s until then',
                remedy='set it in the parameter file, and restart the node')

    def diagnose(self) -> tuple[int, str, dict[str, object]]:
        """Report rate, plans and refusals."""
        if not self.active:
            return 0, 'inactive', {}
        level = 0 if self._reason == 'ok' else 1
        return level, self._reason, {
            **loop_values(self._loop.statistics()), 'plans': self._published,
            'failed': self._failed, 'goals_rejected': self._goals.rejected,
            'obstacles_rejected': self._world.obstacles.rejected}

    def _failed_tick(self, error: Exception) -> None:
        self._failed += 1
        self._reason = f'{type(error).__name__}'
        self.report_error(error)

    def _tick(self) -> None:
        self.clocks.observe()
        self._taps.poll()
        state, world = self._states.box.look(), self._world.look()
        if state is None or world is None:
            self._say(f'waiting for {self._io.state_topic}'
                      if state is None else f'waiting for {self._world.missing()}')
            return
        if self.clocks.paused:
            return
        deadline = self.settings['deadline_s']
        now = self.clocks.ros_s()
        expected_s = self._latency.lead_s(min(deadline, UNKNOWN_LEAD_S))
        start_s = now + expected_s * min(1.0, self.clocks.real_time_factor) + DELIVERY_S
        start = self._start(start_s, state)
        goal = self._goals.look()
        problem = PlanningProblem(
            dataclasses.replace(
                state, position=start.position, velocity=start.velocity, stamp_s=start_s),
            goal or Goal(joints_rad=np.asarray(start.position)), world.advanced(start_s),
            map=world.map, scan=world.scan, previous=self._previous, start_s=start_s,
            acceleration=start.acceleration)
        self._solve(problem, goal, deadline)

    def _on_tracker(self, message: String, arrival: Arrival) -> None:
        """Learn whether the plan that was published last was refused."""
        verdict = verdict_on(message.data, 'planner', self._previous)
        if verdict is not None:
            self._refused = not verdict.accepted

    def _on_mode(self, message: String, arrival: Arrival) -> None:
        self._aside = message.data != 'planner'
        self._stopped = message.data == 'stop'

    def _start(self, start_s: float, state: RobotState) -> Sample:
        """Return where the robot will be at `start_s`.

        The tracker's newest motion says it, once it follows the plan that was published last;
        until then that plan says it, because it will be followed by then, unless the tracker
        refused it or follows the fallback, or the robot falls behind. A robot that safety has
        stopped stands: it does not follow the tracker's motion then.
        """
        motion = self._motion.box.look()
        last = None if self._refused or self._aside else self._previous
        fresh = motion is not None and self._motion.box.age_s() < FRESH_S
        if fresh and motion is not None and not self._stopped:
            known_s = max(self._published_s + DELIVERY_S, last.start_s if last else 0.0)
            if last is None or motion.start_s >= known_s or last.start_s > start_s or (
                    falls_behind(motion, last)):
                return motion.sample(start_s)
            return last.sample(start_s)
        still = np.zeros_like(state.position)
        return Sample(state.position, still, still)

    def _solve(self, problem: PlanningProblem, goal: Goal | None, deadline_s: float) -> None:
        try:
            asked = self.planner if goal is not None else self._hold
            plans = asked.plan(problem, deadline_s)
        except PlanningError as error:
            self._failed += 1
            self._say(error.reason)
            self.warn_once(str(error))
            return
        best = plans.trajectory
        self._latency.note(plans.latency_s)
        confidence = confidence_of(plans)
        stamp = None if best is None else best.stamp_s
        self._reason = 'ok' if best is not None else 'no collision-free candidate'
        if best is not None:
            self._plan.publish(self._motions.encode(best))
            if self._path is not None:
                self._path.publish(best)
            self._previous, self._published_s = best, self.clocks.ros_s()
            self._refused = False
            self._published += 1
        else:
            self._failed += 1
        self._confidence.publish(Float64(data=confidence))
        publish_json(self._report, report_of(plans, stamp, confidence, self._reason))
        self._show(plans)

    def _say(self, reason: str) -> None:
        """Report that there is no plan, and why."""
        self._reason = reason
        publish_json(self._report, {
            'plan_stamp': None, 'confidence': 0.0, 'candidates': 0, 'scores': [], 'costs': {},
            'evaluations': 0, 'latency_s': None, 'source': '', 'reason': reason})

    def _show(self, plans: PlanSet) -> None:
        if not self._candidates.get_subscription_count():
            return
        markers = [Marker(action=Marker.DELETEALL)]
        now_s = self.clocks.ros_s()
        for index, candidate in enumerate(plans.candidates[:SHOWN_CANDIDATES]):
            times = np.linspace(candidate.start_s, candidate.end_s, SHOWN_POINTS)
            path = self.robot.tool_positions(candidate.sample_many(times)[0])
            best = index == plans.best
            markers.append(line_strip(
                path, self.robot.base_frame, now_s, namespace='candidate', index=index,
                width_m=0.008 if best else 0.003, colour=BEST if best else OTHER))
        self._candidates.publish(MarkerArray(markers=markers))


def confidence_of(plans: PlanSet) -> float:
    """Return 0 without a free plan, else 1/2 + 1/2 the share of candidates that are free."""
    if plans.best is None:
        return 0.0
    free = np.asarray(plans.scores) > NOT_FREE
    return 0.5 + 0.5 * float(np.mean(free))


def report_of(
    plans: PlanSet, stamp_s: float | None, confidence: float, reason: str
) -> dict[str, Any]:
    """Return the JSON object of `planner/report` for one answer of the planner."""
    return {
        'plan_stamp': None if stamp_s is None else from_rounded(stamp_s),
        'confidence': confidence, 'candidates': len(plans.candidates),
        'scores': plans.scores, 'costs': plans.costs, 'evaluations': plans.evaluations,
        'latency_s': plans.latency_s, 'source': plans.source, 'reason': reason}


def from_rounded(stamp_s: float) -> float:
    """Return the stamp as the message carries it: rounded to the nanosecond."""
    message = to_time(stamp_s)
    return message.sec + message.nanosec * 1e-9


def main(args: Sequence[str] | None = None) -> int:
    """Run the planner node."""
    return run('planner', PlannerNode, args)


if __name__ == '__main__':
    leave(main())
