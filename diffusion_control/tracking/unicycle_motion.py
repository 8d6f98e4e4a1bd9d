# SPDX-License-Identifier: Apache-2.0
"""A base's output: horizon plus tail to rest, unicycle-consistent at every knot.

The tail stops along the body's own axes: speed and yaw rate fall in one phase where their ratio
allows (the arc's radius stays), else in the same time. Its knots lie at the jerk switches and so
densely that the cubic between two of them stays on the arc.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.tracking.motion import TAIL_PERIOD_S, MotionBuilder
from diffusion_control.tracking.twist_kernels import fits
from diffusion_control.tracking.twist_limits import TwistLimits
from diffusion_control.tracking.unicycle_kernels import body_of, roll
from diffusion_control.tracking.unicycle_problem import begin
from diffusion_control.trajectory.stop import Ramp, Stopper
from diffusion_control.trajectory.trajectory import Sample

Array = NDArray[np.float64]
DENSE_S = 0.08
DRIFT_M_S = 0.02


class UnicycleMotions(MotionBuilder):
    """Turn knots into complete motions of a base.

    Args:
        limits: Scaled limits, of the tail too.
        names: x, y, yaw.
        frame_id: Frame of the motions.
        tolerance: Share by which knots may exceed a limit in the check.
    """

    least_gap_s = 3e-3
    """ROS times of today are exact to 0.24 us, which a slow cubic over less than this shows."""

    def __init__(
        self, limits: TwistLimits, names: tuple[str, ...], frame_id: str, *,
        tolerance: float = 0.01,
    ) -> None:
        super().__init__(limits.joint_limits(), names, frame_id, tolerance=tolerance)
        self._twist = limits
        self._columns = slice(None) if limits.omni else slice(None, None, 2)
        self._hardest = np.maximum(limits.slower, limits.faster)
        self._finer = Stopper(limits.joint_limits(), period_s=DENSE_S)

    def tail(self, position: Array, velocity: Array, acceleration: Array, points: int) -> Ramp:
        """Return the stop from a state in at most `points` knots, if that is possible."""
        twist, rate = begin(Sample(position, velocity, acceleration), self._twist.omni)
        columns, place = self._columns, np.zeros(self._twist.inputs)
        stop = self._finer.stop(place, twist[columns], rate[columns])
        if len(stop.times_s) > points:
            stop = self._sparser(stop, points)
        rows = np.zeros((len(stop.times_s), 3))
        rows[:, columns] = stop.acceleration
        rolled = roll(stop.times_s, position, twist, rows)
        rolled[2:, -1] = 0.0
        return Ramp(stop.times_s, rolled[0], rolled[2], rolled[3], stop.notes)

    def _sparser(self, stop: Ramp, points: int) -> Ramp:
        """Return the same stop with knots further apart, as its switches allow."""
        period = float(stop.times_s[-1]) / max(points - 6, 1)
        slow = Stopper(self._limits, period_s=min(max(period, DENSE_S), TAIL_PERIOD_S))
        return slow.stop(stop.position[0], stop.velocity[0], stop.acceleration[0])

    def inside(self, start: Sample, position: Array, velocity: Array, acceleration: Array) -> bool:
        """Return whether knots are finite and inside the limits, or as far out as the start is."""
        body = body_of(position, velocity, acceleration, self._twist.omni)[:, :, self._columns]
        limits = self._twist
        return bool(np.isfinite(position).all() and fits(
            body[0], body[1], limits.rows, limits.lower, limits.upper, self._hardest,
            self._tolerance, DRIFT_M_S))
