# SPDX-License-Identifier: Apache-2.0
"""Perfect following, so that a planner can be judged without tracker and plant."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.robots.state import RobotState
from diffusion_control.simulation.model import PERIOD_S
from diffusion_control.simulation.simulation import DISTANCE_TICKS, Simulation
from diffusion_control.tracking.hand_over import WaitingSlot
from diffusion_control.tracking.protocol import STAGES, Reference, TrackerOutput, TrackerReport
from diffusion_control.trajectory.trajectory import Trajectory

LEAD_S = 0.02
TICK_S = 0.01
ON_PLAN_RAD = 1e-3
ON_PLAN_RAD_S = 0.02
MOTION_KNOTS = 40
LEAST_MOTION_S = 0.1


class IdealSimulation(Simulation):
    """A robot that is where its receiver's set-point is; contacts are sensed as ever."""

    def _tick(self) -> None:
        """Advance by one period: the set-point becomes the state, without any physics."""
        set_position, set_velocity = self.receiver.set_point(self.time_s)
        np.subtract(set_velocity, self._velocity, out=self._acceleration)
        self._acceleration /= PERIOD_S
        self._command[:] = self._position[:] = set_position
        self._velocity[:] = set_velocity
        self._ticks += 1
        if self._obstacles.advance(self.time_s):
            self._move_obstacles()
        self._observe(measure_distance=self._ticks % DISTANCE_TICKS == 0)
        if self.recorder is not None:
            self._record(self.recorder)


class IdealTracker:
    """Passes the plan on unchanged, from now + 20 ms to its end.

    Where the committed motion has left the plan (safety slowed the robot), that motion is
    continued until a plan comes that starts on it.

    Args:
        robot: For names and frame.
    """

    def __init__(self, robot: Arm | Base) -> None:
        """Begin without a plan."""
        self._robot = robot
        self.reset()

    def reset(self) -> None:
        """Forget the plans."""
        self._slot = WaitingSlot()

    def step(self, state: RobotState, reference: Reference, now_s: float) -> TrackerOutput:
        """Return the plan as a motion; `state` counts only before anything is committed."""
        began = perf_counter()
        tau_s = now_s + LEAD_S
        plan = self._slot.current(reference.plan, tau_s + TICK_S)
        committed = reference.committed
        followed = committed
        if plan is not None and (committed is None or _on(plan, committed, tau_s)):
            followed = plan
        motion = self._standing(state, tau_s)
        if followed is not None:
            motion = _from(followed, tau_s, committed or followed)
        stages = dict.fromkeys(STAGES, 0.0) | {'solve': perf_counter() - began}
        return TrackerOutput(motion, TrackerReport(
            'none', True, 'solved', 'solution', 0, 'plan', stages, time_scale=1.0,
            plan_waiting=self._slot.waiting, plan_lost=plan is not None and followed is not plan))

    def _standing(self, state: RobotState, tau_s: float) -> Trajectory:
        """Return the motion that stands where the robot is."""
        rows = np.repeat(np.asarray(state.position, dtype=float)[None], 2, axis=0)
        still = np.zeros_like(rows)
        return Trajectory(tau_s, np.array([0.0, LEAST_MOTION_S]), rows, still, still,
                          self._robot.joint_names, self._robot.base_frame)


def _on(plan: Trajectory, committed: Trajectory, tau_s: float) -> bool:
    """Say whether the plan goes, or will begin, where the committed motion does."""
    at_s = max(tau_s, plan.start_s)
    wanted, here = plan.sample(at_s), committed.sample(at_s)
    return (float(np.abs(wanted.position - here.position).max()) < ON_PLAN_RAD
            and float(np.abs(wanted.velocity - here.velocity).max()) < ON_PLAN_RAD_S)


def _from(plan: Trajectory, tau_s: float, before: Trajectory) -> Trajectory:
    """Return what is left of a plan from `tau_s` on: its own knots, so the same cubics.

    Where the plan begins after `tau_s`, the motion before leads to its first point.
    """
    knots = plan.times_s + plan.stamp_s
    left = knots[knots > tau_s + 1e-3][:MOTION_KNOTS - 1]
    if not len(left):
        left = np.array([tau_s + LEAST_MOTION_S])
    times = np.concatenate([[tau_s], left])
    position, velocity, acceleration = plan.sample_many(times)
    if plan.start_s > tau_s + 1e-6:
        here = before.sample(tau_s)
        position[0], velocity[0], acceleration[0] = (
            here.position, here.velocity, here.acceleration)
    velocity[-1] = 0.0
    return Trajectory(tau_s, times - tau_s, position, velocity, acceleration, plan.names,
                      plan.frame_id)
