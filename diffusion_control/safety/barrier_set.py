# SPDX-License-Identifier: Apache-2.0
"""All barriers of one robot, and which of their rows go into the quadratic programme."""

from __future__ import annotations

from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.robots.nearest import Nearest
from diffusion_control.robots.protocol import Robot
from diffusion_control.safety.barriers import (
    joint_acceleration,
    joint_position,
    joint_torque,
    joint_velocity,
    link_link,
    link_obstacle,
    separation,
    tool_speed,
    workspace_box,
)
from diffusion_control.safety.barriers.step import Bounds, Rows, Step
from diffusion_control.safety.parameters import SafetyParameters

Array = NDArray[np.float64]

SELF, STANDING, WORKSPACE, MOVING, SEPARATION = range(5)
SLACK_WEIGHTS = np.array([1e6, 1e5, 1e5, 1e4, 1e3])
"""Cost of a slack squared: own links before what stands, before what moves, before people."""
NEAREST_ROWS = 40
EARLIER_M = 0.005
"""By how much barriers begin before the margin of the verification, which is to stay silent."""
TORQUE_SHARE = 0.8
"""Of the torque limits: the robot may be heavier and stiffer to move than its model says."""


class ArmModel(joint_torque.Dynamics, Protocol):
    """What the barriers need of an arm beyond what every robot has."""

    def tool_jacobian(self, position: Array) -> Array:
        """Return d(velocity, angular velocity of the tool) / d(joint velocities), [6, n]."""
        ...

    def tool_pose(self, position: Array) -> tuple[Array, Array]:
        """Return position [3] and rotation [3, 3] of the tool."""
        ...


class BarrierSet:
    """Evaluate the barriers that the parameters ask for.

    Args:
        robot: Shape, kinematics and dynamics.
        parameters: Margins and bounds.
    """

    def __init__(self, robot: Robot, parameters: SafetyParameters) -> None:
        """Take over what is needed."""
        self._robot, self._parameters = robot, parameters
        self._arm = cast(ArmModel, robot)
        self._movers = link_obstacle.MoverBounds(
            parameters.obstacles_max_speed_m_s, parameters.obstacles_max_acceleration_m_s2,
            parameters.obstacles_velocity_error_m_s)
        self._separation = separation.Separation(
            parameters.separation_person_speed_m_s, parameters.separation_reaction_s,
            parameters.separation_intrusion_m)
        self._lower, self._upper = parameters.workspace

    @property
    def _uses_tool(self) -> bool:
        return self._parameters.tool_speed_max_m_s > 0.0 or bool(
            np.isfinite(self._lower).any() or np.isfinite(self._upper).any())

    def bounds(self, step: Step) -> Bounds:
        """Return the bounds of single joints: those of position and speed, in reach.

        They always admit `step.stopping`, the velocity of the stored motion, and so are never
        empty.
        """
        reach = joint_acceleration.bounds(step, self._robot.limits)
        speed = joint_velocity.bounds(step, self._parameters.speed_scale)
        place = joint_position.bounds(step)
        lower, upper = _common(
            reach.lower, reach.upper, speed.lower, speed.upper, place.lower, place.upper,
            step.stopping)
        return Bounds(lower, upper)

    def rows(self, step: Step, nominal: Array) -> Rows:
        """Return the rows of everything else: the nearest pairs, torque, tool and people."""
        parameters = self._parameters
        near = self.near(step)
        found = [joint_torque.barrier(step, self._arm, TORQUE_SHARE)]
        outer = near.outer
        own, others = near.take(slice(outer, None)), near.take(slice(outer))
        found.append(link_link.barrier(step, own, parameters.own_margin_m + EARLIER_M, SELF))
        if outer:
            found.append(link_obstacle.barrier(
                step, others, parameters.margin_m + EARLIER_M, self._movers,
                standing=STANDING, moving=MOVING))
            if parameters.separation_person_speed_m_s > 0.0:
                found.append(separation.barrier(step, others, self._separation, SEPARATION))
        if self._uses_tool:
            found += self._tool_rows(step, nominal)
        return Rows(*(np.concatenate([getattr(rows, name) for rows in found])
                      for name in ('slope', 'floor', 'softness', 'h')))

    def near(self, step: Step) -> Nearest:
        """Return the nearest pairs, at most `NEAREST_ROWS` of them: obstacles, then own links."""
        late = step.late_s * step.obstacles.may_move.astype(np.float64)
        return self._robot.collision.nearest(
            step.position, step.obstacles, late, limit=NEAREST_ROWS)

    def _tool_rows(self, step: Step, nominal: Array) -> list[Rows]:
        parameters = self._parameters
        jacobian = self._arm.tool_jacobian(step.position)[:3]
        found = []
        if parameters.tool_speed_max_m_s > 0.0:
            found.append(tool_speed.barrier(
                step, jacobian, nominal, parameters.tool_speed_max_m_s))
        tool, _ = self._arm.tool_pose(step.position)
        found.append(workspace_box.barrier(
            step, tool, jacobian, self._lower, self._upper, parameters.margin_m, WORKSPACE))
        return found


@kernel()
def _common(
    least: Any, most: Any, slow: Any, fast: Any, low: Any, high: Any, stopping: Any
) -> Any:
    """Return the bounds of speed and place, moved into reach, widened to `stopping`, [2, n]."""
    found = np.empty((2, len(stopping)))
    for i in range(len(stopping)):
        lower = min(max(slow[i], low[i], least[i]), most[i])
        upper = max(min(fast[i], high[i], most[i]), least[i])
        found[0, i] = min(lower, upper, stopping[i])
        found[1, i] = max(lower, upper, stopping[i])
    return found
