# SPDX-License-Identifier: Apache-2.0
"""The monitor of a base: that of an arm with arcs for stops, twists out, and map and scan in.

A base is driven by twists, so slip carries it away from C. C is therefore drawn back to where the
robot is, by 3 % of the difference in each tick: a robot that drives as it is told stays within
millimetres, one that is held falls behind and is noticed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import require_known
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.robots.planar import unwrapped
from diffusion_control.safety.base.candidates import ArcCandidates
from diffusion_control.safety.base.output import TwistSample
from diffusion_control.safety.base.verify import BaseVerifier
from diffusion_control.safety.choice import Choice, Chooser
from diffusion_control.safety.decision import SafetyDecision
from diffusion_control.safety.follow import Following
from diffusion_control.safety.health import Health
from diffusion_control.safety.inputs import InputFilter, Inputs
from diffusion_control.safety.monitor import SafetyMonitor
from diffusion_control.safety.outputs import TWISTS, Output
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.verify import Surroundings, moving_until
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
DRAW = 0.03


class BaseInputs(InputFilter):
    """Checked inputs whose obstacles are all that surrounds a base."""

    def __init__(self, robot: Base) -> None:
        """Begin with nothing received."""
        super().__init__(robot.joint_names)
        self._robot = robot
        self.map: Any = None
        self.scan: Any = None

    def _pack(self, obstacles: object) -> ObstacleArrays | None:
        if not isinstance(obstacles, tuple) or not all(
                isinstance(item, Obstacle) for item in obstacles):
            return None
        return self._robot.pack(obstacles, map=self.map, scan=self.scan)


class BaseMonitor(SafetyMonitor):
    """Own the committed trajectory of a base and decide which twist is sent."""

    _robot: Base

    def __init__(self, robot: Base, parameters: SafetyParameters) -> None:
        """Prepare everything; nothing is allocated or compiled later."""
        super().__init__(robot, replace(
            parameters, filter=False,
            command_delay_s=parameters.command_delay_s + robot.plant.motor_lag_s))

    def _make_output(self, parameters: SafetyParameters) -> Output:
        require_known(
            'a base is driven by twists', 'safety.command_out_type', parameters.command_out_type,
            TWISTS)
        return TwistSample(self._robot, parameters)

    def _make_chooser(self, parameters: SafetyParameters) -> Chooser:
        robot = self._robot
        return Chooser(ArcCandidates(robot, parameters), BaseVerifier(robot, parameters), None)

    def disarm(self) -> None:
        """Forget what was committed; see `SafetyMonitor.disarm`."""
        super().disarm()
        self._inputs = BaseInputs(self._robot)

    def step(
        self, state: object, motion: object, obstacles: object, now_s: float, *,
        map: object = None, scan: object = None, health: Health | None = None,
    ) -> SafetyDecision:
        """Return the decision of one tick; see `SafetyMonitor.step`.

        A map or scan that is asked for (its age is not None) and missing stops the robot.
        """
        inputs = self._inputs
        assert isinstance(inputs, BaseInputs)
        inputs.map, inputs.scan = map or inputs.map, scan or inputs.scan
        return super().step(state, motion, obstacles, now_s, health=health)

    def _judge(self, inputs: Inputs, following: Following, now_s: float, jumped: bool) -> Health:
        judged = super()._judge(inputs, following, now_s, jumped)
        self._draw(inputs, following)
        return judged

    def _draw(self, inputs: Inputs, following: Following) -> None:
        """Draw C a little to where the robot is."""
        state, committed = inputs.state, self._committed
        if state is None or committed is None or following.expected is None:
            return
        behind = state.position - following.expected
        behind[2] = unwrapped(float(behind[2]), 0.0)
        self._committed = moved(committed, DRAW * behind, self._last_s)
        self._moves_until_s = self._committed.stamp_s + moving_until(self._committed)

    def _stand(
        self, committed: Trajectory, inputs: Inputs, following: Following, now_s: float,
        around: Surroundings,
    ) -> Choice:
        if self._trust.lost and following.stands:
            self._trust.regain()
        return super()._stand(committed, inputs, following, now_s, around)


def moved(motion: Trajectory, step: Array, about_s: float) -> Trajectory:
    """Return a motion moved by x, y and turned by yaw about where it is at a time."""
    centre = motion.sample(max(about_s, motion.start_s)).position if math.isfinite(about_s) else (
        motion.position[0])
    c, s = math.cos(step[2]), math.sin(step[2])
    away, velocity = motion.position - centre, motion.velocity
    position = np.stack([
        centre[0] + step[0] + c * away[:, 0] - s * away[:, 1],
        centre[1] + step[1] + s * away[:, 0] + c * away[:, 1],
        motion.position[:, 2] + step[2]], axis=1)
    turned = np.stack([
        c * velocity[:, 0] - s * velocity[:, 1], s * velocity[:, 0] + c * velocity[:, 1],
        velocity[:, 2]], axis=1)
    return replace(motion, position=position, velocity=turned)
