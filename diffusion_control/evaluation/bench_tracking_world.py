# SPDX-License-Identifier: Apache-2.0
"""The world of `bench tracking`: robots, plans and an ideal robot behind its command.

A plan is the quintic from a state of motion to rest; `share` 1 uses the robot's limits fully, 2
asks for twice of what they allow. The robot is where the command was one tick ago, and what the
tracker sends is what is committed, as with a safety monitor that never intervenes.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.robots.state import RobotState
from diffusion_control.tracking.protocol import Reference, Tracker, TrackerOutput
from diffusion_control.trajectory.trajectory import Sample, Trajectory

Array = NDArray[np.float64]
TICK_S, START_S = 0.01, 1000.0
POINTS = 40
PEAK_SPEED, PEAK_ACCELERATION = 1.875, 5.77
GOAL_RANGE_RAD, EDGE_RAD = 0.8, 0.2


def pair_of(arm: Any) -> Any:
    """Return two of an arm side by side: one robot with 2 n joints that do not act on each other.

    It has what a tracker asks for: names, limits, mass_matrix, bias, inverse_dynamics and
    torque_slopes.
    """
    n, limits = arm.dof, arm.limits
    both = JointLimits(*(np.tile(getattr(limits, name), 2) for name in (
        'lower_rad', 'upper_rad', 'velocity_rad_s', 'acceleration_rad_s2', 'jerk_rad_s3',
        'torque_nm')))

    def blocks(first: Array, second: Array) -> Array:
        joined = np.zeros((2 * n, 2 * n))
        joined[:n, :n], joined[n:, n:] = first, second
        return joined

    def slopes(q: Array, v: Array, a: Array) -> tuple[Array, ...]:
        one, two = (arm.torque_slopes(q[s], v[s], a[s]) for s in (slice(n), slice(n, None)))
        return (np.concatenate((one[0], two[0])),
                *(blocks(x, y) for x, y in zip(one[1:], two[1:], strict=True)))

    return SimpleNamespace(
        joint_names=tuple(f'{side}_{name}' for side in 'ab' for name in arm.joint_names),
        dof=2 * n, base_frame=arm.base_frame, limits=both, home_rad=np.tile(arm.home_rad, 2),
        mass_matrix=lambda q: blocks(arm.mass_matrix(q[:n]), arm.mass_matrix(q[n:])),
        bias=lambda q, v: np.concatenate((arm.bias(q[:n], v[:n]), arm.bias(q[n:], v[n:]))),
        inverse_dynamics=lambda q, v, a: np.concatenate((
            arm.inverse_dynamics(q[:n], v[:n], a[:n]),
            arm.inverse_dynamics(q[n:], v[n:], a[n:]))),
        torque_slopes=slopes)


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking through what a bench keeps while it takes times.

    The nodes freeze what they hold before their loop begins (`nodes/real_time.py`).
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def random_goal(robot: Any, rng: np.random.Generator) -> Array:
    """Return a configuration around the robot's home and inside its limits, shape [n]."""
    goal = robot.home_rad + rng.uniform(-GOAL_RANGE_RAD, GOAL_RANGE_RAD, robot.dof)
    clipped: Array = np.clip(
        goal, robot.limits.lower_rad + EDGE_RAD, robot.limits.upper_rad - EDGE_RAD)
    return clipped


def quintic_plan(robot: Any, start: Sample, at_s: float, end: Array, share: float) -> Trajectory:
    """Return a plan of 40 points from a state of motion at `at_s` to rest at `end`.

    q(s) = q0 + b(s) way + f(s) T v0 with b(0) = 0, b(1) = 1, f'(0) = 1 and all other values and
    slopes 0 at both ends; the duration T uses `share` of the limits for a start at rest.
    """
    way = end - start.position
    fast = (np.abs(way) / robot.limits.velocity_rad_s).max() * PEAK_SPEED
    hard = np.sqrt((np.abs(way) / robot.limits.acceleration_rad_s2).max() * PEAK_ACCELERATION)
    duration = max(fast, hard, 0.2) / share
    s = np.linspace(0.0, 1.0, POINTS)[:, None]
    blend, rate = 10 * s**3 - 15 * s**4 + 6 * s**5, 30 * s**2 - 60 * s**3 + 30 * s**4
    fade, slope = s - 6 * s**3 + 8 * s**4 - 3 * s**5, 1 - 18 * s**2 + 32 * s**3 - 15 * s**4
    velocity = rate / duration * way + slope * start.velocity
    velocity[-1] = 0.0
    return Trajectory(
        at_s, s[:, 0] * duration,
        start.position + blend * way + fade * duration * start.velocity, velocity,
        np.zeros_like(velocity), tuple(robot.joint_names), robot.base_frame)


def resting(position: Array) -> Sample:
    """Return the state of standing at a configuration."""
    return Sample(np.array(position, dtype=float), *np.zeros((2, len(position))))


