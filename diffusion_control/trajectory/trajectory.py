# SPDX-License-Identifier: Apache-2.0
"""The value type that every plan, motion and command is carried in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Position, velocity and acceleration at one instant, each of shape [n]."""

    position: Array
    velocity: Array
    acceleration: Array


@dataclass(frozen=True)
class Trajectory:
    """A timed motion, interpolated by cubic Hermite segments as a ros2_control controller does.

    Between knots k and k+1 the position is the cubic polynomial that matches positions and
    velocities at both knots; before the first knot and after the last it is constant there.
    A segment of constant acceleration is reproduced exactly.

    Attributes:
        stamp_s: ROS time of `times_s` = 0 [s].
        times_s: Strictly increasing times after the stamp [s], shape [T].
        position: Joint positions [rad] (or x, y, yaw [m, m, rad]), shape [T, n].
        velocity: Velocities, shape [T, n].
        acceleration: Accelerations, shape [T, n]; informative, not used for interpolation.
        names: Joint names, in the order of the columns.
        frame_id: Frame of the positions (of a base), or the arm's base frame.
    """

    stamp_s: float
    times_s: Array
    position: Array
    velocity: Array
    acceleration: Array
    names: tuple[str, ...]
    frame_id: str = ''

    def __post_init__(self) -> None:
        """Refuse shapes that do not agree, non-finite numbers and times that do not increase."""
        if not self._plainly_good():
            self._refuse()

    def _plainly_good(self) -> bool:
        """Tell quickly that nothing is wrong: a sum is finite only if all its terms are."""
        times, position = self.times_s, self.position
        shape = (len(times), len(self.names))
        return bool(
            len(times) and position.shape == self.velocity.shape == shape
            and self.acceleration.shape == shape
            and math.isfinite(
                position.sum() + self.velocity.sum() + self.acceleration.sum() + times[-1])
            and (times[1:] > times[:-1]).all())

    def _refuse(self) -> None:
        """Say what is wrong; sums of finite numbers that overflow are not."""
        knots, joints = len(self.times_s), len(self.names)
        for field in ('position', 'velocity', 'acceleration'):
            shape = getattr(self, field).shape
            if shape != (knots, joints):
                raise ConfigurationError(
                    f'trajectory {field} has the wrong shape',
                    where=f'Trajectory.{field}', value=shape, allowed=f'({knots}, {joints})')
            if not np.isfinite(getattr(self, field)).all():
                raise ConfigurationError(
                    f'trajectory {field} is not finite', where=f'Trajectory.{field}',
                    allowed='finite numbers')
        if knots == 0 or not np.isfinite(self.times_s).all() or (np.diff(self.times_s) <= 0).any():
            raise ConfigurationError(
                'trajectory times must be finite and strictly increasing',
                where='Trajectory.times_s', value=self.times_s,
                allowed='at least one knot, each later than the one before')

    @property
    def end_s(self) -> float:
        """ROS time of the last knot [s]."""
        return self.stamp_s + float(self.times_s[-1])

    @property
    def start_s(self) -> float:
        """ROS time of the first knot [s]."""
        return self.stamp_s + float(self.times_s[0])

    def sample(self, ros_time_s: float) -> Sample:
        """Return position, velocity, acceleration at a ROS time [s]; held outside the knots."""
        at, times = float(ros_time_s) - self.stamp_s, self.times_s
        last = len(times) - 1
        if last == 0:
            return Sample(self.position[0].copy(), *np.zeros((2, len(self.names))))
        k = min(max(int(times.searchsorted(at, 'right')) - 1, 0), last - 1)
        left = float(times[k])
        width = float(times[k + 1]) - left
        share = min(max((at - left) / width, 0.0), 1.0)
        sample = Sample(*_segment(
            width, share, self.position[k], self.position[k + 1], self.velocity[k],
            self.velocity[k + 1]))
        if at < times[0] or at > times[-1]:
            sample.velocity[:] = sample.acceleration[:] = 0.0
        return sample

    def sample_many(self, ros_times_s: Array) -> tuple[Array, Array, Array]:
        """Return positions, velocities, accelerations at ROS times [s], each of shape [k, n]."""
        return hermite(self.times_s, self.position, self.velocity, ros_times_s - self.stamp_s)


def hermite(
    times: Array, position: Array, velocity: Array, at: Array
) -> tuple[Array, Array, Array]:
    """Evaluate the cubic Hermite interpolant of (times, position, velocity) at times `at`.

    With h = t1 - t0 and s = (t - t0) / h the segment is
    q(s) = q0 + h v0 s + (3 d - 2 h v0 - h v1) s^2 + (h v0 + h v1 - 2 d) s^3, d = q1 - q0.

    Args:
        times: Knot times [s], shape [T], increasing.
        position: Shape [T, n].
        velocity: Shape [T, n].
        at: Query times [s], shape [k]; outside the knots the end is held at rest.
    """
    at = np.asarray(at, dtype=float)
    if len(times) == 1:
        held = np.repeat(position, len(at), axis=0)
        return held, np.zeros_like(held), np.zeros_like(held)
    index = np.minimum(np.maximum(times.searchsorted(at, 'right') - 1, 0), len(times) - 2)
    left = times[index]
    width = times[index + 1] - left
    s = np.minimum(np.maximum((at - left) / width, 0.0), 1.0)[:, None]
    outside = (at < times[0]) | (at > times[-1])
    out_q, out_v, out_a = _segment(
        width[:, None], s, position[index], position[index + 1], velocity[index],
        velocity[index + 1])
    if outside.any():
        out_v[outside] = 0.0
        out_a[outside] = 0.0
    return out_q, out_v, out_a


def _segment(
    width: Any, s: Any, q0: Array, q1: Array, v0: Array, v1: Array
) -> tuple[Array, Array, Array]:
    """Return the cubic and its derivatives at the share s of a segment, or of many."""
    m0, m1 = width * v0, width * v1
    delta = q1 - q0
    b, c = 3 * delta - 2 * m0 - m1, m0 + m1 - 2 * delta
    bend = s * c
    return (
        q0 + s * (m0 + s * (b + bend)), (m0 + s * (2 * b + 3 * s * c)) / width,
        (2 * b + 6 * s * c) / (width * width))


def between(times: Array, parts: int) -> Array:
    """Return the knot times and `parts` - 1 times inside each segment."""
    if len(times) == 1:
        return times
    share = np.arange(parts) / parts
    inner = (times[:-1, None] + np.diff(times)[:, None] * share).ravel()
    return np.append(inner, times[-1])
