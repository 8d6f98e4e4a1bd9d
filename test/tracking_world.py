# SPDX-License-Identifier: Apache-2.0
"""A small world for tests of the trackers: plans, an ideal robot, and a stand-in for safety."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.robots.state import RobotState
from diffusion_control.tracking.protocol import Reference, Tracker, TrackerReport
from diffusion_control.trajectory.stop import Stopper
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
DT_S = 0.01
START_S = 1.7e9
LIMITS = JointLimits(
    np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]),
    np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]),
    np.array([2.175] * 4 + [2.61] * 3), np.array([15, 7.5, 10, 12.5, 15, 20, 20.0]),
    np.array([7500, 3750, 5000, 6250, 7500, 10000, 10000.0]), np.array([87.0] * 4 + [12.0] * 3))
HOME = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
NAMES = tuple(f'joint_{i}' for i in range(7))


class Free:
    """A robot's shape that is never in contact, or at a given distance after a time."""

    def __init__(self, distances: Array | None = None) -> None:
        """Answer with `distances` [L] (or 1 m)."""
        self.distances = distances

    def path_clearance(self, positions: Array, times_s: Array, obstacles: Any) -> Any:
        """Return the distances, and 1 m to itself."""
        far = np.ones(len(positions))
        return (far if self.distances is None else self.distances[:len(positions)]), far


def fake_robot(torque_scale: float = 1.0) -> Any:
    """Return a robot with constant mass and bias; `torque_scale` makes its links heavier."""
    mass = (np.diag([1.2, 1.5, 0.9, 0.9, 0.05, 0.05, 0.02]) + 0.01) * torque_scale
    bias = np.array([0.0, -30.0, -3.0, 15.0, 1.0, 1.0, 0.0])
    return SimpleNamespace(
        kind='arm', joint_names=NAMES, dof=7, base_frame='base', limits=LIMITS, home_rad=HOME,
        collision=Free(), mass_matrix=lambda q: mass, bias=lambda q, v: bias)


def plan_between(
    start: Array, end: Array, duration_s: float, stamp_s: float, points: int = 40
) -> Trajectory:
    """Return the minimum-jerk plan (a quintic) between two configurations."""
    s = np.linspace(0.0, 1.0, points)[:, None]
    way = end - start
    velocity = (30 * s**2 - 60 * s**3 + 30 * s**4) / duration_s * way
    velocity[-1] = 0.0
    return Trajectory(
        stamp_s, s[:, 0] * duration_s, start + (10 * s**3 - 15 * s**4 + 6 * s**5) * way, velocity,
        (60 * s - 180 * s**2 + 120 * s**3) / duration_s**2 * way, NAMES, 'base')


def standing(position: Array, stamp_s: float) -> Trajectory:
    """Return the motion that stands."""
    rest = np.zeros((2, len(position)))
    return Trajectory(stamp_s, np.array([0.0, 0.1]), position + rest, rest, rest, NAMES, 'base')


@dataclass
class World:
    """Tracker, a disturbed robot 10 ms behind its command, a safety that only splices.

    Attributes:
        tracker: Under test.
        disturbance: C - q of the robot [rad], shape [7].
        start: Where it stands first.
        committed: C.
        now_s: ROS time.
        brake: While set, safety ignores the tracker and lets C run out.
    """

    tracker: Tracker
    disturbance: Array = field(default_factory=lambda: np.zeros(7))
    start: Array = field(default_factory=lambda: HOME.copy())
    now_s: float = START_S
    brake: bool = False

    def __post_init__(self) -> None:
        """Stand."""
        self.committed = standing(self.start, self.now_s)
        self.reports: list[TrackerReport] = []
        self.commands: list[Array] = []
        self.times: list[float] = []
        self._stopper = Stopper(LIMITS.scaled(0.75), period_s=0.05)

    def tick(self, plan: Trajectory | None, time_scale: float = 1.0) -> Trajectory:
        """Advance by one tick; return the tracker's motion."""
        now = self.now_s
        late = self.commands[-2] if len(self.commands) > 1 else np.stack((self.start, HOME * 0))
        state = RobotState(late[0] - self.disturbance, late[1], now)
        output = self.tracker.step(
            state, Reference(plan, self.committed, time_scale), now)
        self.reports.append(output.report)
        if not self.brake:
            self.committed = self._splice(output.motion)
        self.times.append(now + DT_S)
        self.commands.append(np.array(self.committed.sample_many(np.array([now + DT_S])))[:, 0])
        self.now_s = START_S + DT_S * len(self.times)
        return output.motion

    def run(self, plan: Trajectory | None, ticks: int, time_scale: float = 1.0) -> None:
        """Advance by some ticks."""
        for _ in range(ticks):
            self.tick(plan, time_scale)

    def _splice(self, motion: Trajectory) -> Trajectory:
        now, join, end = self.now_s, motion.start_s, self.now_s + 0.04
        old = self.committed
        inner = [t for t in old.times_s + old.stamp_s if now + 1e-4 < t < join - 1e-4]
        first = np.array([now, *inner, join])
        knots = motion.times_s + motion.stamp_s
        second = np.array([*(t for t in knots if join + 1e-4 < t < end - 1e-4), end])
        q, v, a = (np.concatenate(parts) for parts in zip(
            old.sample_many(first), motion.sample_many(second), strict=True))
        last = motion.sample(end - 1e-7).acceleration
        tail = self._stopper.stop(q[-1], v[-1], last)
        times = np.concatenate((first, second, end + tail.times_s[1:])) - now
        return Trajectory(
            now, times, np.concatenate((q, tail.position[1:])),
            np.concatenate((v, tail.velocity[1:])), np.concatenate((a, tail.acceleration[1:])),
            NAMES, 'base')


def inside(motion: Trajectory, limits: JointLimits, share: float = 1.0) -> None:
    """Assert the limits of a motion, densely, and that it ends at rest."""
    at = np.linspace(motion.start_s, motion.end_s - 1e-6, 400)
    position, velocity, acceleration = motion.sample_many(at)
    assert (position >= limits.lower_rad - 1e-4).all(), 'lower position limit'
    assert (position <= limits.upper_rad + 1e-4).all(), 'upper position limit'
    assert (np.abs(velocity) <= limits.velocity_rad_s * share + 0.06).all(), 'velocity limit'
    assert (np.abs(acceleration) <= limits.acceleration_rad_s2 * share + 0.5).all(), 'acceleration'
    assert (motion.velocity[-1] == 0).all(), 'ends at rest'
    assert len(motion.times_s) <= 40
