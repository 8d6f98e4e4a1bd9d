# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the tracker of a base that goes wherever it is pushed: towards a twist."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.safety.base.arc import rolled, then_stop, twist_at
from diffusion_control.safety.base.candidates import rates_of, reach
from diffusion_control.trajectory.pusher import HOLD_S
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
STOP_STEP_S = 0.05


class BasePusher:
    """Make complete motions from what is committed; the same calls as `trajectory.Pusher`.

    Args:
        robot: The base.
        share: Share of the accelerations that is used.
        start_after_s: From now to the first point of a motion [s].
    """

    def __init__(self, robot: Base, share: float = 0.9, start_after_s: float = 0.02) -> None:
        """Take over the limits."""
        self._drive, self._share, self._after_s = robot.drive, share, start_after_s

    def motion(self, committed: Trajectory, now_s: float, velocity: Array) -> Trajectory:
        """Return a motion from C a little later towards a twist [3] for 0.1 s, and a stop."""
        start_s, drive = now_s + self._after_s, self._drive
        pose, start = twist_at(committed, start_s, drive.kind == 'omni')
        low, high = reach(start, self._share * HOLD_S, rates_of(drive))
        twist = np.minimum(np.maximum(velocity, low), high)
        times, rows = then_stop(
            np.array([0.0, HOLD_S]), np.stack([start, twist]), pose,
            self._share * drive.braking_max_m_s2,
            self._share * drive.yaw_acceleration_max_rad_s2, STOP_STEP_S)
        return rolled(times, rows, committed, start_s)
