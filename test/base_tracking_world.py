# SPDX-License-Identifier: Apache-2.0
"""A small world for tests of the base's trackers: plans, a slipping unicycle, a safety."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control import robots
from diffusion_control.robots.state import RobotState
from diffusion_control.tracking.protocol import Reference, Tracker, TrackerReport
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
DT_S = 0.01
START_S = 1.7e9
NAMES = ('x', 'y', 'yaw')
BASE = robots.load_base('base')
DRIVE = BASE.drive


def base_like(**drive: Any) -> Any:
    """Return the base with another drive."""
    config = replace(BASE.config, drive=replace(DRIVE, **drive))
    return type(BASE)(config)


OMNI = base_like(kind='omni')
FORWARD = base_like(reverse_max_m_s=0.0)


def standing(pose: Array, stamp_s: float) -> Trajectory:
    """Return the motion that stands."""
    rest = np.zeros((2, 3))
    return Trajectory(stamp_s, np.array([0.0, 0.1]), pose + rest, rest, rest, NAMES, 'odom')


def twists(
    start: Array, rows: Array, duration_s: float, stamp_s: float, points: int = 40
) -> Trajectory:
    """Return the plan that integrates (u, omega) rows [K, 2], linear in time, from a pose.

    Args:
        start: x, y, yaw.
        rows: u and omega at equal distances in time; the last should be 0.
        duration_s: Of all.
        stamp_s: ROS time of the start.
        points: Knots of the plan.
    """
    fine = np.linspace(0.0, duration_s, 20 * (points - 1) + 1)
    at = np.linspace(0.0, duration_s, len(rows))
    u, rate = (np.interp(fine, at, rows[:, j]) for j in (0, 1))
    step = fine[1]
    yaw = start[2] + np.concatenate(([0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * step)))
    x, y = (origin + np.concatenate(([0.0], np.cumsum((v[1:] + v[:-1]) / 2 * step)))
            for origin, v in ((start[0], u * np.cos(yaw)), (start[1], u * np.sin(yaw))))
    position = np.stack((x, y, yaw), axis=1)[::20]
    velocity = np.stack((u * np.cos(yaw), u * np.sin(yaw), rate), axis=1)[::20]
    return Trajectory(
        stamp_s, fine[::20], position, velocity, np.zeros_like(velocity), NAMES, 'odom')


def slalom(start: Array, stamp_s: float, speed: float = 0.4, rate: float = 0.8,
           duration_s: float = 5.0) -> Trajectory:
    """Return a smooth plan that speeds up, weaves, and stops."""
    s = np.linspace(0.0, 1.0, 81)
    gate = np.clip(np.minimum(s, 1 - s) / 0.2, 0, 1)
    gate = gate**2 * (3 - 2 * gate)
    rows = np.stack((speed * gate, rate * gate * np.sin(4 * np.pi * s)), axis=1)
    return twists(start, rows, duration_s, stamp_s)


def body(motion: Trajectory, samples: int = 400) -> tuple[Array, Array]:
    """Return twist (u, w, omega) [S, 3] and its rate [S, 3] of a motion, by differences."""
    at = np.linspace(motion.start_s, motion.end_s - 1e-6, samples)
    position, velocity, acceleration = motion.sample_many(at)
    c, s = np.cos(position[:, 2]), np.sin(position[:, 2])
    u, w = c * velocity[:, 0] + s * velocity[:, 1], c * velocity[:, 1] - s * velocity[:, 0]
    a = c * acceleration[:, 0] + s * acceleration[:, 1] + w * velocity[:, 2]
    b = c * acceleration[:, 1] - s * acceleration[:, 0] - u * velocity[:, 2]
    return np.stack((u, w, velocity[:, 2]), 1), np.stack((a, b, acceleration[:, 2]), 1)


@dataclass
class BaseWorld:
    """Tracker, a base that executes the twist of C, a safety that only splices.

    Attributes:
        tracker: Under test.
        robot: The base.
        slip: Real twist as a share of the commanded one, (u, omega).
        lag_s: Time constant of the drive.
        noise: Standard deviation of the measured x, y, yaw.
        draw: Share of its drift by which C is drawn to the robot in each tick.
        pose: Where it really is.
        now_s: ROS time.
        brake: While set, safety ignores the tracker and lets C run out.
    """

    tracker: Tracker
    robot: Any = BASE
    slip: tuple[float, float] = (1.0, 1.0)
    lag_s: float = 0.0
    noise: float = 0.0
    draw: float = 0.0
    pose: Any = None
    now_s: float = START_S
    brake: bool = False

    def __post_init__(self) -> None:
        """Stand."""
        self.pose = np.zeros(3) if self.pose is None else np.array(self.pose, dtype=float)
        self.committed = standing(self.pose, self.now_s)
        self.twist = np.zeros(3)
        self.reports: list[TrackerReport] = []
        self.motions: list[Trajectory] = []
        self.commands: list[Array] = []
        self.poses: list[Array] = []
        self.times: list[float] = []
        self._rng = np.random.default_rng(0)

    def tick(self, plan: Trajectory | None, time_scale: float = 1.0) -> Trajectory:
        """Advance by one tick; return the tracker's motion."""
        now = self.now_s
        measured = self.pose + self.noise * self._rng.normal(size=3)
        output = self.tracker.step(
            RobotState(measured, self.twist, now), Reference(plan, self.committed, time_scale),
            now)
        self.reports.append(output.report)
        self.motions.append(output.motion)
        if not self.brake:
            self.committed = self._splice(output.motion)
        self._move(now)
        if self.draw:
            q = self.committed.sample(now + DT_S).position
            moved = self.committed.position + self.draw * (self.pose - q)
            self.committed = replace(self.committed, position=moved)
        self.times.append(now + DT_S)
        self.commands.append(np.array(self.committed.sample_many(np.array([now + DT_S])))[:, 0])
        self.poses.append(self.pose.copy())
        self.now_s = START_S + DT_S * len(self.times)
        return output.motion

    def run(self, plan: Trajectory | None, ticks: int, time_scale: float = 1.0) -> None:
        """Advance by some ticks."""
        for _ in range(ticks):
            self.tick(plan, time_scale)

    def error(self, plan: Trajectory) -> Array:
        """Return real pose less plan, the drive's lag earlier, inside the plan, shape [T, 3]."""
        times = np.array(self.times) - self.lag_s
        inside = (times >= plan.start_s) & (times <= plan.end_s)
        return np.array(self.poses)[inside] - plan.sample_many(times[inside])[0]

    def _move(self, now: float) -> None:
        """Integrate the twist of C over the tick."""
        parts = 5
        at = now + DT_S * (np.arange(parts) + 0.5) / parts
        position, velocity, _ = self.committed.sample_many(at)
        for q, v in zip(position, velocity, strict=True):
            c, s = np.cos(q[2]), np.sin(q[2])
            wanted = np.array([
                self.slip[0] * (c * v[0] + s * v[1]), self.slip[0] * (c * v[1] - s * v[0]),
                self.slip[1] * v[2]])
            step = DT_S / parts
            share = 1.0 if self.lag_s == 0 else -np.expm1(-step / self.lag_s)
            self.twist = self.twist + share * (wanted - self.twist)
            yaw = self.pose[2] + step * self.twist[2] / 2
            c, s = np.cos(yaw), np.sin(yaw)
            self.pose = self.pose + step * np.array([
                c * self.twist[0] - s * self.twist[1], s * self.twist[0] + c * self.twist[1],
                self.twist[2]])

    def _splice(self, motion: Trajectory) -> Trajectory:
        now, join = self.now_s, motion.start_s
        first = np.array([now, *(
            t for t in self.committed.times_s + self.committed.stamp_s
            if now + 1e-4 < t < join - 1e-4)])
        head = self.committed.sample_many(first)
        times = np.concatenate((first, motion.times_s + motion.stamp_s)) - now
        return Trajectory(
            now, times, *(np.concatenate((a, b)) for a, b in zip(
                head, (motion.position, motion.velocity, motion.acceleration), strict=True)),
            NAMES, 'odom')


