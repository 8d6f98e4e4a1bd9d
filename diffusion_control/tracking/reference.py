# SPDX-License-Identifier: Apache-2.0
"""The reference clock: where on the plan the robot should be, and how fast it goes on.

The plan r(p) is followed at the rate rho = dp/dt, which is ramped towards the wanted time scale
(|rho'| <= `scale_rate`): position r(p), velocity rho r'(p), the same path at any rate. If the
committed motion is not where the clock says (safety braked it, or limits made it late), the clock
goes to the nearest point of the plan instead, with the rate the committed motion really has along
it: rho = clip(C' r' / |r'|^2, 0, 1). It never runs away from a robot that stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.trajectory.trajectory import Sample, Trajectory, hermite

Array = NDArray[np.float64]
Reader = Callable[[Array, Array, Array, Array], tuple[Array, Array, Array]]
SLOW_RAD_S = 0.02
GOAL_AHEAD_RAD = 0.1
NEAREST_GRID: Array = np.linspace(0.0, 1.0, 41)


@dataclass(frozen=True)
class ReferenceWindow:
    """The reference over the horizon.

    Attributes:
        position: At knots 0..N [rad], shape [N+1, n].
        velocity: At knots 0..N [rad/s], shape [N+1, n].
        acceleration: At knots 0..N [rad/s^2], shape [N+1, n]; the plan's, at this rate.
        phase_s: p at knot 0, in the plan's own time [s].
        rate: rho at knot 0.
        error_rad: max |C(tau) - r(p)| at knot 0 [rad].
        lost: The plan is too far away to be followed; the window holds the committed motion.
        waiting: A plan that starts later waits in its slot.
        changed: The plan is another one than in the window before, or is lost or found again.
    """

    position: Array
    velocity: Array
    acceleration: Array
    phase_s: float
    rate: float
    error_rad: float
    lost: bool = False
    waiting: bool = False
    changed: bool = False


class ReferenceClock:
    """Keep the phase on the current plan, from tick to tick.

    Args:
        steps: N.
        dt_s: Time between the horizon's knots [s].
        scale_rate: Largest change of the rate [1/s], > 0.
        project_rad: Distance from which on the phase is taken from the robot [rad].
        lost_rad: Distance from which on the plan is not followed at all [rad].
        search_s: How far back and forth the nearest point is searched [s].
        scale: What a unit of each joint counts in distances, shape [n]; None: one each.
        reader: Evaluates a motion's cubics.
    """

    def __init__(
        self, steps: int, dt_s: float, *, scale_rate: float = 3.0, project_rad: float = 0.03,
        lost_rad: float = 0.3, search_s: float = 1.0, scale: Array | None = None,
        reader: Reader = hermite,
    ) -> None:
        for name, value in (('scale_rate', scale_rate), ('project_rad', project_rad),
                            ('lost_rad', lost_rad), ('search_s', search_s)):
            if not (np.isfinite(value) and value > 0):
                raise ConfigurationError(
                    'bad parameter of the reference clock', where=f'reference.{name}',
                    value=value, allowed='> 0')
        self._offsets: Array = dt_s * np.arange(steps + 1, dtype=float)
        self._scale_rate, self._search = scale_rate, search_s
        self._project, self._lost = project_rad, lost_rad
        self._read = reader
        self._scale: Array = np.ones(1) if scale is None else scale
        self.reset()

    def reset(self) -> None:
        """Forget the plan."""
        self.plan: Trajectory | None = None
        self._followed: Trajectory | None = None
        self._off = False
        self._last_s = -np.inf
        self._phase, self._rate = 0.0, 0.0

    def take(self, plan: Trajectory | None, tau_s: float) -> None:
        """Make a plan the current one, at the phase which its own times say for `tau_s`."""
        if plan is self.plan:
            return
        if self.plan is None:
            self._rate = 1.0
        self.plan = plan
        if plan is not None:
            self._phase = float(np.clip(
                tau_s - plan.stamp_s, plan.times_s[0], plan.times_s[-1]))
            self._last_s = tau_s

    def window(
        self, tau_s: float, committed: Sample, hold: Trajectory | None, target_rate: float, *,
        follows: bool = True,
    ) -> ReferenceWindow:
        """Advance to `tau_s` and return the reference at tau + k dt.

        Args:
            tau_s: Time of knot 0 [s].
            committed: C(tau), without the observer's correction.
            hold: The committed motion, followed to its rest where there is no plan.
            target_rate: Wanted rate, clipped to [0, 1].
            follows: False while the robot does not follow its command: the clock stands.
        """
        target = min(max(float(target_rate), 0.0), 1.0) if follows else 0.0
        window = self._at(tau_s, committed, hold, target)
        followed = None if window.lost else self.plan
        if followed is not self._followed:
            self._followed, window = followed, replace(window, changed=True)
        return window

    def _at(
        self, tau_s: float, committed: Sample, hold: Trajectory | None, target: float
    ) -> ReferenceWindow:
        if self.plan is None:
            return self._hold(tau_s, committed, hold)
        self._advance(self.plan, tau_s, target)
        # a robot that was off its plan still is: look before the window is made for nothing
        if not self._off or not self._is_off(self.plan, committed):
            window = self._follow(self.plan, committed, target)
            self._off = window.error_rad > self._project
        if self._off:
            self._nearest(self.plan, committed, target)
            window = self._follow(self.plan, committed, target)
        if window.error_rad > self._lost:
            return self._hold(tau_s, committed, hold, lost=True)
        return window

    def _is_off(self, plan: Trajectory, committed: Sample) -> bool:
        here = plan.sample(plan.stamp_s + self._phase).position
        return bool((np.abs(committed.position - here) * self._scale).max() > self._project)

    def _follow(self, plan: Trajectory, committed: Sample, target: float) -> ReferenceWindow:
        phases, rates, changes = self._ahead(plan, target)
        position, velocity, acceleration = self._sample(plan, plan.stamp_s + phases)
        return ReferenceWindow(
            position, rates[:, None] * velocity,
            (rates**2)[:, None] * acceleration + changes[:, None] * velocity,
            self._phase, self._rate,
            float((np.abs(committed.position - position[0]) * self._scale).max()))

    def _sample(self, motion: Trajectory, ros_times_s: Array) -> tuple[Array, Array, Array]:
        return self._read(
            motion.times_s, motion.position, motion.velocity, ros_times_s - motion.stamp_s)

    def _hold(
        self, tau_s: float, committed: Sample, hold: Trajectory | None, lost: bool = False
    ) -> ReferenceWindow:
        self._rate = 0.0
        if hold is None:
            position = np.repeat(committed.position[None], len(self._offsets), axis=0)
            velocity = acceleration = np.zeros_like(position)
        else:
            position, velocity, acceleration = self._sample(hold, tau_s + self._offsets)
        return ReferenceWindow(
            position, velocity, acceleration, self._phase if lost else 0.0, 0.0, 0.0, lost)

    def _advance(self, plan: Trajectory, tau_s: float, target: float) -> None:
        elapsed = min(max(tau_s - self._last_s, 0.0), 0.1)
        self._last_s = tau_s
        before, slope = self._rate, self._scale_rate
        reach = abs(target - before) / slope
        ramping, slope = min(elapsed, reach), slope if target >= before else -slope
        self._rate = target if elapsed >= reach else before + slope * ramping
        travelled = (
            before * ramping + 0.5 * slope * ramping * ramping + target * (elapsed - ramping))
        self._phase = min(self._phase + travelled, float(plan.times_s[-1]))

    def _nearest(self, plan: Trajectory, committed: Sample, target: float) -> None:
        """Go to the point of the plan nearest to the committed position."""
        low = max(self._phase - self._search, float(plan.times_s[0]))
        high = min(self._phase + self._search, float(plan.times_s[-1]))
        for _ in range(2):
            phases = low + (high - low) * NEAREST_GRID
            position, velocity, _ = self._read(
                plan.times_s, plan.position, plan.velocity, phases)
            away = (position - committed.position) * self._scale
            best = int((away ** 2).sum(axis=1).argmin())
            step = phases[1] - phases[0]
            low, high = max(phases[best] - step, low), min(phases[best] + step, high)
        self._phase = float(phases[best])
        wanted, real = velocity[best] * self._scale, committed.velocity * self._scale
        speed = float(wanted @ wanted)
        if speed > SLOW_RAD_S**2:
            along = float(real @ wanted) / speed
            self._rate = min(max(along, 0.0), max(target, self._rate, 0.0))

    def _ahead(self, plan: Trajectory, target: float) -> tuple[Array, Array, Array]:
        """Return phase, rate and its change at the horizon's knots, shape [N+1] each."""
        rates, travelled = _ramp(self._rate, target, self._scale_rate, self._offsets)
        phases = self._phase + travelled
        changes = np.sign(target - rates) * self._scale_rate
        end = plan.times_s[-1]
        if phases[-1] >= end:
            over = phases >= end
            phases[over], rates[over], changes[over] = end, 0.0, 0.0
        return phases, rates, changes


def goal_window(goal: Array, committed: Sample, steps: int) -> ReferenceWindow:
    """Return the reference that stands at a goal [n], for a tracker without a planner.

    It lies at most `GOAL_AHEAD_RAD` ahead of the committed position on the straight line to the
    goal, so that all joints arrive together as far as their limits let them.
    """
    way = goal - committed.position
    far = float(np.abs(way).max())
    aim = committed.position + way * min(1.0, GOAL_AHEAD_RAD / max(far, 1e-9))
    position = np.repeat(aim[None], steps + 1, axis=0)
    rest = np.zeros_like(position)
    return ReferenceWindow(position, rest, rest, 0.0, 1.0, far)


def _ramp(rate: float, target: float, slope: float, times: Array) -> tuple[Array, Array]:
    """Return the rate and its integral after each time, the rate going to `target` at `slope`."""
    if rate == target:
        return np.full(len(times), target), target * times
    reach = abs(target - rate) / slope
    sign = 1.0 if target >= rate else -1.0
    ramping = np.minimum(times, reach)
    rates = np.where(times >= reach, target, rate + sign * slope * ramping)
    travelled = rate * ramping + 0.5 * sign * slope * ramping**2 + target * (times - ramping)
    return rates, travelled
