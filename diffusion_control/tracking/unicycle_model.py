# SPDX-License-Identifier: Apache-2.0
"""A base under a tracker: unicycle (or omnidirectional) prediction, drift, stops, whole turns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.planar import unwrapped
from diffusion_control.tracking.goal_drive import GoalDrive
from diffusion_control.tracking.model import Observer
from diffusion_control.tracking.motion import MotionBuilder
from diffusion_control.tracking.pose_drift import PoseDrift
from diffusion_control.tracking.prediction import Prediction
from diffusion_control.tracking.reference import ReferenceClock, ReferenceWindow
from diffusion_control.tracking.twist_limits import TwistLimits
from diffusion_control.tracking.unicycle_kernels import described, sampled
from diffusion_control.tracking.unicycle_motion import UnicycleMotions
from diffusion_control.tracking.unicycle_parameters import BaseTrackerParameters
from diffusion_control.tracking.unicycle_problem import (
    Horizon,
    UnicycleProblem,
    begin,
)
from diffusion_control.trajectory.trajectory import Sample, Trajectory, hermite

Array = NDArray[np.float64]
PROJECT_M = 0.05
LOST_M = 0.6


class UnicycleModel:
    """How a base moves; see `model.Model`.

    Args:
        robot: Needs joint_names, base_frame, drive and limits.
        limits: Scaled limits of its twist.
        prediction: The maps of one axis.
        parameters: Of the tracker.
    """

    def __init__(
        self, robot: Any, limits: TwistLimits, prediction: Prediction,
        parameters: BaseTrackerParameters,
    ) -> None:
        self.prediction, self.inputs = prediction, limits.inputs
        self.horizon = Horizon(prediction, limits.omni)
        self.builder: MotionBuilder = UnicycleMotions(
            limits, tuple(robot.joint_names), robot.base_frame)
        self.observer: Observer = PoseDrift(
            enabled=parameters.observer, time_constant_s=parameters.observer_time_constant_s,
            ignore_m=parameters.follow_rad, yaw_arm_m=parameters.yaw_arm_m)
        self.clock = ReferenceClock(
            prediction.steps, prediction.dt_s, scale_rate=parameters.scale_rate,
            project_rad=PROJECT_M, lost_rad=LOST_M,
            scale=np.array([1.0, 1.0, parameters.yaw_arm_m]), reader=read_cubics)
        self._to_goal = GoalDrive(robot.drive, limits, prediction)
        self._none = np.zeros(3)
        self._turned: tuple[Trajectory, Trajectory] | None = None

    def plan(self, plan: Trajectory | None, here: Sample) -> Trajectory | None:
        """Return a copy with its yaw moved by whole turns, so that it begins near this one."""
        if plan is None:
            return None
        if self._turned is None or self._turned[0] is not plan:
            first = float(plan.position[0, 2])
            turns = unwrapped(first, float(here.position[2])) - first
            turns = turns if abs(turns) > 1.0 else 0.0
            self._turned = (plan, replace(
                plan, times_s=np.array(plan.times_s, dtype=float),
                position=plan.position + np.array([0.0, 0.0, turns]),
                velocity=np.array(plan.velocity, dtype=float)))
        return self._turned[1]

    def sample(self, motion: Trajectory, at_s: float) -> Sample:
        """Return the state of a motion at a ROS time [s]."""
        rows = read_cubics(
            motion.times_s, motion.position, motion.velocity, np.array([at_s - motion.stamp_s]))
        return Sample(rows[0][0], rows[1][0], rows[2][0])

    def seen(self, here: Sample, correction: Array) -> Sample:
        """Return the pose less the drift."""
        return Sample(here.position - correction, here.velocity, here.acceleration)

    def goal(self, goal: Array, here: Sample) -> ReferenceWindow:
        """Return the reference that turns to the goal, drives straight there and turns."""
        return self._to_goal.window(goal, here)

    def problem(
        self, here: Sample, window: ReferenceWindow, correction: Array | None,
        shifted: Array | None,
    ) -> UnicycleProblem:
        """Return the problem; the reference is seen from the command instead of the robot."""
        twist, rate = begin(here, self.horizon.omni)
        pose, wanted, feed = described(
            window.position, window.velocity, window.acceleration, here.position,
            self._none if correction is None else correction, self.horizon.omni)
        anchor = feed
        if shifted is not None:
            anchor = np.zeros_like(feed)
            anchor[:, self.horizon.columns] = shifted
        return UnicycleProblem(here, here.position, twist, rate, pose, wanted, feed, anchor)

    def motion(
        self, problem: UnicycleProblem, inputs: Array
    ) -> tuple[Array, Array, Array, Array]:
        """Return poses, velocities, accelerations in the world, [N+1, 3] each, and inputs.

        The first knot is C itself.
        """
        rolled, here = self.horizon.roll(problem, inputs), problem.start
        rolled[0, 0], rolled[2, 0], rolled[3, 0] = here.position, here.velocity, here.acceleration
        full = self.horizon.full(problem, inputs)[:, self.horizon.columns]
        return rolled[0], rolled[2], rolled[3], full


def read_cubics(
    times: Array, position: Array, velocity: Array, at: Array
) -> tuple[Array, Array, Array]:
    """Return what `trajectory.hermite` returns, several times faster."""
    for array in (times, position, velocity):
        if not (array.flags.carray and array.dtype == np.float64):
            return hermite(times, position, velocity, at)
    rows = sampled(times, position, velocity, at)
    return rows[0], rows[1], rows[2]