def keeps_limits(motion: Trajectory, robot: Any, share: float = 0.9) -> None:
    """Assert the limits of a motion, densely, that a unicycle can do it, and its rest."""
    drive = robot.drive
    twist, rate = body(motion)
    u, w, turn = twist.T
    speed = np.hypot(u, w)
    assert speed.max() <= drive.speed_max_m_s * share * 1.005 + 1e-3, 'speed'
    if drive.kind == 'diff_drive':
        assert u.min() >= -drive.reverse_max_m_s * share - 2e-3, 'reverse'
        assert np.abs(w).max() < 2e-3, 'sideways'
        wheel = np.abs(u) + np.abs(turn) * drive.wheel_separation_m / 2
    else:
        wheel = np.abs(u) + np.abs(w) + np.abs(turn) * drive.wheel_separation_m / 2
    assert np.abs(turn).max() <= drive.yaw_rate_max_rad_s * share * 1.005 + 1e-3, 'yaw rate'
    travel = drive.wheel_speed_max_rad_s * drive.wheel_radius_m * share
    assert wheel.max() <= travel * 1.005 + 2e-3, 'wheels'
    forward = rate[:, 0] * np.sign(u)
    moving = np.abs(u) > 0.03
    faster = drive.acceleration_max_m_s2 * share
    assert forward[moving].max(initial=0) <= faster + 0.02, 'speeds up'
    assert np.abs(rate[:, 0]).max() <= drive.braking_max_m_s2 * share + 0.02, 'braking'
    assert np.abs(rate[:, 2]).max() <= drive.yaw_acceleration_max_rad_s2 * share + 0.05, 'turning'
    assert (motion.velocity[-1] == 0).all(), 'ends at rest'
    assert len(motion.times_s) <= 40
