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
from diffusion_control.trajectory.trajectory import Trajectory, hermite

Array = NDArray[np.float64]
ADMITTED = 'admitted'
MALFORMED = 'malformed'
WRONG_JOINTS = 'wrong_joints'
NOT_FINITE = 'not_finite'
TIMES_NOT_INCREASING = 'times_not_increasing'
STALE = 'stale'
FUTURE = 'future'
NO_PROGRESS = 'no_progress'
NO_REST = 'no_rest'
LIMIT_POSITION = 'limit_position'
LIMIT_VELOCITY = 'limit_velocity'
RESIDUAL = 'residual'
LIMIT_ACCELERATION = 'limit_acceleration'
DISCONTINUOUS = 'discontinuous'
COLLISION = 'collision'
REASONS: tuple[str, ...] = (
    MALFORMED, WRONG_JOINTS, NOT_FINITE, TIMES_NOT_INCREASING, STALE, FUTURE, NO_PROGRESS,
    NO_REST, LIMIT_POSITION, LIMIT_VELOCITY, RESIDUAL, LIMIT_ACCELERATION, DISCONTINUOUS,
    COLLISION)
MAX_POINTS = 40
COLLISION_SAMPLES = 48
MOVERS_AHEAD_S = 1.5


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


@dataclass(frozen=True)
class _Case:
    """A plan under examination; arrays are filled once its shape is known."""

    times: Array
    position: Array
    velocity: Array
    start_s: float
    now_s: float
    committed: Trajectory | None
    obstacles: tuple[Obstacle, ...] | ObstacleArrays
    stamp_s: float


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
        position_jump_rad: float = 0.1, velocity_jump_rad_s: float = 1.0,
        velocity_tolerance: float = 0.05, acceleration_tolerance: float = 0.25,
        margin_m: float = 0.0,
    ) -> None:
        given = {
            'max_plan_age_s': max_plan_age_s, 'max_future_s': max_future_s,
            'position_jump_rad': position_jump_rad, 'velocity_jump_rad_s': velocity_jump_rad_s,
            'velocity_tolerance': velocity_tolerance,
            'acceleration_tolerance': acceleration_tolerance, 'margin_m': margin_m}
        for name, value in given.items():
            if not (np.isfinite(value) and value >= 0):
                raise ConfigurationError(
                    'bad parameter of the plan admission', where=f'admission.{name}',
                    value=value, allowed='>= 0')
        self._robot, self._names = robot, tuple(robot.joint_names)
        self._age, self._future = max_plan_age_s, max_future_s
        self._jump, self._velocity_jump = position_jump_rad, velocity_jump_rad_s
        self._fast, self._hard = 1.0 + velocity_tolerance, 1.0 + acceleration_tolerance
        self._margin = margin_m
        self.counts: Counter[str] = Counter()
        self._checks: tuple[Callable[[_Case], tuple[str, str] | None], ...] = (
            self._when, self._rest_and_limits, self._dynamics, self._continuity, self._contact)

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
        case = _Case(
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

    def _when(self, case: _Case) -> tuple[str, str] | None:
        age = case.now_s - case.start_s
        if age > self._age:
            return STALE, f'started {age:.3f} s ago; at most {self._age} s'
        if -age > self._future:
            return FUTURE, f'starts in {-age:.3f} s; at most {self._future} s'
        left = case.stamp_s + float(case.times[-1]) - case.now_s
        if left < 0 and len(case.times) > 1:
            return NO_PROGRESS, f'ended {-left:.3f} s ago'
        return None

    def _rest_and_limits(self, case: _Case) -> tuple[str, str] | None:
        last = float(np.abs(case.velocity[-1]).max())
        if last > 1e-3:
            return NO_REST, f'last velocity {last:.4f} rad/s'
        limits = self._robot.limits
        position, velocity, _ = hermite(
            case.times, case.position, case.velocity, _between(case.times, 4))
        over = np.maximum(position - limits.upper_rad, limits.lower_rad - position).max(axis=0)
        if over.max() > 1e-6:
            return LIMIT_POSITION, self._worst(over, 'rad beyond the limit')
        fast = np.abs(velocity).max(axis=0) / limits.velocity_rad_s
        if fast.max() > self._fast:
            return LIMIT_VELOCITY, self._worst(fast, 'of the limit')
        return None

    def _dynamics(self, case: _Case) -> tuple[str, str] | None:
        """Mean velocity against the difference of positions, then the cubic's acceleration.

        On a segment of length h with accelerations a_0, a_1 and constant jerk the mean of the end
        velocities differs from the mean velocity by (a_1 - a_0) h / 12 <= a_max h / 6.
        """
        if len(case.times) == 1:
            return None
        limit = self._robot.limits.acceleration_rad_s2
        width = np.diff(case.times)[:, None]
        rate = np.diff(case.position, axis=0) / width
        residual = np.abs(rate - (case.velocity[:-1] + case.velocity[1:]) / 2)
        excess = (residual - self._hard * limit * width / 6 - 1e-3).max(axis=0)
        if excess.max() > 0:
            return RESIDUAL, self._worst(excess, 'rad/s too much')
        first = (6 * rate - 4 * case.velocity[:-1] - 2 * case.velocity[1:]) / width
        last = (2 * case.velocity[:-1] + 4 * case.velocity[1:] - 6 * rate) / width
        hard = np.maximum(np.abs(first), np.abs(last)).max(axis=0) / limit
        if hard.max() > self._hard:
            return LIMIT_ACCELERATION, self._worst(hard, 'of the limit')
        return None

    def _continuity(self, case: _Case) -> tuple[str, str] | None:
        """Compare with the committed motion; one that starts later is given what C may still do.

        Allowed: position_jump + |C'(now)| (t - now), with t the plan's start or now.
        """
        if case.committed is None:
            return None
        at = np.array([max(case.start_s, case.now_s)])
        ahead = max(float(at[0]) - case.now_s, 0.0)
        moving = np.abs(case.committed.sample(case.now_s).velocity)
        there, speed, _ = case.committed.sample_many(at)
        position, velocity, _ = hermite(
            case.times, case.position, case.velocity, at - case.stamp_s)
        jump = np.abs(position[0] - there[0]) - moving * ahead
        if jump.max() > self._jump:
            return DISCONTINUOUS, self._worst(jump, f'rad; at most {self._jump}')
        change = np.abs(velocity[0] - speed[0]) - (moving if ahead > 0 else 0.0)
        if change.max() > self._velocity_jump:
            return DISCONTINUOUS, self._worst(change, f'rad/s; at most {self._velocity_jump}')
        return None

    def _contact(self, case: _Case) -> tuple[str, str] | None:
        begin = max(case.start_s, case.now_s)
        end = max(case.stamp_s + float(case.times[-1]), begin)
        at = np.linspace(begin, end, COLLISION_SAMPLES if end > begin else 1)
        position, _, _ = hermite(case.times, case.position, case.velocity, at - case.stamp_s)
        packed = case.obstacles
        if not isinstance(packed, ObstacleArrays):
            packed = ObstacleArrays.pack(tuple(packed))
        ahead_s = np.minimum(at - case.now_s, MOVERS_AHEAD_S)
        clearances = self._robot.collision.path_clearance(position, ahead_s, packed)
        for what, clearance, margin in zip(
                ('an obstacle', 'itself or the floor'), clearances, (self._margin, 0.0),
                strict=True):
            bound = min(margin, float(clearance[0]) - 1e-3)
            worst = int(np.argmin(clearance))
            if clearance[worst] < bound:
                ahead = at[worst] - case.now_s
                return COLLISION, f'{what}: {float(clearance[worst]):.4f} m, {ahead:.2f} s ahead'
        return None

    def _worst(self, values: Array, unit: str) -> str:
        joint = int(np.argmax(values))
        return f'{self._names[joint]}: {float(values[joint]):.4f} {unit}'

    def _trajectory(self, plan: PlanLike, case: _Case) -> Trajectory:
        if isinstance(plan, Trajectory):
            return plan
        _, _, acceleration = hermite(case.times, case.position, case.velocity, case.times)
        return Trajectory(
            case.stamp_s, case.times, case.position, case.velocity, acceleration, self._names,
            self._robot.base_frame)


def _between(times: Array, parts: int) -> Array:
    """Return the knot times and `parts` - 1 times inside each segment."""
    if len(times) == 1:
        return times
    share = np.arange(parts) / parts
    inner = (times[:-1, None] + np.diff(times)[:, None] * share).ravel()
    return np.append(inner, times[-1])
