# SPDX-License-Identifier: Apache-2.0
"""Plans and motions of a robot as messages: one codec for arms, one for bases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from rclpy.serialization import deserialize_message
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

from diffusion_control.errors import ConfigurationError
from diffusion_control.nodes import wire, wire_multi_dof
from diffusion_control.nodes.convert import (
    MAX_POINTS,
    from_time,
    message_to_plan,
    message_to_trajectory,
)
from diffusion_control.robots.planar import unwrapped
from diffusion_control.tracking.admission import PlanArrays
from diffusion_control.trajectory.trajectory import Trajectory

MAX_BYTES = 65_536


class Motions(Protocol):
    """How the trajectories of a robot travel."""

    @property
    def message(self) -> Any:
        """Class of the message."""
        ...

    def encode(self, motion: Trajectory) -> bytes:
        """Return a serialized message."""
        ...

    def read(self, data: bytes, now_s: float, where: str) -> Trajectory:
        """Return the trajectory of a serialized message; a zero stamp means `now_s`.

        Raises:
            ConfigurationError: It is too large, cannot be decoded, or is no motion of the robot.
        """
        ...

    def read_plan(self, data: bytes, now_s: float) -> PlanArrays | None:
        """Return what a serialized plan holds, unchecked; None if it is too large or broken.

        Decoding 1e5 points would hold the interpreter for half a second and with it the control
        thread; 40 points of 16 joints take less than 64 KiB.
        """
        ...

    def spoil(self, data: bytes) -> bytes:
        """Return a serialized plan with a NaN in the middle, for the fault `plan_nan`."""
        ...


class JointMotions:
    """Motions of an arm: trajectory_msgs/JointTrajectory, in the robot's joint order.

    Args:
        names: Joints in that order.
    """

    message = JointTrajectory

    def __init__(self, names: tuple[str, ...]) -> None:
        """Remember the joints."""
        self._names = names

    def encode(self, motion: Trajectory) -> bytes:
        """Return a serialized JointTrajectory."""
        return wire.encode(motion)

    def read(self, data: bytes, now_s: float, where: str) -> Trajectory:
        """Return the trajectory of a message; see `Motions.read`."""
        check_size(data, where)
        fast = wire.decode(data)
        if fast is not None and fast[2] == self._names:
            stamp, frame_id, _, times, position, velocity = fast
            return Trajectory(
                stamp if stamp > 0.0 else now_s, times, position, velocity,
                np.zeros_like(position), self._names, frame_id)
        message = decoded(data, JointTrajectory, where)
        return message_to_trajectory(message, self._names, now_s, where)

    def read_plan(self, data: bytes, now_s: float) -> PlanArrays | None:
        """Return the arrays of a message; see `Motions.read_plan`."""
        if len(data) > MAX_BYTES:
            return None
        fast = wire.decode(data)
        if fast is not None and fast[2] == self._names:
            stamp, _, _, times, position, velocity = fast
            return PlanArrays(
                stamp if stamp > 0.0 else now_s, times, position, velocity, self._names)
        try:
            return message_to_plan(
                deserialize_message(data, JointTrajectory), self._names, now_s)
        except RuntimeError:
            return None

    def spoil(self, data: bytes) -> bytes:
        """Return the plan with a NaN among its positions."""
        from rclpy.serialization import serialize_message
        message = deserialize_message(data, JointTrajectory)
        if message.points:
            message.points[len(message.points) // 2].positions[0] = float('nan')
        return bytes(serialize_message(message))


class BaseMotions:
    """Motions of a base: trajectory_msgs/MultiDOFJointTrajectory of the joint `base` in `odom`.

    Yaw is unwrapped in every process by itself, so a motion is moved by whole turns to begin
    nearest to the yaw measured here.

    Args:
        names: x, y, yaw.
        frame_id: The only frame that is taken, besides none.
        yaw: Returns the yaw measured last [rad].
    """

    message = MultiDOFJointTrajectory

    def __init__(self, names: tuple[str, ...], frame_id: str, yaw: Callable[[], float]) -> None:
        """Remember names, frame and where yaw comes from; compile what decodes."""
        wire_multi_dof.warm_up()
        self._names, self._frame, self._yaw = names, frame_id, yaw

    def encode(self, motion: Trajectory) -> bytes:
        """Return a serialized MultiDOFJointTrajectory."""
        return wire_multi_dof.encode(motion)

    def read(self, data: bytes, now_s: float, where: str) -> Trajectory:
        """Return the trajectory of a message; see `Motions.read`."""
        check_size(data, where)
        motion = wire_multi_dof.decode(data)
        if motion is None:
            motion = from_message(decoded(data, MultiDOFJointTrajectory, where), where)
        if not 1 <= len(motion.times_s) <= MAX_POINTS:
            raise ConfigurationError(
                'wrong number of points', where=where, value=len(motion.times_s),
                allowed=f'1 to {MAX_POINTS}')
        if motion.joints != wire_multi_dof.JOINTS:
            raise ConfigurationError(
                'joint names do not match', where=where, value=list(motion.joints),
                allowed=str(list(wire_multi_dof.JOINTS)))
        self._check_frame(motion.frame_id, where)
        self._turn(motion)
        return Trajectory(
            motion.stamp_s if motion.stamp_s > 0.0 else now_s, motion.times_s, motion.position,
            motion.velocity, np.zeros_like(motion.position), self._names, self._frame)

    def read_plan(self, data: bytes, now_s: float) -> PlanArrays | None:
        """Return the arrays of a message; see `Motions.read_plan`."""
        try:
            check_size(data, 'plan')
            motion = wire_multi_dof.decode(data)
            if motion is None:
                motion = from_message(decoded(data, MultiDOFJointTrajectory, 'plan'), 'plan')
            self._check_frame(motion.frame_id, 'plan')
        except ConfigurationError:
            return None
        self._turn(motion)
        names = self._names if motion.joints == wire_multi_dof.JOINTS else motion.joints
        return PlanArrays(
            motion.stamp_s if motion.stamp_s > 0.0 else now_s, motion.times_s, motion.position,
            motion.velocity, names)

    def spoil(self, data: bytes) -> bytes:
        """Return the plan with a NaN among its positions."""
        from rclpy.serialization import serialize_message
        message = deserialize_message(data, MultiDOFJointTrajectory)
        if message.points:
            point = message.points[len(message.points) // 2]
            point.transforms[0].translation.x = float('nan')
        return bytes(serialize_message(message))

    def _check_frame(self, frame_id: str, where: str) -> None:
        if frame_id not in ('', self._frame):
            raise ConfigurationError(
                'a motion is in another frame', where=f'{where}.header.frame_id', value=frame_id,
                allowed=self._frame, remedy='transform it: odom is the frame without jumps')

    def _turn(self, motion: wire_multi_dof.PlanarMotion) -> None:
        first = float(motion.position[0, 2]) if len(motion.position) else np.nan
        if np.isfinite(first):
            motion.position[:, 2] += unwrapped(first, self._yaw()) - first


def from_message(
    message: MultiDOFJointTrajectory, where: str
) -> wire_multi_dof.PlanarMotion:
    """Return the motion of a decoded message.

    Raises:
        ConfigurationError: There is no point, or one without exactly one pose and one velocity.
    """
    points = message.points
    if not points or any(len(p.transforms) != 1 or len(p.velocities) != 1 for p in points):
        raise ConfigurationError(
            'each point needs one transform and one velocity', where=where, value=len(points),
            allowed='a pose and a velocity of the joint base')
    poses, rates = [p.transforms[0] for p in points], [p.velocities[0] for p in points]

    def rows(vectors: list[Any], axes: str) -> Any:
        return np.array([[getattr(v, axis) for axis in axes] for v in vectors], dtype=float)

    times = [p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in points]
    every = np.zeros((len(points), wire_multi_dof.COLUMNS))
    every[:, :3] = rows([p.translation for p in poses], 'xyz')
    every[:, 3:7] = rows([p.rotation for p in poses], 'xyzw')
    every[:, 8:11] = rows([v.linear for v in rates], 'xyz')
    every[:, 11:14] = rows([v.angular for v in rates], 'xyz')
    return wire_multi_dof.planar(
        from_time(message.header.stamp), message.header.frame_id, tuple(message.joint_names),
        np.array(times), every)


def check_size(data: bytes, where: str) -> None:
    """Refuse a message that would take long to decode."""
    if len(data) > MAX_BYTES:
        raise ConfigurationError(
            'the message is too large', where=where, value=len(data),
            allowed=f'at most {MAX_BYTES} bytes')


def decoded(data: bytes, kind: Any, where: str) -> Any:
    """Return the message; one that rclpy cannot decode is refused."""
    try:
        return deserialize_message(data, kind)
    except RuntimeError as error:
        raise ConfigurationError('the message cannot be decoded', where=where,
                                 value=str(error)) from error
