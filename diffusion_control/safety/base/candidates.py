# SPDX-License-Identifier: Apache-2.0
"""The motions of a base that the monitor may commit: the tracker's, slower ones, and stops.

All begin on the committed motion C at the tick. A motion is: C until the tracker's motion M
begins, the twist of M until `ahead`, and a stop along the arc with `braking_fraction` of the
limits. Only twists of M are taken: where the robot is, is measured (`follow`), and M's own poses
matter to the tracker alone.

From knot to knot a twist changes by what the limits allow. The hardest stop uses 0.85 of them: a
brake may come in a tick 1 ms after one that still accelerated, both send the twist of a period
ahead, and what the receiver sees within 50 ms must stay within the limits all the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.robots.base_config import BaseDrive
from diffusion_control.safety.base.arc import motion_of, slow_down, twist_at
from diffusion_control.safety.committed import refusal as never_joined
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
GRID_S = 0.02
STOP_STEP_S = 0.05
JUMP_M, JUMP_RAD = 0.05, 0.1
HARDEST = 0.85


class BaseCandidates:
    """Build candidate motions of one base.

    Args:
        robot: Its drive.
        parameters: Braking fraction and lead.
    """

    def __init__(self, robot: Base, parameters: SafetyParameters) -> None:
        """Take over the limits."""
        self._drive, self.omni = robot.drive, robot.drive.kind == 'omni'
        self._lead_s, self._share = parameters.lead_s, parameters.braking_fraction
        self._period_s = 1.0 / parameters.rate_hz

    def refusal(self, committed: Trajectory, motion: Trajectory, now_s: float) -> str:
        """Return why a motion cannot follow C now, as a reason code; empty if it can."""
        code = never_joined(motion, committed, now_s)
        if code:
            return code
        start_s = max(now_s, motion.start_s)
        pose, twist = twist_at(committed, start_s, self.omni)
        there, wanted = twist_at(motion, start_s, self.omni)
        apart = np.abs(pose - there)
        drive = self._drive
        most = np.array([drive.braking_max_m_s2, drive.braking_max_m_s2,
                         drive.yaw_acceleration_max_rad_s2]) * 2.0 * GRID_S
        if max(apart[0], apart[1]) > JUMP_M or apart[2] > JUMP_RAD or (
                np.abs(twist - wanted) > most).any():
            return 'discontinuous'
        return ''

    def ahead_s(self, motion: Trajectory, now_s: float) -> float:
        """Return the time from now until the stop begins [s].

        The lead, or the first period of a motion that begins later: the sooner, the less a mover
        can turn until the last twist of the stop.
        """
        return max(motion.start_s - now_s + self._period_s, self._lead_s)

    def full(self, committed: Trajectory, motion: Trajectory, now_s: float) -> Trajectory:
        """Return C, then the twists of a motion until `ahead`, then a stop."""
        ahead_s, start_s = self.ahead_s(motion, now_s), max(motion.start_s - now_s, 0.0)
        count = max(1, int(np.ceil(ahead_s / GRID_S - 1e-9)))
        times = np.linspace(0.0, ahead_s, count + 1)
        twists = [twist_at(committed if t < start_s or t == 0.0 else motion, now_s + t,
                           self.omni)[1] for t in times]
        for k in range(1, len(times)):
            twists[k] = self._reachable(twists[k - 1], twists[k], float(times[k] - times[k - 1]))
        return self._stopped(times, np.array(twists), committed, now_s)

    def asked(self, motion: Trajectory, time_s: float) -> Array:
        """Return the body's twist of a motion at a ROS time, shape [3]."""
        return twist_at(motion, time_s, self.omni)[1]

    def stops(
        self, committed: Trajectory, motion: Trajectory | None, now_s: float
    ) -> Iterable[Trajectory]:
        """Return the stop along C's own arc."""
        return [self.brake(committed, now_s)]

    def approach(self, committed: Trajectory, target: Array, now_s: float) -> Trajectory:
        """Return a stop: a base is always where it was measured."""
        return self.brake(committed, now_s)

    def towards(
        self, committed: Trajectory, velocity: Array, now_s: float, ahead_s: float, *,
        gently: bool = False,
    ) -> Trajectory:
        """Return a change of C's twist to another one [3] until `ahead_s`, then a stop."""
        start = twist_at(committed, now_s, self.omni)[1]
        wanted = self._reachable(start, velocity, ahead_s)
        return self._stopped(
            np.array([0.0, ahead_s]), np.stack([start, wanted]), committed, now_s)

    def brake(self, committed: Trajectory, now_s: float, *, hardest: bool = False) -> Trajectory:
        """Return a stop from C that begins now."""
        pose, twist = twist_at(committed, now_s, self.omni)
        share = HARDEST if hardest else self._share
        return motion_of(*self._stop(twist, share), pose, committed, now_s)

    def _stopped(self, times: Array, twists: Array, committed: Trajectory, now_s: float
                 ) -> Trajectory:
        later, falling = self._stop(twists[-1], self._share)
        pose = twist_at(committed, now_s, self.omni)[0]
        return motion_of(
            np.concatenate([times, times[-1] + later[1:]]),
            np.concatenate([twists, falling[1:]]), pose, committed, now_s)

    def _stop(self, twist: Array, share: float) -> tuple[Array, Array]:
        drive = self._drive
        return slow_down(twist, share * drive.braking_max_m_s2,
                         share * drive.yaw_acceleration_max_rad_s2, STOP_STEP_S)

    def _reachable(self, start: Array, wanted: Array, duration_s: float) -> Array:
        """Return the twist nearest to the wanted one that the limits reach in a time [s]."""
        low, high = reach(start, duration_s, self._drive)
        return np.minimum(np.maximum(wanted, low), high)


def reach(start: Array, duration_s: float, drive: BaseDrive) -> tuple[Array, Array]:
    """Return the least and the greatest twist [3] that can be reached in a time [s].

    A speed that grows does so within `acceleration_max`, one that falls within `braking_max`.
    """
    grow, fall = drive.acceleration_max_m_s2, drive.braking_max_m_s2
    turn = drive.yaw_acceleration_max_rad_s2 * duration_s
    low, high = start - turn, start + turn
    for k in (0, 1):
        down = min(max(start[k], 0.0) / fall, duration_s)
        low[k] = max(start[k], 0.0) - fall * down + min(start[k], 0.0) - grow * (duration_s - down)
        up = min(max(-start[k], 0.0) / fall, duration_s)
        high[k] = min(start[k], 0.0) + fall * up + max(start[k], 0.0) + grow * (duration_s - up)
    return low, high