@dataclass
class Follower:
    """A tracker and its ideal robot; keeps what was sent, as it is executed.

    Attributes:
        tracker: Under test.
        robot: Its robot.
        now_s: ROS time [s].
        committed: What is executed now.
        sent: The motions sent, one a tick (None while braking).
        cpu_s: Thread time of the tracker's step, one a tick [s].
        wall_s: The same on the wall [s].
    """

    tracker: Tracker
    robot: Any
    now_s: float = START_S
    committed: Trajectory | None = None
    sent: list[Trajectory | None] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Stand at home."""
        self._measured = [np.array(self.robot.home_rad, dtype=float)] * 2
        if self.committed is None:
            rest = np.zeros((2, self.robot.dof))
            self.committed = Trajectory(
                self.now_s, np.array([0.0, 0.1]), self.robot.home_rad + rest, rest, rest,
                tuple(self.robot.joint_names), self.robot.base_frame)

    def state(self) -> RobotState:
        """Return the measurement of this tick."""
        return RobotState(self._measured[0], np.zeros(self.robot.dof), self.now_s)

    def ahead(self, by_s: float) -> Sample:
        """Return where the robot will be `by_s` from now if nothing new is sent."""
        assert self.committed is not None
        return self.committed.sample(self.now_s + by_s)

    def tick(
        self, plan: Trajectory | None, *, time_scale: float = 1.0, brake: bool = False
    ) -> TrackerOutput:
        """Advance by one tick; `brake` lets the committed motion run out instead."""
        state, reference = self.state(), Reference(plan, self.committed, time_scale)
        begin, begin_wall = time.thread_time_ns(), time.perf_counter_ns()
        output = self.tracker.step(state, reference, self.now_s)
        self.cpu_s.append(1e-9 * (time.thread_time_ns() - begin))
        self.wall_s.append(1e-9 * (time.perf_counter_ns() - begin_wall))
        if not brake:
            self.committed = output.motion
        self.sent.append(None if brake else output.motion)
        self.now_s = START_S + TICK_S * len(self.sent)
        assert self.committed is not None
        self._measured = [self._measured[1], self.committed.sample(self.now_s + TICK_S).position]
        return output


def spliced(old: Trajectory | None, motion: Trajectory, now_s: float) -> Trajectory:
    """Return what is sent at `now_s`: the old command until the motion starts, then the motion.

    That is what the safety monitor sends; a receiver that is handed a motion which starts later
    would bridge the time until then in its own way.
    """
    if old is None or motion.start_s <= now_s:
        return motion
    knots = old.times_s + old.stamp_s
    first = np.array([now_s, *knots[(knots > now_s + 1e-4) & (knots < motion.start_s - 1e-4)]])
    position, velocity, acceleration = (np.concatenate(parts) for parts in zip(
        old.sample_many(first), (motion.position, motion.velocity, motion.acceleration),
        strict=True))
    times = np.concatenate((first, motion.times_s + motion.stamp_s)) - now_s
    return Trajectory(
        now_s, times, position, velocity, acceleration, motion.names, motion.frame_id)


def executed(sent: list[Trajectory | None], lead_s: float = 0.02, samples: int = 5
             ) -> tuple[Array, Array, Array]:
    """Return positions, velocities and accelerations of the command as it was executed.

    Motion k is executed from its start to the start of the next one; each tick's part is sampled
    at `samples` times from its beginning to just before its end, shape [ticks * samples, n].
    """
    parts, last = [], None
    inner = np.linspace(0.0, TICK_S - 1e-7, samples)
    for k, motion in enumerate(sent):
        last = motion or last
        if last is not None:
            parts.append(last.sample_many(START_S + TICK_S * k + lead_s + inner))
    return tuple(np.concatenate(rows) for rows in zip(*parts, strict=True))  # type: ignore[return-value]


def command_violations(
    robot: Any, position: Array, velocity: Array, acceleration: Array
) -> dict[str, int]:
    """Count onsets of a command beyond the robot's own limits, by limit.

    Torque is M a + h of the nominal model at each sample's state.
    """
    limits = robot.limits
    torque = np.array([robot.inverse_dynamics(q, v, a) for q, v, a in zip(
        position[::5], velocity[::5], acceleration[::5], strict=True)])
    over = {
        'position': ((position > limits.upper_rad + 1e-6)
                     | (position < limits.lower_rad - 1e-6)).any(axis=1),
        'velocity': (np.abs(velocity) > limits.velocity_rad_s).any(axis=1),
        'acceleration': (np.abs(acceleration) > limits.acceleration_rad_s2).any(axis=1),
        'torque': (np.abs(torque) > limits.torque_nm).any(axis=1)}
    return {name: int(flags[0]) + int((np.diff(flags.astype(int)) > 0).sum())
            for name, flags in over.items()}
