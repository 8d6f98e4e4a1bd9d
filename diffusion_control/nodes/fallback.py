# SPDX-License-Identifier: Apache-2.0
"""The fallback node: a conservative plan to the same goal when the planner is lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from std_msgs.msg import String

from diffusion_control import planners
from diffusion_control.nodes.control_node import (
    ControlNode,
    leave,
    loop_values,
    publish_json,
    run,
)
from diffusion_control.nodes.kept_plan import KeptPlan
from diffusion_control.nodes.measured_latency import MeasuredLatency
from diffusion_control.nodes.motion_input import MotionInput
from diffusion_control.nodes.qos import LATCHED, NEWEST, STANDARD
from diffusion_control.nodes.reports import verdict_on
from diffusion_control.nodes.robot_input import load_robot
from diffusion_control.nodes.robot_io import robot_io
from diffusion_control.nodes.taps import Arrival
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.robots.goal import Goal
from diffusion_control.trajectory.trajectory import Sample

AHEAD_S = 0.05


class FallbackNode(ControlNode):
    """Plan when the safety monitor asks for it, and keep that plan as long as it holds."""

    def __init__(self) -> None:
        """Declare parameters and publishers."""
        super().__init__('fallback')
        self._report = self.create_publisher(String, 'fallback/report', STANDARD)
        self._wanted = False
        self._published = self._failed = 0
        self._latency = MeasuredLatency()
        self._reason = 'standing by'

    def configure(self) -> None:
        """Load the robot, make the fallback, compile its kernels."""
        self.robot = load_robot(self, self.settings)
        self.robot.collision.warm_up()
        self.planner = planners.make_fallback(
            self.settings['type'], robot=self.robot, seed=self.settings['seed'])
        self._kept = KeptPlan(self.robot, self.planner)
        taps = self._taps = self.make_taps()
        self._io = robot_io(self, taps, self.robot, NEWEST)
        self._states, self._motions = self._io.states, self._io.motions
        self._world, self._goals = self._io.world(self.settings), self._io.goals()
        self._motion = MotionInput(self, taps, 'tracker/motion', self._motions, NEWEST)
        self._plan = self.create_publisher(self._motions.message, 'fallback/plan', STANDARD)
        taps.subscribe(String, 'safety/mode', self._on_mode, LATCHED)
        taps.subscribe(String, 'tracker/report', self._on_tracker, STANDARD)

    def activate(self) -> None:
        """Stand by."""
        self._loop = self.make_loop(
            1.0 / self.settings['rate_hz'], self._tick, self.report_error)
        self._loop.start()

    def deactivate(self) -> None:
        """Stop planning."""
        self._loop.stop()

    def diagnose(self) -> tuple[int, str, dict[str, object]]:
        """Report what the fallback does."""
        if not self.active:
            return 0, 'inactive', {}
        return 0, self._reason, {
            **loop_values(self._loop.statistics()), 'plans': self._published,
            'failed': self._failed}

    def _on_mode(self, message: String, arrival: Arrival) -> None:
        self._wanted = message.data == 'fallback'

    def _on_tracker(self, message: String, arrival: Arrival) -> None:
        """Forget a plan that was refused: the next tick makes another one."""
        verdict = verdict_on(message.data, 'fallback', self._kept.plan)
        if verdict is not None and not verdict.accepted:
            self._kept.drop()

    def _tick(self) -> None:
        self.clocks.observe()
        self._taps.poll()
        publish_json(self._report, {
            'ready': self._states.box.look() is not None, 'reason': self._reason,
            'plans': self._published, 'failed': self._failed})
        if self.clocks.paused:
            return
        state, world = self._states.box.look(), self._world.look()
        if state is not None and not self._wanted and hasattr(self.planner, 'record'):
            self.planner.record(state.position)
        if not self._wanted:
            self._kept.drop()
            self._reason = 'standing by'
            return
        goal = self._goals.look()
        if state is None or world is None or goal is None:
            self._reason = f'waiting for {self._io.state_topic}, the surroundings and a goal'
            return
        now = self.clocks.ros_s()
        obstacles = world.advanced(now)
        around = self.robot.pack(obstacles, map=world.map, scan=world.scan)
        if self._kept.good(goal, state.position, now, around):
            return
        start_s = now + AHEAD_S + self._latency.lead_s(0.0)
        start = self._motion.predict(start_s) or Sample(
            state.position, np.zeros_like(state.position), np.zeros_like(state.position))
        problem = PlanningProblem(
            dataclasses.replace(
                state, position=start.position, velocity=start.velocity, stamp_s=start_s),
            goal, obstacles, map=world.map, scan=world.scan, start_s=start_s,
            acceleration=start.acceleration)
        self._solve(problem, goal)

    def _solve(self, problem: PlanningProblem, goal: Goal) -> None:
        try:
            plans = self.planner.plan(problem, self.settings['deadline_s'])
        except PlanningError as error:
            plan = None
            self.warn_once(str(error))
        else:
            plan = plans.trajectory
            self._latency.note(plans.latency_s)
        if plan is None:
            self._failed += 1
            self._reason = 'no plan'
            return
        self._kept.take(plan, goal, self.clocks.ros_s())
        self._published += 1
        self._reason = 'planned'
        self._plan.publish(self._motions.encode(plan))


def main(args: Sequence[str] | None = None) -> int:
    """Run the fallback node."""
    return run('fallback', FallbackNode, args)


if __name__ == '__main__':
    leave(main())
