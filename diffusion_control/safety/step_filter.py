# SPDX-License-Identifier: Apache-2.0
"""From what is committed and what surrounds it to the step that the barriers see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import DROOP_RAD
from diffusion_control.robots.protocol import Robot
from diffusion_control.safety.barriers.step import Step
from diffusion_control.safety.committed import at
from diffusion_control.safety.filter import BarrierFilter, Filtered
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.verify import Surroundings
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]


class StepFilter:
    """Filter the velocity that a motion asks for, seen from the committed trajectory.

    Args:
        robot: Limits, shape, kinematics and dynamics.
        parameters: Margins, gains and bounds.
    """

    def __init__(self, robot: Robot, parameters: SafetyParameters) -> None:
        """Prepare the filter; positions stay where set-points may be, stops are gentle."""
        self.programme = BarrierFilter(robot, parameters)
        self._parameters = parameters
        limits, share = robot.limits.inset(DROOP_RAD), parameters.braking_fraction
        self._limits = replace(
            limits, acceleration_rad_s2=share * limits.acceleration_rad_s2,
            jerk_rad_s3=share * limits.jerk_rad_s3)

    def filter(
        self, committed: Trajectory, now_s: float, ahead_s: float, asked: Array,
        around: Surroundings,
    ) -> Filtered:
        """Return the velocity at now + ahead that is nearest to the asked one [n].

        Args:
            committed: C, which the robot follows with its delay.
            now_s: ROS time [s].
            ahead_s: Duration of the step [s].
            asked: Velocity of the tracker's motion after the step [rad/s].
            around: Obstacles, their age, and how far the robot was beside its path.
        """
        return self.programme.filter(self.step(committed, now_s, ahead_s, around), asked)

    def step(
        self, committed: Trajectory, now_s: float, ahead_s: float, around: Surroundings
    ) -> Step:
        """Return the step that the barriers see; arguments as for `filter`."""
        position, velocity, acceleration = at(committed, now_s)
        stopping = at(committed, now_s + ahead_s)[1]
        return Step(
            position, velocity, acceleration, stopping, ahead_s, self._limits,
            self._parameters.class_k_gain, around.obstacles,
            around.late(self._parameters.command_delay_s)[0], around.deviation_m)
