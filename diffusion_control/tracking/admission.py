# SPDX-License-Identifier: Apache-2.0
"""Admission of plans: nothing reaches the tracker that was not looked at.

| reason | the plan is refused because |
|---|---|
| `malformed` | it is empty, has more than 40 points, or its arrays do not agree |
| `wrong_joints` | its names are not the robot's joints in the robot's order |
| `not_finite` | a number is NaN or infinite |
| `times_not_increasing` | a time is not later than the one before |
| `stale` | it starts longer ago than `max_plan_age_s` |
| `future` | it starts later than `max_future_s` from now |
| `no_progress` | it is over already: its last point lies in the past |
| `no_rest` | its last velocity is not 0 |
| `limit_position` | a position lies outside the joint's range |
| `limit_velocity` | a velocity is above the limit |
| `residual` | velocities are not the rate of change of the positions |
| `limit_acceleration` | an acceleration of its interpolation is above the limit |
| `discontinuous` | its state at its start (or now) is too far from the committed motion |
| `collision` | it touches an obstacle (movers go on for 1.5 s), the floor or itself |

The checks run in this order, the cheap ones first: a flood of huge or stale plans costs next to
nothing. A plan that starts in contact (an obstacle drove into the standing robot) is admitted if
it gets no closer than it starts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.tracking.admission_arm import JointChecks
from diffusion_control.tracking.admission_base import TwistChecks
from diffusion_control.tracking.plan_case import (
    ADMITTED,
    COLLISION,
    DISCONTINUOUS,
    FUTURE,
    LIMIT_ACCELERATION,
    LIMIT_POSITION,
    LIMIT_VELOCITY,
    MALFORMED,
    NO_PROGRESS,
    NO_REST,
    NOT_FINITE,
    REASONS,
    RESIDUAL,
    STALE,
    TIMES_NOT_INCREASING,
    WRONG_JOINTS,
    PlanCase,
    Tolerances,
)
from diffusion_control.trajectory.trajectory import Trajectory, hermite

__all__ = [
    'ADMITTED',
    'COLLISION',
    'DISCONTINUOUS',
    'FUTURE',
    'LIMIT_ACCELERATION',
    'LIMIT_POSITION',
    'LIMIT_VELOCITY',
    'MALFORMED',
    'NOT_FINITE',
    'NO_PROGRESS',
    'NO_REST',
    'PlanAdmission',
    'PlanArrays',
    'PlanLike',
    'REASONS',
    'RESIDUAL',
    'STALE',
    'TIMES_NOT_INCREASING',
    'Verdict',
    'WRONG_JOINTS',
]

Array = NDArray[np.float64]
MAX_POINTS = 40
MOVERS_AHEAD_S = 1.5
CHECKS: dict[str, type[JointChecks] | type[TwistChecks]] = {
    'arm': JointChecks, 'base': TwistChecks}


class PlanLike(Protocol):
    """A plan before or after it has become a `Trajectory`."""

    @property
    def stamp_s(self) -> float:
        """ROS time of time 0 [s]."""
        ...

    @property
    def times_s(self) -> Any:
        """Times [s], a sequence of T numbers."""
        ...

    @property
    def position(self) -> Any:
        """Positions, T rows of n numbers."""
        ...

    @property
    def velocity(self) -> Any:
        """Velocities, T rows of n numbers."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Joint names of the columns."""
        ...


@dataclass(frozen=True)
class PlanArrays:
    """A plan as it came off the wire, unchecked; the fields are those of `Trajectory`."""

    stamp_s: float
    times_s: Any
    position: Any
    velocity: Any
    names: Sequence[str]


@dataclass(frozen=True)
class Verdict:
    """What became of a plan.

    Attributes:
        accepted: Whether it may be followed.
        reason_code: `admitted`, or one of `REASONS`.
        detail: The value that decided, and its bound.
        plan: The plan as a `Trajectory`, if accepted.
    """

    accepted: bool
    reason_code: str
    detail: str = ''
    plan: Trajectory | None = None


