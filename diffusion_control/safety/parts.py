# SPDX-License-Identifier: Apache-2.0
"""The parts of the monitor that depend on the kind of robot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.state import RobotState
from diffusion_control.safety.base.candidates import BaseCandidates
from diffusion_control.safety.base.filter import BaseStepFilter
from diffusion_control.safety.base.follow import BaseFollower
from diffusion_control.safety.base.output import TwistOutput
from diffusion_control.safety.base.trust import BaseTrust
from diffusion_control.safety.base.verify import BaseVerifier
from diffusion_control.safety.candidates import Candidates
from diffusion_control.safety.choice import Chooser
from diffusion_control.safety.follow import Follower, Following
from diffusion_control.safety.outputs import Output, make_output
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.step_filter import StepFilter
from diffusion_control.safety.trust import Trust
from diffusion_control.safety.verify import Verifier
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]


class AnyFollower(Protocol):
    """What compares the robot with C; see `follow.Follower`."""

    def forget(self) -> None:
        """Drop the memory."""
        ...

    def remember(self, committed: Trajectory, now_s: float) -> None:
        """Take over where C is now."""
        ...

    def measure(self, state: RobotState) -> Following:
        """Return how well the robot follows."""
        ...

    def anchored(self, committed: Trajectory) -> Trajectory:
        """Return C where the last measurement puts it."""
        ...


class AnyTrust(Protocol):
    """What decides when a robot is trusted again; see `trust.Trust`."""

    lost: bool

    def lose(self) -> None:
        """Withdraw the trust."""
        ...

    def regain(self) -> None:
        """Trust the robot again."""
        ...

    def target(self, committed: Array, state: RobotState) -> Array | None:
        """Return where the set-point goes next."""
        ...


@dataclass(frozen=True)
class Parts:
    """Makers of the parts of one robot's monitor.

    Attributes:
        robot: The robot.
    """

    robot: Robot

    def chooser(self, parameters: SafetyParameters, verifier: Any = None) -> Chooser:
        """Return what chooses motions; another verifier stands in for the real one."""
        robot = self.robot
        if isinstance(robot, Base):
            return Chooser(
                BaseCandidates(robot, parameters), verifier or BaseVerifier(robot, parameters),
                BaseStepFilter(robot, parameters) if parameters.filter else None)
        return Chooser(
            Candidates(robot.limits, parameters), verifier or Verifier(robot, parameters),
            StepFilter(robot, parameters) if parameters.filter else None)

    def follower(self, delay_s: float) -> AnyFollower:
        """Return what compares the robot with what it was told."""
        if isinstance(self.robot, Base):
            return BaseFollower(self.robot, delay_s)
        return Follower(self.robot, delay_s)

    def trust(self) -> AnyTrust:
        """Return what decides when a robot that did not follow is trusted again."""
        return BaseTrust() if isinstance(self.robot, Base) else Trust(self.robot.limits)

    def output(self, parameters: SafetyParameters) -> Output:
        """Return the command's type.

        Raises:
            ConfigurationError: A type that this kind of robot does not take.
        """
        if isinstance(self.robot, Base):
            return TwistOutput(self.robot, parameters)
        return make_output(parameters, self.robot.limits.velocity_rad_s)
