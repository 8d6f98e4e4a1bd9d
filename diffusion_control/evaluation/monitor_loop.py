# SPDX-License-Identifier: Apache-2.0
"""Simulated robot, its senses and the safety monitor, driven by velocities, tick by tick.

No planner and no tracker: a pusher turns each asked velocity (of a base: twist of the body) into
a complete motion from what is committed. Without a monitor its motions go to the robot unchecked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.loop_parts import pusher_of
from diffusion_control.evaluation.side import Side, Sight
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.robots.state import RobotState
from diffusion_control.safety import Health, SafetyDecision, SafetyMonitor
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
OBSERVE_S = 0.02
LEAD_TICKS = 2


class MonitorLoop:
    """One run.

    Args:
        robot: The nominal robot.
        side: The simulated robot; it is reset, its obstacles wait for `activate_obstacles`.
        monitor: The monitor; None for none.
        rate_hz: Of reference and monitor.
        start_s: ROS time of the first tick [s].
    """

    def __init__(
        self, robot: Arm | Base, side: Side, monitor: SafetyMonitor | None, rate_hz: float,
        start_s: float = 10.0,
    ) -> None:
        """Stand at the scene's start."""
        self.robot, self.side, self.monitor = robot, side, monitor
        self.simulation = side.simulation
        self.rate_hz, self.now_s = rate_hz, start_s
        self._every = max(1, round(OBSERVE_S * rate_hz))
        self._pusher = pusher_of(robot, LEAD_TICKS / rate_hz)
        self.state: RobotState = self.simulation.reset(time_s=start_s, obstacles_move=False)
        self.sight = Sight()
        self._seen_s = start_s
        self.committed: Trajectory | None = None
        self.decision: SafetyDecision | None = None
        self.ticks = self.interventions = 0

    def reference(self) -> Array:
        """Return where the next motion begins, shape [n] [rad]; of a base [m, m, rad]."""
        if self.committed is None:
            return self.state.position
        return self.committed.sample(self.now_s + LEAD_TICKS / self.rate_hz).position

    def observe(self) -> None:
        """See what is around, when it is time to."""
        if self.ticks % self._every == 0:
            self.sight, self._seen_s = self.side.see(self.now_s), self.now_s

    def tick(
        self, velocity: Array, *, measured: bool = True, motion: Trajectory | None = None
    ) -> SafetyDecision | None:
        """Ask for a velocity [n], send what the monitor makes of it, and advance a period.

        Args:
            velocity: Asked for.
            measured: False loses the joint states of this period.
            motion: Sent to the monitor in place of the pusher's.
        """
        given = motion if motion is not None else self._motion(velocity)
        command = given
        if self.monitor is not None:
            sight = self.sight
            self.decision = self.monitor.step(
                self.state, given, sight.obstacles, self.now_s, map=sight.map, scan=sight.scan,
                health=self._health())
            self.interventions += self.decision.intervention
            command = self.decision.command if self.decision.send else None
        if command is not None:
            self.committed = command
        after = self.side.advance(command, self.decision, 1.0 / self.rate_hz)
        self.state = after if measured else self.state
        self.now_s = self.simulation.time_s
        self.ticks += 1
        return self.decision

    def _motion(self, velocity: Array) -> Trajectory | None:
        if self.committed is not None:
            return self._pusher.motion(self.committed, self.now_s, velocity)
        if self.monitor is not None:
            return None
        still = np.zeros((2, self.robot.dof))
        standing = Trajectory(
            self.now_s, np.array([0.0, 0.1]), np.stack([self.state.position] * 2), still,
            still.copy(), tuple(self.robot.joint_names), self.robot.base_frame)
        return self._pusher.motion(standing, self.now_s, velocity)

    def _health(self) -> Health:
        return Health(
            state_age_s=self.now_s - self.state.stamp_s, motion_age_s=0.0,
            obstacles_age_s=self.now_s - self._seen_s, accepted_plan_age_s=0.0, confidence=1.0,
            planner_alive=True, fallback_alive=True, fallback_plan_age_s=0.0,
            own_gap_s=1.0 / self.rate_hz, scan_age_s=self.side.scan_age_s(self.now_s),
            map_age_s=self.side.map_age_s(self.now_s))