class PlanAdmission:
    """Judge plans for one robot, and count the verdicts.

    Args:
        robot: Needs joint_names, base_frame, limits and collision.
        max_plan_age_s: A plan may have started this long ago [s].
        max_future_s: A plan may start this much later [s].
        position_jump_rad: Largest distance to the committed motion at the start [rad].
        velocity_jump_rad_s: The same of velocities [rad/s].
        velocity_tolerance: Share by which a velocity may exceed its limit.
        acceleration_tolerance: Share by which the interpolation's acceleration may (forty knots
            of a smooth plan overshoot between the knots; the MPC keeps the limit itself).
        margin_m: Smallest distance to obstacles [m].

    Raises:
        ConfigurationError: A parameter is negative.
    """

    def __init__(
        self, robot: Any, *, max_plan_age_s: float = 1.0, max_future_s: float = 2.0,
        position_jump_rad: float | None = None, velocity_jump_rad_s: float | None = None,
        velocity_tolerance: float | None = None, acceleration_tolerance: float | None = None,
        margin_m: float = 0.0,
    ) -> None:
        kind = CHECKS[robot.kind]
        usual = kind.defaults
        tolerances = Tolerances(*(own if given is None else given for given, own in (
            (position_jump_rad, usual.position_jump), (velocity_jump_rad_s, usual.velocity_jump),
            (velocity_tolerance, usual.velocity), (acceleration_tolerance, usual.acceleration))))
        given = {
            'max_plan_age_s': max_plan_age_s, 'max_future_s': max_future_s,
            'position_jump_rad': tolerances.position_jump,
            'velocity_jump_rad_s': tolerances.velocity_jump,
            'velocity_tolerance': tolerances.velocity,
            'acceleration_tolerance': tolerances.acceleration, 'margin_m': margin_m}
        for name, value in given.items():
            if not (np.isfinite(value) and value >= 0):
                raise ConfigurationError(
                    'bad parameter of the plan admission', where=f'admission.{name}',
                    value=value, allowed='>= 0')
        self._robot, self._names = robot, tuple(robot.joint_names)
        self._age, self._future = max_plan_age_s, max_future_s
        self._margin = margin_m
        self.counts: Counter[str] = Counter()
        own = self._own = kind(robot, tolerances)
        self._checks: tuple[Callable[[PlanCase], tuple[str, str] | None], ...] = (
            self._when, own.motion, own.dynamics, own.continuity, self._contact)

    def judge(
        self, plan: PlanLike, now_s: float, committed: Trajectory | None,
        obstacles: tuple[Obstacle, ...] | ObstacleArrays = (),
    ) -> Verdict:
        """Return the verdict on a plan; never raises on what the plan holds.

        Args:
            plan: A `Trajectory`, `PlanArrays`, or anything with their fields.
            now_s: ROS time [s].
            committed: The motion that is being executed; for a plan that starts in the future the
                tracker's own last motion predicts better than safety's, which brakes early.
            obstacles: Present obstacles.
        """
        shape = self._shape(plan)
        if isinstance(shape, Verdict):
            return self._count(shape)
        times, position, velocity, stamp_s = shape
        case = PlanCase(
            times, position, velocity, stamp_s + float(times[0]), now_s, committed, obstacles,
            stamp_s)
        for check in self._checks:
            found = check(case)
            if found is not None:
                return self._count(Verdict(False, *found))
        return self._count(Verdict(True, ADMITTED, '', self._trajectory(plan, case)))

    def _count(self, verdict: Verdict) -> Verdict:
        self.counts[verdict.reason_code] += 1
        return verdict

    def _shape(self, plan: PlanLike) -> Verdict | tuple[Array, Array, Array, float]:
        """Return the arrays [T], [T, n], [T, n] and the stamp, or the verdict."""
        try:
            count = len(plan.times_s)
            if not 1 <= count <= MAX_POINTS:
                return Verdict(False, MALFORMED, f'{count} points; 1 to {MAX_POINTS}')
            if len(plan.position) != count or len(plan.velocity) != count:
                return Verdict(False, MALFORMED, 'positions or velocities are not one per point')
            if tuple(plan.names) != self._names:
                return Verdict(False, WRONG_JOINTS, f'{list(plan.names)[:12]}'[:200])
            times = np.asarray(plan.times_s, dtype=float)
            position = np.asarray(plan.position, dtype=float)
            velocity = np.asarray(plan.velocity, dtype=float)
            stamp_s = float(plan.stamp_s)
        except (TypeError, ValueError, AttributeError) as error:
            return Verdict(False, MALFORMED, str(error)[:200])
        shape = (count, len(self._names))
        if times.shape != (count,) or position.shape != shape or velocity.shape != shape:
            return Verdict(False, MALFORMED, f'shapes {position.shape}, {velocity.shape}')
        numbers = (times, position, velocity, np.array([stamp_s]))
        if not all(np.isfinite(array).all() for array in numbers):
            return Verdict(False, NOT_FINITE)
        if (np.diff(times) <= 0).any():
            return Verdict(False, TIMES_NOT_INCREASING)
        return times, position, velocity, stamp_s

    def _when(self, case: PlanCase) -> tuple[str, str] | None:
        age = case.now_s - case.start_s
        if age > self._age:
            return STALE, f'started {age:.3f} s ago; at most {self._age} s'
        if -age > self._future:
            return FUTURE, f'starts in {-age:.3f} s; at most {self._future} s'
        left = case.stamp_s + float(case.times[-1]) - case.now_s
        if left < 0 and len(case.times) > 1:
            return NO_PROGRESS, f'ended {-left:.3f} s ago'
        return None

    def _contact(self, case: PlanCase) -> tuple[str, str] | None:
        begin = max(case.start_s, case.now_s)
        end = max(case.stamp_s + float(case.times[-1]), begin)
        at = np.linspace(begin, end, self._own.samples(case) if end > begin else 1)
        position, _, _ = hermite(case.times, case.position, case.velocity, at - case.stamp_s)
        packed = case.obstacles
        if not isinstance(packed, ObstacleArrays):
            packed = self._own.pack(tuple(packed))
        ahead_s = np.minimum(at - case.now_s, MOVERS_AHEAD_S)
        clearances = self._robot.collision.path_clearance(position, ahead_s, packed)
        for what, clearance, margin in zip(
                ('an obstacle', self._own.own), clearances, (self._margin, 0.0),
                strict=True):
            bound = min(margin, float(clearance[0]) - 1e-3)
            worst = int(np.argmin(clearance))
            if clearance[worst] < bound:
                ahead = at[worst] - case.now_s
                return COLLISION, f'{what}: {float(clearance[worst]):.4f} m, {ahead:.2f} s ahead'
        return None

    def _trajectory(self, plan: PlanLike, case: PlanCase) -> Trajectory:
        if isinstance(plan, Trajectory):
            return plan
        _, _, acceleration = hermite(case.times, case.position, case.velocity, case.times)
        return Trajectory(
            case.stamp_s, case.times, case.position, case.velocity, acceleration, self._names,
            self._robot.base_frame)
