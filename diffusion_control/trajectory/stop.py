# SPDX-License-Identifier: Apache-2.0
"""Jerk-limited stops and velocity ramps, by Ruckig's velocity control.

Each joint i goes from (v0, a0) to a target velocity in the shortest time under |a| <= a_max and
|jerk| <= j_max; where velocity and acceleration are parallel the joints share one phase (the path
is a straight line), otherwise they share the duration. Jerk is piecewise constant, so position is
piecewise cubic: knots at the jerk switches make the cubic Hermite interpolation of `Trajectory`
exact, and no acceleration between knots exceeds the limit. (Equally spaced knots do not have this
property: a switch inside a segment overshoots the acceleration by up to a quarter.)

Original: L. Berscheid, T. Kroeger, "Jerk-limited Real-time Trajectory Generation with Arbitrary
Target States", Robotics: Science and Systems 2021 (Ruckig).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import ruckig
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError, DiffusionControlError
from diffusion_control.robots.limits import JointLimits
from diffusion_control.trajectory.profile import GAP, TIME_GRID_S, knots_of, leaves

Array = NDArray[np.float64]
Knots = tuple[Array, Array, Array, Array]
SMALLEST_GAP_S = GAP * TIME_GRID_S
OUTSIDE_POSITION = 'starts_outside_position_limits'
OUTSIDE_VELOCITY = 'starts_outside_velocity_limits'
OUTSIDE_ACCELERATION = 'starts_outside_acceleration_limits'
NOT_SYNCHRONISED = 'not_synchronised'


@dataclass(frozen=True)
class Ramp:
    """A ramp of velocity, and what was unusual about it.

    Attributes:
        times_s: Increasing from 0, no gap above the period, shape [T] [s].
        position: Shape [T, n].
        velocity: Shape [T, n]; a stop ends with exactly 0.
        acceleration: Shape [T, n].
        notes: Which of the module's notes apply: the start lay outside a limit (the ramp then
            returns into the limits as fast as jerk and acceleration allow), or the joints were
            stopped each by itself because the common stop would have crossed a joint limit.
    """

    times_s: Array
    position: Array
    velocity: Array
    acceleration: Array
    notes: tuple[str, ...] = ()


class Stopper:
    """Compute stops and ramps under fixed limits, with Ruckig's objects kept between calls.

    Args:
        limits: Limits of the n joints; braking with less than everything is `limits.scaled(k)`.
        period_s: Largest gap between knots [s].

    Raises:
        ConfigurationError: If the period or a limit is not positive.
    """

    def __init__(self, limits: JointLimits, *, period_s: float = 0.02) -> None:
        if not (np.isfinite(period_s) and period_s >= SMALLEST_GAP_S):
            raise ConfigurationError(
                'bad period of a stop', where='period_s', value=period_s,
                allowed=f'>= {SMALLEST_GAP_S} s')
        for name in ('velocity_rad_s', 'acceleration_rad_s2', 'jerk_rad_s3'):
            values = np.asarray(getattr(limits, name))
            if not (np.isfinite(values) & (values > 0)).all():
                raise ConfigurationError(
                    'limits of a stop must be positive', where=f'limits.{name}', value=values,
                    allowed='> 0')
        count = len(limits.lower_rad)
        self.limits, self.period_s = limits, float(period_s)
        self._otg = ruckig.Ruckig(count)
        self._input = ruckig.InputParameter(count)
        self._output = ruckig.Trajectory(count)
        self._input.control_interface = ruckig.ControlInterface.Velocity
        self._input.max_velocity = limits.velocity_rad_s.tolist()
        self._input.max_acceleration = limits.acceleration_rad_s2.tolist()
        self._input.max_jerk = limits.jerk_rad_s3.tolist()
        self._input.target_acceleration = [0.0] * count
        self._lowest = np.stack([
            limits.lower_rad, -limits.velocity_rad_s, -limits.acceleration_rad_s2])
        self._highest = np.stack([
            limits.upper_rad, limits.velocity_rad_s, limits.acceleration_rad_s2])

    def stop(self, position: Array, velocity: Array, acceleration: Array) -> Ramp:
        """Return the motion from a state to rest; knots at 0, every switch, and the end.

        If the joints' common stop would leave the position limits, each joint stops by itself in
        its shortest time (the least distance), and the notes say so.

        Args:
            position: Start [rad], shape [n].
            velocity: Start [rad/s], shape [n].
            acceleration: Start [rad/s^2], shape [n].

        Raises:
            ConfigurationError: If the start is not n finite numbers each.
        """
        rest = np.zeros(len(self.limits.lower_rad))
        ramp = self.ramp(position, velocity, acceleration, rest)
        if NOT_SYNCHRONISED not in ramp.notes and self._leaves(position, ramp):
            ramp = self.ramp(position, velocity, acceleration, rest, synchronise=False)
        ramp.velocity[-1] = 0.0
        ramp.acceleration[-1] = 0.0
        return ramp

    def ramp(
        self, position: Array, velocity: Array, acceleration: Array, target_velocity: Array, *,
        duration_s: float | None = None, synchronise: bool = True, least_s: float | None = None,
    ) -> Ramp:
        """Return the motion from a state to a velocity, held (or cut off) until `duration_s`.

        Args:
            position: Start [rad], shape [n].
            velocity: Start [rad/s], shape [n].
            acceleration: Start [rad/s^2], shape [n].
            target_velocity: Velocity to reach with acceleration 0 [rad/s], shape [n].
            duration_s: End of the motion [s]; None ends it where the target is reached.
            synchronise: All joints reach the target together.
            least_s: The target is not reached sooner, with less acceleration; None: as soon as
                possible [s].

        Raises:
            ConfigurationError: If an input is not n finite numbers, or the duration is not > 0.
        """
        state = self._state(position, velocity, acceleration, target_velocity)
        notes = self._load(state)
        self._input.minimum_duration = least_s
        if not self._calculate(synchronise):
            notes += (NOT_SYNCHRONISED,)
        end_s = self._output.duration if duration_s is None else float(duration_s)
        if duration_s is not None and not (np.isfinite(end_s) and end_s > 0):
            raise ConfigurationError(
                'bad duration of a ramp', where='duration_s', value=duration_s, allowed='> 0 s')
        durations, jerks = self._phases()
        times, rows = knots_of(
            state, durations, jerks, self._output.duration, end_s, self.period_s)
        return Ramp(times, rows[0], rows[1], rows[2], notes)

    def _state(self, *rows: Array) -> Array:
        """Return position, velocity, acceleration and target velocity, shape [4, n], checked."""
        count = len(self.limits.lower_rad)
        try:
            state = np.array(rows, dtype=float)
        except ValueError:  # of different lengths
            state = np.empty(0)
        if state.shape != (4, count) or not np.isfinite(state).all():
            raise ConfigurationError(
                'the start of a stop must be finite', where='position, velocity, acceleration',
                value=[np.asarray(row).tolist() for row in rows],
                allowed=f'{count} finite numbers each')
        return state

    def _load(self, state: Array) -> tuple[str, ...]:
        """Hand a state to Ruckig; return what is unusual about it."""
        (self._input.current_position, self._input.current_velocity,
         self._input.current_acceleration, self._input.target_velocity) = state.tolist()
        beyond = (state[:3] < self._lowest) | (state[:3] > self._highest)
        if not beyond.any():
            return ()
        outside = [bool(row.any()) for row in beyond]
        notes = (OUTSIDE_POSITION, OUTSIDE_VELOCITY, OUTSIDE_ACCELERATION)
        return tuple(note for note, bad in zip(notes, outside, strict=True) if bad)

    def _calculate(self, synchronise: bool) -> bool:
        """Fill the output; return whether the joints are synchronised."""
        kinds = [ruckig.Synchronization.Phase] if synchronise else []
        for kind in (*kinds, ruckig.Synchronization.No):
            self._input.synchronization = kind
            result = self._otg.calculate(self._input, self._output)
            if result in (ruckig.Result.Working, ruckig.Result.Finished):
                return kind is not ruckig.Synchronization.No
        raise DiffusionControlError(
            'Ruckig found no way to stop', where='trajectory.stop', value=str(result),
            remedy='report this state: every finite state can be stopped')

    def _phases(self) -> tuple[Array, Array]:
        """Return the durations [n, P] and the jerks [n, P] of the phases that Ruckig found."""
        durations: list[float] = []
        jerks: list[float] = []
        for each in self._output.profiles[0]:
            brake = each.brake
            durations += brake.t
            durations += each.t
            jerks += brake.j
            jerks += each.j
        shape = (len(self.limits.lower_rad), -1)
        return np.array(durations).reshape(shape), np.array(jerks).reshape(shape)

    def _leaves(self, start: Array, ramp: Ramp) -> bool:
        """Return whether a joint that starts inside its position limits ends outside of them."""
        return bool(leaves(start, ramp.position, self.limits.lower_rad, self.limits.upper_rad))


def stop_trajectory(
    position: Array, velocity: Array, acceleration: Array, limits: JointLimits, *,
    period_s: float = 0.02,
) -> Knots:
    """Return (times[T], q, v, a) of the jerk-limited stop; see `Stopper.stop`.

    The first knot is t = 0, the last one is at rest, no gap exceeds `period_s`. In a loop keep a
    `Stopper` instead (and read the notes of its `Ramp`).
    """
    ramp = Stopper(limits, period_s=period_s).stop(position, velocity, acceleration)
    return ramp.times_s, ramp.position, ramp.velocity, ramp.acceleration


def velocity_ramp(
    position: Array, velocity: Array, acceleration: Array, target_velocity: Array,
    limits: JointLimits, *, duration_s: float, period_s: float = 0.02,
) -> Knots:
    """Return (times[T], q, v, a) of a velocity ramp, `duration_s` long; see `Stopper.ramp`."""
    ramp = Stopper(limits, period_s=period_s).ramp(
        position, velocity, acceleration, target_velocity, duration_s=duration_s)
    return ramp.times_s, ramp.position, ramp.velocity, ramp.acceleration
