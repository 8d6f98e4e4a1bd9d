# SPDX-License-Identifier: Apache-2.0
"""The fallback node: a conservative plan to the same goal when the planner is lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import String

from diffusion_control import planners
from diffusion_control.nodes.control_node import (
    ControlNode,
    leave,
    loop_values,
    publish_json,
    run,
)
from diffusion_control.nodes.inputs import same_goal
from diffusion_control.nodes.motion_input import MotionInput
from diffusion_control.nodes.qos import LATCHED, NEWEST, STANDARD
from diffusion_control.nodes.reports import verdict_on
from diffusion_control.nodes.robot_input import load_robot
from diffusion_control.nodes.robot_io import robot_io
from diffusion_control.nodes.taps import Arrival
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.trajectory.trajectory import Sample, Trajectory

Array = NDArray[np.float64]
AHEAD_S, LONGEST_LEAD_S, FORGET = 0.05, 1.5, 0.8
CHECK_SPACING_S = 0.04
LOOK_AHEAD_S = 2.0
OFF_PATH_RAD = 0.15


class FallbackNode(ControlNode):
    """Plan when the safety monitor asks for it, and keep that plan as long as it holds."""

    def __init__(self) -> None:
        """Declare parameters and publishers."""
        super().__init__('fallback')
        self._report = self.create_publisher(String, 'fallback/report', STANDARD)
        self._wanted = False
        self._current: Trajectory | None = None
        self._goal: Goal | None = None
        self._published = self._failed = 0
        self._latency_s = 0.0
        self._reason = 'standing by'

    def configure(self) -> None:
        """Load the robot, make the fallback, compile its kernels."""
        self.robot = load_robot(self, self.settings)
        self.robot.collision.warm_up()
        self.planner = planners.make_fallback(
            self.settings['type'], robot=self.robot, seed=self.settings['seed'])
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
        verdict = verdict_on(message.data, 'fallback', self._current)
        if verdict is not None and not verdict.accepted:
            self._current = None

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
            self._current, self._reason = None, 'standing by'
            return
        goal = self._goals.look()
        if state is None or world is None or goal is None:
            self._reason = f'waiting for {self._io.state_topic}, the surroundings and a goal'
            return
        now = self.clocks.ros_s()
        obstacles = world.advanced(now)
        around = self.robot.pack(obstacles, map=world.map, scan=world.scan)
        if self._still_good(goal, state.position, now, around):
            return
        start_s = now + AHEAD_S + min(self._latency_s, LONGEST_LEAD_S)
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
            self._latency_s = max(plans.latency_s, FORGET * self._latency_s)
        if plan is None:
            self._failed += 1
            self._reason = 'no plan'
            return
        self._current, self._goal = plan, goal
        self._published += 1
        self._reason = 'planned'
        self._plan.publish(self._motions.encode(plan))

    def _still_good(
        self, goal: Goal, position: Array, now_s: float, obstacles: ObstacleArrays
    ) -> bool:
        """Tell whether the running plan leads to this goal, is near the robot, and is free."""
        plan = self._current
        if plan is None or not same_goal(goal, self._goal):
            return False
        ahead = np.arange(0.0, LOOK_AHEAD_S, CHECK_SPACING_S)
        path, _, _ = plan.sample_many(now_s + ahead)
        knots, _, _ = plan.sample_many(plan.stamp_s + np.linspace(
            plan.times_s[0], plan.times_s[-1], 120))
        if float(np.abs(knots - position).max(axis=1).min()) > OFF_PATH_RAD:
            return False
        finished = now_s > plan.end_s + 0.5
        if finished and float(np.abs(plan.position[-1] - position).max()) > OFF_PATH_RAD / 3:
            return False
        clearance, own = self.robot.collision.path_clearance(path, ahead, obstacles)
        return bool(min(clearance.min(), own.min()) > 0.0)


def main(args: Sequence[str] | None = None) -> int:
    """Run the fallback node."""
    return run('fallback', FallbackNode, args)


if __name__ == '__main__':
    leave(main())
