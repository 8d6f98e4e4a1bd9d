# SPDX-License-Identifier: Apache-2.0
"""What a receiver is sent, without any middleware: plain names, numbers and stamps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffusion_control.trajectory.trajectory import Array, Trajectory

Rows = Array | Sequence[Sequence[float]]


@dataclass(frozen=True)
class TrajectoryMessage:
    """The content of a trajectory_msgs/JointTrajectory, not yet checked.

    Attributes:
        names: Joint names, in the sender's order, shape [n].
        stamp_s: ROS time of `times_s` = 0 [s]; 0 means "when it is first sampled".
        times_s: time_from_start of the points [s], shape [T].
        position: [rad], shape [T, n].
        velocity: [rad/s], shape [T, n], or None where the points carry none.
        acceleration: [rad/s^2], shape [T, n], or None; with it the segments are quintic.
    """

    names: tuple[str, ...]
    stamp_s: float
    times_s: Array | Sequence[float]
    position: Rows
    velocity: Rows | None = None
    acceleration: Rows | None = None

    @classmethod
    def of(cls, trajectory: Trajectory) -> TrajectoryMessage:
        """Return the message of a trajectory, without its accelerations.

        A `Trajectory` is cubic between its knots; a controller that is sent accelerations would
        draw quintic segments instead, so they are left out.
        """
        return cls(trajectory.names, trajectory.stamp_s, trajectory.times_s,
                   trajectory.position, trajectory.velocity)


@dataclass(frozen=True)
class SampleMessage:
    """One sample of positions or velocities (Float64MultiArray, or JointState with names).

    Attributes:
        values: [rad] or [rad/s], shape [n].
        names: Joint names; empty where the wire carries none (the controller's order then).
    """

    values: Array | Sequence[float]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class TwistMessage:
    """A twist of a base's body (TwistStamped, or Twist without a stamp).

    Attributes:
        twist: Forward, sideways [m/s], yaw rate [rad/s], shape [3].
        stamp_s: ROS time at which it was sent [s]; 0 where the wire carries none.
    """

    twist: Array
    stamp_s: float = 0.0


Message = TrajectoryMessage | SampleMessage | TwistMessage
