# SPDX-License-Identifier: Apache-2.0
"""The tracker's output: horizon plus tail to rest, and what is sent where no solution is usable.

At most 40 points: N + 1 knots of the horizon, then the jerk-limited stop from the last knot,
whose knots lie at the jerk switches (exact for cubic interpolation).
"""

from __future__ import annotations

from math import isfinite

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.trajectory.stop import Ramp, Stopper
from diffusion_control.trajectory.trajectory import Sample, Trajectory

Array = NDArray[np.float64]
MAX_POINTS = 40
TAIL_PERIOD_S = 1.0
MAX_STEPS = 36
AT_REST = 1e-6
STANDING_S = 0.1


class MotionBuilder:
    """Turn knots into complete motions.

    Args:
        limits: Scaled limits, of the tail too.
        names: Joint names.
        frame_id: Frame of the motions.
        tolerance: Share by which knots may exceed a limit in the check.
        max_points: Longest motion.
    """

    least_gap_s = 1e-4
    """A motion that is shifted leaves out knots nearer than this to its start."""

    def __init__(
        self, limits: JointLimits, names: tuple[str, ...], frame_id: str, *,
        tolerance: float = 0.01, max_points: int = MAX_POINTS,
    ) -> None:
        self._max_points = max_points
        self._limits, self._names, self._frame = limits, names, frame_id
        self._tolerance = tolerance
        self._stopper = Stopper(limits, period_s=TAIL_PERIOD_S)

    def horizon(
        self, tau_s: float, times: Array, position: Array, velocity: Array, acceleration: Array
    ) -> Trajectory | None:
        """Return the knots (first at `tau_s`) and the tail from the last one; None if too long.

        From acceleration 0 the tail adds three points; only if the joints cannot stop together
        inside their limits it needs more, and may not fit into the 40.

        Args:
            tau_s: ROS time of the first knot [s].
            times: After `tau_s`, from 0 [s], shape [T].
            position: Shape [T, n].
            velocity: Shape [T, n].
            acceleration: Shape [T, n].
        """
        if np.abs(velocity[-1]).max() <= AT_REST and np.abs(acceleration[-1]).max() <= AT_REST:
            velocity[-1] = 0.0
            acceleration[-1] = 0.0
            return self._make(tau_s, times, position, velocity, acceleration)
        tail = self.tail(
            position[-1], velocity[-1], acceleration[-1], self._max_points + 1 - len(times))
        if len(times) + len(tail.times_s) - 1 > self._max_points:
            return None
        return self._make(
            tau_s, np.concatenate((times, times[-1] + tail.times_s[1:])),
            np.concatenate((position, tail.position[1:])),
            np.concatenate((velocity, tail.velocity[1:])),
            np.concatenate((acceleration, tail.acceleration[1:])))

    def tail(self, position: Array, velocity: Array, acceleration: Array, points: int) -> Ramp:
        """Return the stop from a state [n]; `points` is how many knots there is room for."""
        return self._stopper.stop(position, velocity, acceleration)

    def stop(self, tau_s: float, start: Sample) -> Trajectory:
        """Return the stop from a state; two equal points if it is at rest already."""
        if np.abs(start.velocity).max() <= AT_REST and np.abs(start.acceleration).max() <= AT_REST:
            rest = np.zeros((2, len(start.position)))
            return self._make(
                tau_s, np.array([0.0, STANDING_S]), start.position + rest, rest, rest)
        tail = self.tail(start.position, start.velocity, start.acceleration, MAX_POINTS)
        return self._make(tau_s, tail.times_s, tail.position, tail.velocity, tail.acceleration)

    def shifted(self, tau_s: float, start: Sample, last: Trajectory | None) -> Trajectory | None:
        """Return what is left of the last motion from `tau_s` on, if it agrees with `start`."""
        if last is None or tau_s >= last.end_s or tau_s < last.start_s:
            return None
        here = last.sample(tau_s)
        if (np.abs(here.position - start.position).max() > 1e-6
                or np.abs(here.velocity - start.velocity).max() > 1e-4):
            return None
        offset = tau_s - last.stamp_s
        rest = last.times_s > offset + self.least_gap_s
        return self._make(
            tau_s, np.concatenate(([0.0], last.times_s[rest] - offset)),
            np.concatenate((start.position[None], last.position[rest])),
            np.concatenate((start.velocity[None], last.velocity[rest])),
            np.concatenate((start.acceleration[None], last.acceleration[rest])))

    def inside(self, start: Sample, position: Array, velocity: Array, acceleration: Array) -> bool:
        """Return whether knots are finite and inside the limits, or as far out as they must be.

        Position: no knot further outside than the start is, or than the stop from the start must
        go; velocity and acceleration: the limits, with the tolerance.
        """
        limits, share = self._limits, 1.0 + self._tolerance
        # what is not finite anywhere is not finite in the sum
        if not isfinite(float(position.sum() + velocity.sum() + acceleration.sum())):
            return False
        speed = np.maximum(limits.velocity_rad_s * share, np.abs(start.velocity) * share + 0.05)
        push = np.maximum(limits.acceleration_rad_s2, np.abs(start.acceleration)) * share
        if (np.abs(velocity) > speed).any() or (np.abs(acceleration) > push).any():
            return False
        out = np.maximum(position - limits.upper_rad, limits.lower_rad - position).max(axis=0)
        if (out <= 1e-6).all():
            return True
        stop = self._stopper.stop(start.position, start.velocity, start.acceleration).position
        must = np.maximum(stop - limits.upper_rad, limits.lower_rad - stop).max(axis=0)
        return bool((out <= np.maximum(must, 0.0) + 1e-3).all())

    def _make(
        self, tau_s: float, times: Array, position: Array, velocity: Array, acceleration: Array
    ) -> Trajectory:
        return Trajectory(
            tau_s, times, position, velocity, acceleration, self._names, self._frame)
