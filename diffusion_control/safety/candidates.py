# SPDX-License-Identifier: Apache-2.0
"""The motions that the monitor may send: the tracker's, slower ones, and stops.

All begin on the committed trajectory C at the tick and end at rest. Stops are time-optimal under
`braking_fraction` of acceleration and jerk; the hardest one uses (nearly) all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.safety.committed import (
    Piece,
    at,
    cut,
    join,
    joined,
    joining_refusal,
    splice,
    thin,
)
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.verify import moving_until
from diffusion_control.trajectory.stop import Ramp, Stopper
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]

STOP_PERIOD_S = 0.1
SLOWER = (0.5, 0.2)
PATH_STEP_S = 0.015
BLEND = 0.1
LONGER_S = 0.02
HARDEST = 0.995
"""Share of the limits of the hardest stop: times are rounded to 1 us, which bends the cubics."""


class Candidates:
    """Build candidate motions of one robot.

    Args:
        limits: The robot's unscaled limits.
        parameters: Braking fraction, lead and accepted jumps.
    """

    def __init__(self, limits: JointLimits, parameters: SafetyParameters) -> None:
        """Prepare the stoppers."""
        gentle = _share(limits, parameters.braking_fraction)
        self._lead_s = parameters.lead_s
        self._gentle_acceleration = gentle.acceleration_rad_s2
        self._position_jump = parameters.position_jump_rad
        self._velocity_jump = limits.acceleration_rad_s2 / parameters.rate_hz
        self._stopper = Stopper(gentle, period_s=STOP_PERIOD_S)
        self._hardest = Stopper(_share(limits, HARDEST), period_s=STOP_PERIOD_S)

    def refusal(self, committed: Trajectory, motion: Trajectory, now_s: float) -> str:
        """Return why the motion cannot be joined to C, as a reason code; empty if it can."""
        return joining_refusal(
            committed, motion, now_s, position_jump=self._position_jump,
            velocity_jump=self._velocity_jump)

    def full(self, committed: Trajectory, motion: Trajectory, now_s: float) -> Trajectory:
        """Return C, then `lead_s` of a motion that `refusal` leaves, then a stop."""
        return self._stopped(
            joined(committed, motion, now_s, self._lead_s), committed, now_s)

    def ahead_s(self, motion: Trajectory, now_s: float) -> float:
        """Return the time from now until the stop begins: the duration of a step [s]."""
        return max(motion.start_s - now_s, 0.0) + self._lead_s

    def asked(
        self, committed: Trajectory, motion: Trajectory, now_s: float, ahead_s: float
    ) -> Array:
        """Return the velocity at now + ahead of a motion that is joined to C, [n] [rad/s]."""
        start_s = max(motion.start_s, now_s)
        velocity: Array = (
            at(motion, now_s + ahead_s)[1] + at(committed, start_s)[1] - at(motion, start_s)[1])
        return velocity

    def stops(
        self, committed: Trajectory, motion: Trajectory | None, now_s: float
    ) -> Iterable[Trajectory]:
        """Return stops that begin now, the one to be preferred first.

        That is a stop along the tracker's path, unless it takes 20 ms longer than the one from C:
        after a step that was filtered the path goes on faster than C does.
        """
        found = [self.brake(committed, now_s)]
        along = self.brake_along(committed, motion, now_s) if motion else 'no_motion'
        if not isinstance(along, str):
            longer = moving_until(along) > moving_until(found[0]) + LONGER_S
            found.insert(1 if longer else 0, along)
        return found

    def towards(
        self, committed: Trajectory, velocity: Array, now_s: float, ahead_s: float, *,
        gently: bool = False,
    ) -> Trajectory:
        """Return a ramp from C to a velocity [n], held until `ahead_s`, then a stop.

        Args:
            committed: C.
            velocity: To reach, shape [n] [rad/s].
            now_s: ROS time [s].
            ahead_s: When the stop begins [s].
            gently: Take all of that time for the change, rather than as little as possible.
        """
        start = cut(committed, now_s, now_s, now_s)
        ramp = self._stopper.ramp(
            start.position[0], start.velocity[0], start.acceleration[0], velocity,
            duration_s=ahead_s, least_s=ahead_s if gently else None)
        return self._stopped(_piece(ramp), committed, now_s)

    def brake(self, committed: Trajectory, now_s: float, *, hardest: bool = False) -> Trajectory:
        """Return a stop from C that begins now."""
        start = cut(committed, now_s, now_s, now_s)
        stopper = self._hardest if hardest else self._stopper
        return self._finish(_stop(stopper, start), committed, now_s)

    def brake_along(self, committed: Trajectory, motion: Trajectory, now_s: float
                    ) -> Trajectory | str:
        """Return a stop along the path P of C and the motion, or a reason code.

        C'(t) = P(s(t)) with s' from 1 to 0 in the time that the fastest joint needs under the
        braking acceleration; s'' begins at 0, so that the acceleration is continuous.
        """
        path = splice(
            committed, motion, now_s, max(motion.end_s - max(now_s, motion.start_s), self._lead_s),
            position_jump=self._position_jump, velocity_jump=self._velocity_jump)
        if isinstance(path, str):
            return path
        speed = np.abs(path.velocity[path.times_s < 0.2]).max(axis=0)
        needed_s = float((speed / self._gentle_acceleration).max()) + 0.01
        times, along, rate, change = slow_down(needed_s / (1.0 - BLEND))
        followed = path.trajectory(0.0, committed.names, '').sample_many(along)
        position, velocity, acceleration = followed
        piece = Piece(
            times, position, velocity * rate[:, None],
            acceleration * rate[:, None]**2 + velocity * change[:, None])
        piece.velocity[-1] = 0.0
        return self._finish(piece, committed, now_s)

    def approach(self, committed: Trajectory, target: Array, now_s: float) -> Trajectory:
        """Return the minimum-jerk motion of the set-point from C, at rest, to a position.

        q = q0 + d (10 s^3 - 15 s^4 + 6 s^5), with half of each limit at most (Flash, Hogan 1985).
        """
        start = at(committed, now_s)[0]
        step = target - start
        limits = self._hardest.limits
        size = np.abs(step)
        duration = 2.0 * float(max(
            (1.875 * size / limits.velocity_rad_s).max(),
            np.sqrt(5.7735 * size / limits.acceleration_rad_s2).max(),
            np.cbrt(60.0 * size / limits.jerk_rad_s3).max(), 0.02))
        s = np.linspace(0.0, 1.0, 25)[:, None]
        shape = s**3 * (10.0 - 15.0 * s + 6.0 * s**2)
        rate = 30.0 * s**2 * (1.0 - s)**2 / duration
        change = 60.0 * s * (1.0 - 3.0 * s + 2.0 * s**2) / duration**2
        piece = Piece(s[:, 0] * duration, start + step * shape, step * rate, step * change)
        return self._finish(piece, committed, now_s)

    def _stopped(self, piece: Piece, committed: Trajectory, now_s: float) -> Trajectory:
        return self._finish(join(piece, _stop(self._stopper, piece)), committed, now_s)

    @staticmethod
    def _finish(piece: Piece, committed: Trajectory, now_s: float) -> Trajectory:
        return thin(piece).trajectory(now_s, committed.names, committed.frame_id)


def slow_down(duration_s: float) -> tuple[Array, Array, Array, Array]:
    """Return times, path time s, s' and s'' of a slow-down from s' = 1 to 0, each of shape [T].

    s'' is a trapezoid: it falls to its plateau and rises again within a tenth of the duration
    each, so s'(T) = 1 - plateau (1 - blend) T = 0.
    """
    count = max(6, int(np.ceil(duration_s / PATH_STEP_S)) + 1)
    x = np.linspace(0.0, 1.0, min(count, 36))
    level = 1.0 / (1.0 - BLEND)
    into = np.clip(x, 0.0, BLEND)
    out = np.clip(x - (1.0 - BLEND), 0.0, BLEND)
    change = -level * np.minimum(np.minimum(x, 1.0 - x) / BLEND, 1.0)
    after = np.maximum(x - BLEND, 0.0)
    rate = 1.0 - level * (into**2 / (2 * BLEND) + after - out**2 / (2 * BLEND))
    along = x - level * (
        into**3 / (6 * BLEND) + after * BLEND / 2 + after**2 / 2 - out**3 / (6 * BLEND))
    return x * duration_s, along * duration_s, rate, change / duration_s


def _share(limits: JointLimits, share: float) -> JointLimits:
    """Return the limits with a share of acceleration and jerk."""
    return replace(
        limits, acceleration_rad_s2=limits.acceleration_rad_s2 * share,
        jerk_rad_s3=limits.jerk_rad_s3 * share)


def _stop(stopper: Stopper, piece: Piece) -> Piece:
    """Return the stop from the end of a piece, at the piece's times."""
    ramp = stopper.stop(piece.position[-1], piece.velocity[-1], piece.acceleration[-1])
    return replace(_piece(ramp), times_s=ramp.times_s + piece.times_s[-1])


def _piece(ramp: Ramp) -> Piece:
    return Piece(ramp.times_s, ramp.position, ramp.velocity, ramp.acceleration)
