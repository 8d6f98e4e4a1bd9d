# SPDX-License-Identifier: Apache-2.0
"""Received commands as functions of time, the way that their receiver runs them.

A ros2_control JointTrajectoryController interpolates with cubics where points have velocities,
with quintics where they have accelerations too, linearly where they have positions alone; before
the first point it goes on from its running set-point, after the last one it holds.
Source: ros2_controllers, joint_trajectory_controller/src/trajectory.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BPoly, CubicHermiteSpline, PPoly

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Command:
    """One received trajectory, joints in the robot's order.

    Attributes:
        sent_s: ROS time at which it was sent [s].
        stamp_s: ROS time of `times_s` = 0 [s].
        times_s: Shape [T].
        position: Shape [T, n].
        velocity: Shape [T, n], None if points have no velocities.
        acceleration: Shape [T, n], None if points have no accelerations.
        fault: Why the message is no motion at all, '' if it is one.
    """

    sent_s: float
    stamp_s: float
    times_s: Array
    position: Array
    velocity: Array | None = None
    acceleration: Array | None = None
    fault: str = ''

    @property
    def first_s(self) -> float:
        """ROS time of the first point [s]."""
        return self.stamp_s + float(self.times_s[0])

    @property
    def last_s(self) -> float:
        """ROS time of the last point [s]."""
        return self.stamp_s + float(self.times_s[-1])

    @cached_property
    def _polynomial(self) -> PPoly:
        """The piecewise polynomial through the points, at least two of them."""
        if self.velocity is None:
            slope = np.diff(self.position, axis=0) / np.diff(self.times_s)[:, None]
            return PPoly(np.stack([slope, self.position[:-1]]), self.times_s)
        if self.acceleration is None:
            return CubicHermiteSpline(self.times_s, self.position, self.velocity)
        rows = np.stack([self.position, self.velocity, self.acceleration], axis=1)
        return PPoly.from_bernstein_basis(BPoly.from_derivatives(self.times_s, rows))

    @cached_property
    def _derivatives(self) -> tuple[PPoly, PPoly]:
        return self._polynomial.derivative(1), self._polynomial.derivative(2)

    def position_at(self, ros_s: Array) -> Array:
        """Return positions at ROS times, shape [k, n]; held outside the points."""
        if len(self.times_s) == 1:
            return np.repeat(self.position, len(ros_s), axis=0)
        at = np.clip(np.asarray(ros_s) - self.stamp_s, self.times_s[0], self.times_s[-1])
        result: Array = self._polynomial(at)
        return result

    def velocity_at(self, ros_s: Array) -> Array:
        """Return velocities at ROS times, shape [k, n]; 0 outside the points."""
        at = np.asarray(ros_s) - self.stamp_s
        if len(self.times_s) == 1:
            return np.zeros((len(at), self.position.shape[1]))
        inside = (at >= self.times_s[0]) & (at <= self.times_s[-1])
        result: Array = self._derivatives[0](np.clip(at, self.times_s[0], self.times_s[-1]))
        return np.where(inside[:, None], result, 0.0)

    def extremes(self) -> tuple[Array, Array, Array, Array]:
        """Return lowest and highest position, highest speed and acceleration, each shape [n].

        Every segment is sampled at nine points and from both sides of its ends, which is exact
        for accelerations of cubics (linear in a segment) and for velocities of quadratics to
        1/256 of the segment's change.
        """
        position, speed, acceleration = self.position, np.zeros(1), np.zeros(1)
        if len(self.times_s) > 1:
            width = np.diff(self.times_s)
            fraction = np.linspace(1e-9, 1.0 - 1e-9, 9)
            at = (self.times_s[:-1, None] + width[:, None] * fraction).ravel()
            position = np.concatenate([position, self._polynomial(at)])
            speed, acceleration = (np.abs(d(at)).max(axis=0) for d in self._derivatives)
        joints = position.shape[1]
        return (position.min(axis=0), position.max(axis=0),
                np.broadcast_to(speed, joints), np.broadcast_to(acceleration, joints))


class SetPoint:
    """The set-point that a JointTrajectoryController runs, replayed from what it received.

    Args:
        hold: Position that is held before the first command, shape [n].
    """

    def __init__(self, hold: Array) -> None:
        """Begin at rest."""
        self._running: Command | None = None
        self._taken_s = 0.0
        self._from = hold, np.zeros_like(hold)

    def at(self, ros_s: float) -> tuple[Array, Array]:
        """Return position and velocity of the set-point at a ROS time, each of shape [n]."""
        command, time = self._running, np.array([ros_s])
        if command is None:
            return self._from
        if ros_s >= command.first_s:
            return command.position_at(time)[0], command.velocity_at(time)[0]
        first = np.array([command.first_s])
        joined = CubicHermiteSpline(
            [min(self._taken_s, command.first_s - 1e-6), command.first_s],
            [self._from[0], command.position_at(first)[0]],
            [self._from[1], command.velocity_at(first)[0]])
        at = max(ros_s, self._taken_s)
        return joined(at), joined(at, 1)

    def take(self, command: Command, ros_s: float) -> None:
        """Replace the running trajectory at a ROS time; a command that is no motion is ignored."""
        if not command.fault:
            self._from = self.at(ros_s)
            self._running, self._taken_s = command, ros_s


def parse_trajectory(
    message: Any, names: tuple[str, ...], sent_s: float
) -> Command:
    """Return a decoded JointTrajectory as a command, with `fault` set where it is no motion."""
    count, width = len(message.points), len(message.joint_names)
    places = {name: k for k, name in enumerate(message.joint_names)}
    stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
    empty = Command(sent_s, stamp or sent_s, np.zeros(1), np.zeros((1, len(names))))

    def broken(why: str) -> Command:
        return Command(empty.sent_s, empty.stamp_s, empty.times_s, empty.position, fault=why)

    if count == 0 or width != len(places) or any(name not in places for name in names):
        return broken('names')
    order = [places[name] for name in names]
    rows = {field: [getattr(point, field) for point in message.points]
            for field in ('positions', 'velocities', 'accelerations')}
    if any(len(row) != width for row in rows['positions']):
        return broken('points')
    position = np.array(rows['positions'], dtype=float)[:, order]
    filled: dict[str, Array | None] = {}
    for field in ('velocities', 'accelerations'):
        full = all(len(row) == width for row in rows[field])
        filled[field] = np.array(rows[field], dtype=float)[:, order] if full else None
    durations = [point.time_from_start for point in message.points]
    times = np.array([d.sec + d.nanosec * 1e-9 for d in durations])
    numbers = (position, filled['velocities'], filled['accelerations'], times)
    if not all(np.isfinite(array).all() for array in numbers if array is not None):
        return broken('numbers')
    if (np.diff(times) <= 0).any():
        return broken('times')
    return Command(sent_s, stamp or sent_s, times, position, filled['velocities'],
                   filled['accelerations'])


def parse_sample(message: Any, names: tuple[str, ...]) -> tuple[Array | None, Array | None]:
    """Return positions and velocities [n] of a decoded JointState or Float64MultiArray.

    An array without names is in the robot's order; what it holds is said by the receiver.
    """
    if hasattr(message, 'name'):
        places = {name: k for k, name in enumerate(message.name)}
        if any(name not in places for name in names):
            return None, None
        order = [places[name] for name in names]
        full = [np.array(row, dtype=float)[order] if len(row) == len(places) else None
                for row in (message.position, message.velocity)]
        return full[0], full[1]
    data = np.array(message.data, dtype=float)
    return (data, data) if len(data) == len(names) else (None, None)
