# SPDX-License-Identifier: Apache-2.0
"""Whether a base's motion may be sent: it, and what the receiver does if it is the last command.

Two motions are checked from the tick on. *Goes on*: the motion itself, whose stop the monitor
sends tick by tick. *Silence*: the twist that is sent now is held for `receiver_timeout_s`, and
then the receiver brakes by itself, 0.07 s late (its motors), with 0.9 of its limits. Both have to
keep

    d(q(t), O(t + age + delay)) >= margin + 2 cm + deviation

to movers, to walls and to what the scan saw, on a grid with the bound between its knots
(`robots.base_reach`), and the limits of speed, of yaw rate and of the wheels. The 2 cm are how far
a braking base was seen beside its arc. In a world that stands the monitor's stop is always
verified after a verified tick: with the twist k u, k <= 1, the held arc is a shorter piece of the
one of u. Where something may move, that arc is shorter but later, so silence is checked against
what may move from every later tick tau of the motion on, too (`last_twists`): what is sent while
braking may as well be the last twist.

As long as the monitor lives a mover may turn at its bounds. What is sent at tau is judged with
movers that keep the velocity they have then: seen `age` before now, a mover has by tau turned by
at most A (age + tau), so in silence it is within

    (e + A (age + tau + `silence.turning_s`)) t   of   c + v t,   and within   s t   of   c,

e the error of its velocity, s the bound on its speed. In the next tick the mover is inside what
was allowed for every later tau, so what is left of a verified motion is verified again. A mover
that turns after the monitor has died is not foreseen unless `silence.turning_s` says for how long.

Where the start already violates a margin, the demand is `not worse than now`. Standing is always
allowed.

Original: K. Macek, D. Vasquez, T. Fraichard, R. Siegwart, "Towards Safe Vehicle Navigation in
Dynamic Urban Scenarios", Automatika 50 (2009): passive safety.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.robots.base_silence import Silence
from diffusion_control.safety import cubic
from diffusion_control.safety.base.last_twists import last_twists
from diffusion_control.safety.base.verify_kernels import REASONS, excess, judge, silence
from diffusion_control.safety.committed import REST_RAD_S
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.verify import NOT_WORSE_M, Surroundings, Verification, moving_until
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
GRID_S = 0.02
SPARE_M = 0.02
TOLERANCE = 0.01
RESTING_S = 0.004


class BaseVerifier:
    """Check motions of one base.

    Args:
        robot: Limits and footprint.
        parameters: Margins, time-out, delay and bounds of the movers.
    """

    def __init__(self, robot: Base, parameters: SafetyParameters) -> None:
        """Take over limits and bounds."""
        self._collision = robot.collision
        self._omni = robot.drive.kind == 'omni'
        self._parameters = parameters
        self._delay_s = parameters.command_delay_s + robot.plant.motor_lag_s
        self._period_s = 1.0 / parameters.rate_hz
        self._rule = Silence.of(robot.drive, parameters.receiver_timeout_s)
        drive = robot.drive
        self._most = np.array([
            drive.speed_max_m_s, drive.speed_max_m_s if self._omni else drive.reverse_max_m_s,
            drive.yaw_rate_max_rad_s, drive.wheel_travel_max_m_s, drive.wheel_separation_m / 2])

    def verify(
        self, motion: Trajectory, around: Surroundings, *, complete: bool = True
    ) -> Verification:
        """Return whether a motion that begins now may be sent, against everything.

        Args:
            motion: The motion.
            around: What to check against.
            complete: Find the least distance also where the motion is refused.
        """
        moving_s = moving_until(motion)
        grid, dense, _ = cubic.settling_grid(
            motion.times_s, motion.position, motion.velocity, moving_s, GRID_S, 0.0, 0)
        keep_m, own_keep_m = (
            m + SPARE_M + around.deviation_m
            for m in (self._parameters.margin_m, self._parameters.own_margin_m))
        near = self._distances(grid, dense, around, complete)
        code, least, clearance = judge(*near, keep_m, own_keep_m, NOT_WORSE_M)
        if moving_s == 0.0:
            reason = 'stands_in_contact' if clearance < 0.0 else ''
            return Verification(True, reason, least, 0, clearance, 0.0)
        reason = self.limits(motion) or REASONS[code]
        rest, rows = self.silence(motion)
        if (complete or not reason) and len(rest) > 1:
            near = self._distances(rest, rows, around, complete, dead=True)
            code, silent, _ = judge(*near, keep_m, own_keep_m, NOT_WORSE_M)
            reason, least = reason or REASONS[code], min(least, silent)
        if (complete or not reason) and _moves(around):
            nearest, short = self._last_twists(motion, moving_s, around, keep_m)
            reason = reason or ('obstacle' if short > 0.0 else '')
            least = min(least, nearest - keep_m)
        return Verification(not reason, reason, least, 0, clearance, moving_s)

    def _last_twists(
        self, motion: Trajectory, moving_s: float, around: Surroundings, keep_m: float
    ) -> tuple[float, float]:
        """Return how near movers come if any twist is the last, and how much too near [m].

        The last tick that sends a twist which moves the base sends the one of a period ahead.
        """
        bounds, rule = self._parameters, self._rule
        turning = bounds.obstacles_max_acceleration_m_s2
        unseen_s = around.age_s + bounds.silence_turning_s
        seen = self._collision.surround(around.obstacles)
        near, short = last_twists(
            motion.times_s, motion.position, motion.velocity, self._omni, np.array([
                self._period_s, max(moving_s - self._period_s - RESTING_S, 0.0), rule.hold_s,
                rule.braking_m_s2, rule.yaw_braking_rad_s2, around.age_s + self._delay_s,
                bounds.obstacles_max_speed_m_s,
                bounds.obstacles_velocity_error_m_s + turning * unseen_s, turning, keep_m]),
            self._collision.discs, seen.code, seen.centre_m, seen.rotation, seen.half_m,
            seen.velocity_m_s, seen.may_move, seen.points[seen.points_may_move], NOT_WORSE_M)
        return float(near), float(short)

    def silence(self, motion: Trajectory) -> tuple[Array, Array]:
        """Return times [L] and poses [L, 3] if the command of now is the last one."""
        rule = self._rule
        times, rows = silence(
            motion.times_s, motion.position, motion.velocity, self._period_s, rule.hold_s,
            rule.braking_m_s2, rule.yaw_braking_rad_s2, self._omni)
        return times, rows

    def limits(self, motion: Trajectory) -> str:
        """Return the code of a broken limit, or ''."""
        if np.abs(motion.velocity[-1]).max() > REST_RAD_S:
            return 'not_at_rest'
        share = excess(motion.position, motion.velocity, self._most)
        return 'velocity_limit' if not share <= TOLERANCE else ''

    def _distances(self, grid: Array, rows: Array, around: Surroundings, complete: bool,
                   *, dead: bool = False) -> tuple[Array, Array]:
        """Return both distances; movers turn until now if the monitor is dead, else always."""
        bounds = self._parameters
        turning = bounds.obstacles_max_acceleration_m_s2
        error = bounds.obstacles_velocity_error_m_s
        if dead:
            error += turning * (around.age_s + bounds.silence_turning_s)
            turning = 0.0
        spare = SPARE_M + around.deviation_m
        give_up = (-math.inf, -math.inf, 0.0) if complete else (
            bounds.margin_m + spare, bounds.own_margin_m + spare, NOT_WORSE_M)
        late_s = around.age_s + self._delay_s
        return self._collision.reach_clearance(
            rows, grid + late_s, around.obstacles, speed_m_s=bounds.obstacles_max_speed_m_s,
            acceleration_m_s2=turning, velocity_error_m_s=error, give_up_m=give_up)


def _moves(around: Surroundings) -> bool:
    """Say whether anything around may move."""
    found = around.obstacles
    return bool(found.may_move.any() or getattr(found, 'points_may_move', np.zeros(0)).any())
