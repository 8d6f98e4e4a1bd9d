# SPDX-License-Identifier: Apache-2.0
"""Joint configurations that fulfil a goal, by inverse kinematics from many starts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.problem import PlanningError
from diffusion_control.planners.spline_problem import LIMIT_INSET_RAD
from diffusion_control.planners.world import World
from diffusion_control.robots.goal import Goal

Array = NDArray[np.float64]
STARTS = 48
ITERATIONS = 60
POSITION_ERROR_M = 2e-4
ANGLE_ERROR_RAD = 1e-3
TRY_AGAIN_RAD = 0.2
DISTINCT_RAD = 0.2


class GoalConfigurations:
    """Finds up to `count` configurations for a goal, and remembers them while the goal stays.

    Args:
        robot: The arm.
        count: Largest number of configurations.
        seed: Seed of the random starts; the same goal gives the same configurations.
    """

    def __init__(self, robot: Any, *, count: int = 6, seed: int = 0) -> None:
        self.robot, self.count, self.seed = robot, count, seed
        self._key: bytes = b''
        self._found: Array = np.zeros((0, robot.dof))
        self._failed: tuple[bytes, Array, PlanningError] | None = None

    def find(self, goal: Goal, position: Array, world: World, keep: Array | None = None) -> Array:
        """Return configurations [K, n] at the goal, the nearest first.

        Sorted by |(q - position) / v_max| plus 20 s/m times what is missing to the margin;
        `keep`, the end of the plan that is followed, comes first while it is free.

        Raises:
            PlanningError: `goal_unreachable` (no configuration inside the limits) or
                `goal_in_collision` (each of them touches something that stands).
            ConfigurationError: The goal is malformed or far out of reach.
        """
        found = self.configurations(goal, position)
        near, own = np.array([world.standing_clearance(q) for q in found]).T
        free = (near > 0.0) & (own > 0.0)
        if not free.any():
            raise PlanningError(
                'goal_in_collision', 'the goal is in collision with an obstacle or the robot',
                where='goal', value=_value(goal),
                allowed='a free configuration at the goal',
                remedy='move the goal or the obstacle')
        missing = np.maximum(world.margin_m - near, 0.0) + np.maximum(
            world.own_margin_m - own, 0.0)
        distance = np.linalg.norm(
            (found - position) / self.robot.limits.velocity_rad_s, axis=1) + 20.0 * missing
        if keep is not None:
            distance[np.abs(found - keep).max(1) < 1e-2] = -1.0
        order = np.argsort(distance, kind='stable')
        sorted_free: Array = found[order[free[order]]]
        return sorted_free

    def configurations(self, goal: Goal, position: Array) -> Array:
        """Return configurations [K, n] at the goal inside the limits, collisions unregarded."""
        key = goal.key
        if key != self._key:
            goal.check(self.robot)
            if goal.joints_rad is not None:
                found = np.asarray(goal.joints_rad, dtype=float)[None]
            else:
                found = self._solved(goal, position)
            self._key, self._found = key, found
        return self._found

    def _solved(self, goal: Goal, position: Array) -> Array:
        """Solve, unless that failed already from about here."""
        if self._failed is not None:
            key, tried, error = self._failed
            if key == goal.key and np.abs(tried - position).max() < TRY_AGAIN_RAD:
                raise error.with_traceback(None)
        try:
            return self._solve(goal, position)
        except PlanningError as error:
            self._failed = goal.key, np.array(position), error
            raise

    def _solve(self, goal: Goal, position: Array) -> Array:
        """Run damped least squares from the state, home and random starts."""
        limits, generator = self.robot.limits, np.random.default_rng(self.seed)
        lower, upper = limits.lower_rad + LIMIT_INSET_RAD, limits.upper_rad - LIMIT_INSET_RAD
        middle, half = (lower + upper) / 2, 0.9 * (upper - lower) / 2
        found: list[Array] = []
        for index in range(STARTS):
            if index < 2:
                begin = np.clip((position, self.robot.home_rad)[index], lower, upper)
            elif index < STARTS // 3:
                begin = np.clip(position + generator.normal(0.0, 0.6, len(lower)), lower, upper)
            else:
                begin = middle + half * generator.uniform(-1.0, 1.0, len(lower))
            solution = inverse_kinematics(self.robot, goal, begin, lower, upper)
            if solution is not None and all(
                    np.abs(solution - other).max() > DISTINCT_RAD for other in found):
                found.append(solution)
            if len(found) == self.count:
                break
        if not found:
            raise PlanningError(
                'goal_unreachable', 'no joint configuration reaches the goal', where='goal',
                value=_value(goal), allowed='a pose inside the workspace and the joint limits',
                remedy='move the goal nearer or turn it')
        return np.array(found)


def inverse_kinematics(
    robot: Any, goal: Goal, begin: Array, lower: Array, upper: Array
) -> Array | None:
    """Return a configuration at a tool pose, or None after `ITERATIONS` steps.

    Damped least squares dq = J^T (J J^T + d^2 I)^-1 e with e = [p* - p, log(R* R^T)] and
    d^2 = 1e-4 + 0.05 |e|^2, projected to the limits (Nakamura, Hanafusa, "Inverse kinematic
    solutions with singularity robustness", 1986).
    """
    wanted, rotation = np.asarray(goal.position_m), goal.rotation
    rows = 3 if rotation is None else 6
    q = begin.copy()
    for _ in range(ITERATIONS):
        tool, turned = robot.tool_pose(q)
        error = wanted - tool
        if rotation is not None:
            error = np.concatenate([error, rotation_vector(rotation @ turned.T)])
        if np.linalg.norm(error[:3]) < POSITION_ERROR_M and (
                np.linalg.norm(error[3:]) < ANGLE_ERROR_RAD):
            return q
        jacobian = robot.tool_jacobian(q)[:rows]
        damping = 1e-4 + 0.05 * float(error @ error)
        step = jacobian.T @ np.linalg.solve(
            jacobian @ jacobian.T + damping * np.eye(rows), error)
        step *= min(1.0, 0.5 / max(float(np.abs(step).max()), 1e-9))
        q = np.clip(q + step, lower, upper)
    return None


def rotation_vector(rotation: Array) -> Array:
    """Return the rotation vector (axis times angle) of a rotation matrix, shape [3]."""
    skew = np.array([
        rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0],
        rotation[1, 0] - rotation[0, 1]])
    sine, cosine = np.linalg.norm(skew) / 2, (np.trace(rotation) - 1.0) / 2
    angle = float(np.arctan2(sine, cosine))
    if sine > 1e-6:
        scaled: Array = skew * (angle / (2.0 * sine))
        return scaled
    if cosine > 0:
        return skew / 2
    axis = np.sqrt(np.maximum((np.diag(rotation) + 1.0) / 2.0, 0.0))
    column = int(np.argmax(axis))
    signs = np.where(rotation[:, column] < 0, -1.0, 1.0)
    signs[column] = 1.0
    return np.asarray(axis * signs * angle)


def _value(goal: Goal) -> list[float]:
    """Return the numbers of a goal for a message."""
    part = goal.joints_rad if goal.joints_rad is not None else goal.position_m
    return [round(float(x), 4) for x in np.asarray(part)]
