# SPDX-License-Identifier: Apache-2.0
"""The motions of a base that the monitor may commit: the tracker's, slower ones, and stops.

All begin on the committed motion C at the tick. A motion is, with the twists xi: C until the
tracker's motion M begins at s, xi_M(t) + xi_C(s) - xi_M(s) until `ahead`, and a stop along the arc
with `braking_fraction` of the limits. Only changes of M's twist are taken: where the robot is, is
measured (`follow`), and an M that comes one tick late began on the C before the last. If its
twists were taken as they are, two such chains would each pull C to their own ones, every other
tick and without end.

From knot to knot a twist changes by what the limits allow. The hardest stop uses 0.85 of them: a
brake may come in a tick 1 ms after one that still accelerated, both send the twist of a period
ahead, and what the receiver sees within 50 ms must stay within the limits all the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.robots.base_config import BaseDrive
from diffusion_control.robots.jit import kernel
from diffusion_control.safety.base.arc import fill_twist, rolled, then_stop, twist_at
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
        self._rates = rates_of(robot.drive)
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
        pose, times, twists = _followed(
            committed.times_s, committed.position, committed.velocity, now_s - committed.stamp_s,
            motion.times_s, motion.position, motion.velocity, now_s - motion.stamp_s,
            ahead_s, start_s, self.omni, self._rates)
        return self._stopped(times, twists, pose, committed, now_s)

    def asked(
        self, committed: Trajectory, motion: Trajectory, now_s: float, ahead_s: float
    ) -> Array:
        """Return the body's twist at now + ahead of a motion that is joined to C, shape [3]."""
        start_s = max(motion.start_s, now_s)
        here, there, then = (twist_at(which, time_s, self.omni)[1] for which, time_s in (
            (committed, start_s), (motion, start_s), (motion, now_s + ahead_s)))
        twist: Array = then + here - there
        return twist

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
        pose, start = twist_at(committed, now_s, self.omni)
        low, high = reach(start, ahead_s, self._rates)
        wanted = np.minimum(np.maximum(velocity, low), high)
        return self._stopped(
            np.array([0.0, ahead_s]), np.stack([start, wanted]), pose, committed, now_s)

    def brake(self, committed: Trajectory, now_s: float, *, hardest: bool = False) -> Trajectory:
        """Return a stop from C that begins now."""
        pose, twist = twist_at(committed, now_s, self.omni)
        share = HARDEST if hardest else self._share
        return self._stopped(np.zeros(1), twist[None], pose, committed, now_s, share)

    def _stopped(
        self, times: Array, twists: Array, pose: Array, committed: Trajectory, now_s: float,
        share: float | None = None,
    ) -> Trajectory:
        """Return twists [T, 3] from a pose on and a stop, with a share of the limits."""
        drive, share = self._drive, share or self._share
        knots, rows = then_stop(times, twists, pose, share * drive.braking_max_m_s2,
                                share * drive.yaw_acceleration_max_rad_s2, STOP_STEP_S)
        return rolled(knots, rows, committed, now_s)


def rates_of(drive: BaseDrive) -> Array:
    """Return what `reach` needs to know of a drive: growing, falling, turning [m/s^2, rad/s^2]."""
    return np.array([drive.acceleration_max_m_s2, drive.braking_max_m_s2,
                     drive.yaw_acceleration_max_rad_s2])


@kernel()
def reach(start: Any, duration_s: float, rates: Any) -> Any:
    """Return the least and the greatest twist [3] that can be reached in a time [s].

    A speed that grows does so within `acceleration_max`, one that falls within `braking_max`;
    `rates` are those of `rates_of`.
    """
    grow, fall, turn = rates[0], rates[1], rates[2] * duration_s
    low, high = np.empty(3), np.empty(3)
    low[2], high[2] = start[2] - turn, start[2] + turn
    for k in range(2):
        ahead, back = max(start[k], 0.0), min(start[k], 0.0)
        down, up = min(ahead / fall, duration_s), min(-back / fall, duration_s)
        low[k] = ahead - fall * down + back - grow * (duration_s - down)
        high[k] = back + fall * up + ahead + grow * (duration_s - up)
    return low, high


@kernel()
def _followed(
    times: Any, position: Any, velocity: Any, rel: float, m_times: Any, m_position: Any,
    m_velocity: Any, m_rel: float, ahead_s: float, start_s: float, omni: bool, rates: Any,
) -> Any:
    """Return the pose now, and times [T] and twists [T, 3] of C and then of M, until `ahead_s`.

    Args:
        times: Knots of C, as the next two.
        position: Shape [K, 3].
        velocity: Shape [K, 3].
        rel: Now, after the stamp of C [s].
        m_times: Knots of M, as the next two.
        m_position: Shape [L, 3].
        m_velocity: Shape [L, 3].
        m_rel: Now, after the stamp of M [s].
        ahead_s: The last knot [s].
        start_s: M is followed from here on [s].
        omni: Whether the twist has a part to the side.
        rates: See `rates_of`.
    """
    count = max(1, int(math.ceil(ahead_s / GRID_S - 1e-9)))
    grid, twists, rows = np.empty(count + 1), np.empty((count + 1, 3)), np.empty((3, 3))
    joint, begun = np.empty(3), np.empty(3)
    fill_twist(times, position, velocity, rel + start_s, omni, rows, joint)
    fill_twist(m_times, m_position, m_velocity, m_rel + start_s, omni, rows, begun)
    fill_twist(times, position, velocity, rel, omni, rows, twists[0])
    pose, grid[0] = rows[0].copy(), 0.0
    for k in range(1, count + 1):
        t = ahead_s if k == count else k * (ahead_s / count)
        if t < start_s:
            fill_twist(times, position, velocity, rel + t, omni, rows, twists[k])
        else:
            fill_twist(m_times, m_position, m_velocity, m_rel + t, omni, rows, twists[k])
            twists[k] += joint - begun
        low, high = reach(twists[k - 1], t - grid[k - 1], rates)
        grid[k] = t
        twists[k] = np.minimum(np.maximum(twists[k], low), high)
    return pose, grid, twists
