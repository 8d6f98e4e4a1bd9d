# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the tracker that goes wherever it is pushed: motions towards a velocity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.trajectory.stop import Stopper
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
MAX_KNOTS = 40
HOLD_S = 0.1


class Pusher:
    """Make complete motions from what is committed.

    Args:
        limits: Of the robot.
        share: Share of speed, acceleration and jerk that is used.
        start_after_s: From now to the first point of a motion [s].
    """

    def __init__(
        self, limits: JointLimits, share: float = 0.9, start_after_s: float = 0.02
    ) -> None:
        """Prepare the ramps."""
        self.limits = limits.scaled(share)
        self._after_s = start_after_s
        self._stopper = Stopper(self.limits, period_s=0.05)

    def motion(self, committed: Trajectory, now_s: float, velocity: Array) -> Trajectory:
        """Return a motion from C a little later to a velocity [n], held for 0.1 s, and a stop."""
        start_s = now_s + self._after_s
        q, v, a = (rows[0] for rows in committed.sample_many(np.array([start_s])))
        ramp = self._stopper.ramp(q, v, a, velocity, duration_s=HOLD_S)
        stop = self._stopper.stop(ramp.position[-1], ramp.velocity[-1], ramp.acceleration[-1])
        times = np.concatenate([ramp.times_s, ramp.times_s[-1] + stop.times_s[1:]])
        rows = [np.concatenate([getattr(ramp, name), getattr(stop, name)[1:]])
                for name in ('position', 'velocity', 'acceleration')]
        rows[1][-1] = 0.0
        while len(times) > MAX_KNOTS:
            drop = 1 + int(np.argmin(times[2:] - times[:-2]))
            times, rows = np.delete(times, drop), [np.delete(r, drop, axis=0) for r in rows]
        return Trajectory(
            start_s, times, rows[0], rows[1], rows[2], committed.names, committed.frame_id)
