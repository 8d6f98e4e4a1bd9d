# SPDX-License-Identifier: Apache-2.0
"""Where the arm shall go, and when it counts as arrived."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.obstacles import rotation_matrix
from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.state import RobotState

Array = NDArray[np.float64]
JOINT_TOLERANCE_RAD = 0.02
SPEED_TOLERANCE = 0.02


@dataclass(frozen=True)
class Goal:
    """A goal in joint space, or a pose of the tool in the robot's base frame.

    Attributes:
        joints_rad: Joint positions, shape [n] [rad]; None for a tool goal.
        position_m: Tool position, shape [3] [m]; None for a joint goal.
        quaternion: Tool orientation x, y, z, w, shape [4]; None leaves it free.
    """

    joints_rad: Array | None = None
    position_m: Array | None = None
    quaternion: Array | None = None

    def __post_init__(self) -> None:
        """Refuse goals that are of both kinds or of none, and numbers that are not finite."""
        if (self.joints_rad is None) == (self.position_m is None):
            raise ConfigurationError(
                'a goal needs either joints or a tool position', where='goal',
                value=(self.joints_rad, self.position_m),
                allowed='exactly one of joints_rad, position_m')
        if self.quaternion is not None and self.position_m is None:
            raise ConfigurationError(
                'a goal in joint space has no tool orientation', where='goal.quaternion',
                value=self.quaternion, allowed='quaternion only together with position_m')
        for name, length in (('joints_rad', None), ('position_m', 3), ('quaternion', 4)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _vector(f'goal.{name}', value, length))
        if self.quaternion is not None and abs(np.linalg.norm(self.quaternion) - 1.0) > 1e-2:
            raise ConfigurationError(
                'quaternion of the goal is not of unit length', where='goal.quaternion',
                value=self.quaternion.tolist(), allowed='x, y, z, w with norm 1')

    @property
    def rotation(self) -> Array | None:
        """Rotation matrix of the wanted tool orientation, shape [3, 3]; None where it is free."""
        return None if self.quaternion is None else rotation_matrix(self.quaternion)

    @property
    def key(self) -> bytes:
        """What tells goals apart: equal goals have equal keys."""
        return b''.join(
            b'-' if part is None else part.tobytes()
            for part in (self.joints_rad, self.position_m, self.quaternion))

    def check(self, robot: Robot) -> None:
        """Refuse a goal that this robot can never take.

        Joints must be n numbers inside the position limits; a tool position must be nearer to
        the base than the stretched arm is long (necessary, not sufficient: the planner's inverse
        kinematics has the last word).

        Raises:
            ConfigurationError: Wrong number of joints, outside the limits, out of reach.
        """
        if self.joints_rad is not None:
            _check_joints(self.joints_rad, robot)
        elif self.position_m is not None:
            distance = float(np.linalg.norm(self.position_m))
            if distance > robot.reach_m:
                raise ConfigurationError(
                    f'the goal is out of the reach of {robot.name}: {distance:.3f} m',
                    where='goal.position_m', value=self.position_m.tolist(),
                    allowed=f'at most {robot.reach_m:.3f} m from {robot.base_frame}',
                    remedy='move the goal nearer')

    def error(self, robot: Robot, position: Array) -> tuple[float, float]:
        """Return how far a configuration is from the goal.

        Args:
            robot: The robot.
            position: Joint positions, shape [n] [rad].

        Returns:
            A tool goal, or a pose x, y, yaw of a base: distance [m] and angle [rad] (0 where the
            orientation is free); a joint goal: largest joint error [rad] and 0.
        """
        if self.joints_rad is not None and robot.kind == 'base':
            apart = position - self.joints_rad
            turn = (apart[2] + np.pi) % (2.0 * np.pi) - np.pi
            return float(np.hypot(apart[0], apart[1])), abs(float(turn))
        if self.joints_rad is not None:
            return float(np.abs(position - self.joints_rad).max()), 0.0
        tool, rotation = robot.tool_pose(position)
        assert self.position_m is not None
        distance = float(np.linalg.norm(tool - self.position_m))
        wanted = self.rotation
        return distance, 0.0 if wanted is None else rotation_angle(wanted.T @ rotation)

    def reached(self, robot: Robot, state: RobotState, *, check_speed: bool = True) -> bool:
        """Say whether the state is at the goal, and at rest.

        Tool within 0.01 m and 0.05 rad (a base: within 0.15 m and 0.2 rad), or every joint of an
        arm within 0.02 rad; every speed less than 0.02. (A run counts a goal once this held for
        0.3 s; the caller keeps that time.)
        """
        first, angle = self.error(robot, state.position)
        distance, most = robot.goal_tolerance
        in_joints = self.joints_rad is not None and robot.kind == 'arm'
        near = first <= JOINT_TOLERANCE_RAD if in_joints else first <= distance and angle <= most
        return near and (not check_speed or float(np.abs(state.velocity).max()) < SPEED_TOLERANCE)


def rotation_angle(rotation: Array) -> float:
    """Return the angle of a rotation matrix [rad], accurate near 0 and near pi.

    With s = |vee(R - R^T)| / 2 = sin(angle) and c = (trace(R) - 1) / 2 = cos(angle).
    """
    skew = rotation - rotation.T
    sine = 0.5 * float(np.linalg.norm([skew[2, 1], skew[0, 2], skew[1, 0]]))
    return float(np.arctan2(sine, 0.5 * (float(np.trace(rotation)) - 1.0)))


def _vector(where: str, value: object, length: int | None) -> Array:
    """Return a finite vector of floats, or say what is wrong with it."""
    allowed = f'{length or "n"} finite numbers'
    try:
        array = np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise ConfigurationError(
            'goal is not a list of numbers', where=where, value=value, allowed=allowed) from None
    if array.ndim != 1 or (length or len(array)) != len(array) or not np.isfinite(array).all():
        raise ConfigurationError('bad goal', where=where, value=array.tolist(), allowed=allowed)
    return array


def _check_joints(joints: Array, robot: Robot) -> None:
    """Refuse joints of the wrong number or outside the position limits."""
    if len(joints) != robot.dof:
        raise ConfigurationError(
            f'the goal has {len(joints)} joints, {robot.name} has {robot.dof}',
            where='goal.joints_rad', value=joints.tolist(), allowed=', '.join(robot.joint_names))
    lower, upper = robot.limits.lower_rad, robot.limits.upper_rad
    outside = np.flatnonzero((joints < lower) | (joints > upper))
    if len(outside):
        k = int(outside[0])
        raise ConfigurationError(
            f'the goal of {robot.joint_names[k]} is outside its limits',
            where='goal.joints_rad', value=float(joints[k]),
            allowed=f'{lower[k]:.4f} .. {upper[k]:.4f} rad')
