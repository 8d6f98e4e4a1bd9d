# SPDX-License-Identifier: Apache-2.0
"""How well a base follows plans, and the thread time of one step of its tracker.

Usage: OMP_NUM_THREADS=1 python benchmarks/tracking_base.py [--tracker mpc] [--robot base]
       [--plant kinematic|nominal|default] [--ticks 1500] [--seed 0] [--paced]

Kinds of plans: `smooth` (weaving at half the limits), `switching` (a new plan from the predicted
motion every 0.3 s), `infeasible` (1.6 times too fast), `late` (each starts 0.3 s ago), `noisy`
(every knot off by 1 cm and 10 mrad). The robot executes the twist of what is committed 10 ms
later with the motors' lag (`kinematic`), or in MuJoCo with the wheels, motors and slip of a plant.
What is committed is the tracker's own motion, drawn by 3 % a tick to where the robot is, as the
safety monitor does; no monitor is between.

Errors are those of the pose against the plan, `late_s` (the drive's delay) earlier, only where the
plan can be driven (`smooth`, `noisy`); for `late` to the nearest point of its path. Only
`Tracker.step` is timed (`time.thread_time_ns`); `calibration_us` is the median time of one
`Trajectory.sample` in between, a measure of how busy the machine is. `over_limit` is the
largest excess of the command's twist, wheel speed or acceleration over 0.9 of its limit, as a
share of it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, deque
from dataclasses import replace
from typing import Any

import numpy as np
from numbers_given import positive, seed_number
from numpy.typing import NDArray

from diffusion_control import robots, tracking
from diffusion_control.robots import RobotState
from diffusion_control.robots.base import Base
from diffusion_control.tracking import Reference, Tracker
from diffusion_control.tracking.twist_limits import TwistLimits
from diffusion_control.tracking.unicycle_kernels import body_of, roll
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
LEVELS = (10, 50, 99, 99.9)
KINDS = ('smooth', 'switching', 'infeasible', 'late', 'noisy')
DT_S, KNOTS, DRAW = 0.01, 40, 0.03


def weaving(base: Base, pose: Array, twist: Array, stamp_s: float, rng: np.random.Generator,
            share: float) -> Trajectory:
    """Return a plan of 3 to 5 s from a pose and a twist (u, omega) to rest, 40 knots."""
    drive, steps = base.drive, 20 * (KNOTS - 1)
    wheel = drive.wheel_speed_max_rad_s * drive.wheel_radius_m
    turn = rng.uniform(-1, 1, 4) * min(
        drive.yaw_rate_max_rad_s, 2 * wheel / drive.wheel_separation_m) * share
    speed = rng.uniform(0.5, 1.0, 4) * drive.speed_max_m_s * share
    rows = np.stack((np.append(np.append(twist[0], speed), 0.0),
                     np.append(np.append(twist[1], turn), 0.0)), axis=1)
    fine = np.linspace(0.0, rng.uniform(3.0, 5.0), steps + 1)
    at = fine[-1] * np.linspace(0.0, 1.0, len(rows))
    twists = np.stack([np.interp(fine, at, column) for column in rows.T], axis=1)
    rate = np.zeros((steps + 1, 3))
    rate[:-1, [0, 2]] = np.diff(twists, axis=0) / fine[1]
    start = np.array([twists[0, 0], 0.0, twists[0, 1]])
    position = np.empty((steps + 1, 3))
    position[0] = pose
    velocity = np.zeros((steps + 1, 3))
    for k in range(steps + 1):
        now = np.array([twists[k, 0], 0.0, twists[k, 1]])
        if k:
            pieces = roll(np.array([0.0, fine[1]]), position[k - 1], start, np.repeat(
                rate[k - 1][None], 2, axis=0))
            position[k] = pieces[0, 1]
        start = now
        c, s = np.cos(position[k, 2]), np.sin(position[k, 2])
        velocity[k] = now[0] * c, now[0] * s, now[2]
    velocity[-1] = 0.0
    pick = slice(None, None, 20)
    return Trajectory(stamp_s, fine[pick], position[pick], velocity[pick],
                      np.zeros((KNOTS, 3)), tuple(base.joint_names), base.base_frame)


def spliced(committed: Trajectory, motion: Trajectory, now_s: float) -> Trajectory:
    """Return what is committed until the motion starts, and the motion."""
    knots = committed.times_s + committed.stamp_s
    first = np.array([now_s, *knots[
        (knots > now_s + 1e-4) & (knots < motion.start_s - 1e-4)]])
    head = committed.sample_many(first)
    times = np.concatenate((first, motion.times_s + motion.stamp_s)) - now_s
    rows = (np.concatenate(pair) for pair in zip(
        head, (motion.position, motion.velocity, motion.acceleration), strict=True))
    return Trajectory(now_s, times, *rows, committed.names, committed.frame_id)


class Kinematic:
    """A base whose twist follows the command of the tick before with the motors' lag."""

    def __init__(self, base: Base) -> None:
        """Stand at the origin."""
        self.pose, self.twist, self.command = np.zeros(3), np.zeros(3), np.zeros(3)
        self.share = -np.expm1(-DT_S / base.plant.motor_lag_s)
        self.late_s = DT_S + base.plant.motor_lag_s

    def step(self, twist: Array) -> RobotState:
        """Advance by one tick."""
        before = self.twist
        self.twist = before + self.share * (self.command - before)
        u, w, turn = (before + self.twist) / 2
        middle = self.pose[2] + DT_S / 2 * turn
        c, s = np.cos(middle), np.sin(middle)
        self.pose = self.pose + DT_S * np.array([c * u - s * w, s * u + c * w, turn])
        self.command = twist
        return RobotState(self.pose.copy(), self.twist, 0.0)

    def true_pose(self) -> Array:
        """Return where the base is."""
        return self.pose


class Physical:
    """The base in MuJoCo; the tracker sees its odometry."""

    def __init__(self, base: Base, plant: str, seed: int) -> None:
        """Stand at the origin of an empty world."""
        from diffusion_control import simulation
        self.simulation = simulation.make(base, plant=plant, seed=seed)
        self.late_s = DT_S + base.plant.motor_lag_s

    def step(self, twist: Array) -> RobotState:
        """Advance by one tick."""
        return self.simulation.step(twist, DT_S)

    def true_pose(self) -> Array:
        """Return where odometry without noise says that the base is."""
        return self.simulation.odom().position


def run(base: Base, tracker: Tracker, robot: Any, kind: str, ticks: int, paced: bool, seed: int
        ) -> dict[str, Any]:
    """Return the figures of one kind of plans."""
    rng = np.random.default_rng(seed)
    share = 1.6 if kind == 'infeasible' else 0.5
    now_s, plan, motion = 1000.0, None, None
    limits = TwistLimits(base, 0.9)
    names = (tuple(base.joint_names), base.base_frame)
    measured = robot.step(np.zeros(3))
    rest = np.zeros((2, 3))
    committed = Trajectory(
        now_s, np.array([0.0, 0.1]), measured.position + rest, rest, rest, *names)
    past = deque([committed.position[0]] * max(round(robot.late_s / DT_S) - 1, 1))
    micros, calibration, errors, reports, commands = [], [], [], [], []
    for k in range(ticks):
        due = plan is None or now_s > plan.end_s + 0.2
        if due or (kind == 'switching' and k % 30 == 0):
            start = now_s + (-0.3 if kind == 'late' else 0.1)
            there = (motion or committed).sample(start)
            q, v = there.position[None], there.velocity[None]
            twist = body_of(q, v, v, False)
            plan = weaving(base, there.position, twist[0, 0, [0, 2]], start, rng, share)
            clean = plan
            if kind == 'noisy':
                shake = rng.normal(size=plan.position.shape) * 0.01
                plan = Trajectory(start, plan.times_s, plan.position + shake, plan.velocity,
                                  plan.acceleration, *names)
        state = RobotState(measured.position, measured.velocity, now_s)
        if paced:
            time.sleep(0.008)
        begin = time.thread_time_ns()
        output = tracker.step(state, Reference(plan, committed), now_s)
        micros.append((time.thread_time_ns() - begin) * 1e-3)
        motion = output.motion
        begin = time.thread_time_ns()
        motion.sample(now_s + 0.03)
        calibration.append((time.thread_time_ns() - begin) * 1e-3)
        committed = spliced(committed, motion, now_s)
        q, v, a = (rows[None] for rows in vars(committed.sample(now_s)).values())
        twist = body_of(q, v, a, base.drive.kind == 'omni')
        commands.append(twist[:, 0])
        measured = robot.step(twist[0, 0])
        then = past.popleft()
        past.append(q[0])
        committed = replace(
            committed, position=committed.position + DRAW * (measured.position - then))
        reports.append(output.report)
        now_s += DT_S
        if kind != 'infeasible' and clean.start_s + 0.3 <= now_s - robot.late_s <= clean.end_s:
            errors.append(robot.true_pose() - nearest(
                clean, now_s - robot.late_s, robot.true_pose(), kind == 'late'))
    return {
        **accuracy(np.array(errors)), **excess(limits, np.array(commands)),
        'step_us': dict(zip(map(str, LEVELS), np.percentile(
            micros[20:], LEVELS).round(1).tolist(), strict=True)),
        'calibration_us': round(float(np.median(calibration)), 1),
        'iterations_mean': round(float(np.mean([r.iterations for r in reports])), 2),
        'limited_share': round(float(np.mean([r.saturation > 0 for r in reports])), 3),
        'status': dict(Counter(f'{r.source}:{r.status}' for r in reports)),
        'warm_start': dict(Counter(r.warm_start_choice for r in reports))}


def nearest(plan: Trajectory, at_s: float, pose: Array, anywhere: bool) -> Array:
    """Return the plan's pose at a time, or that of its path nearest to the robot."""
    if not anywhere:
        return plan.sample(at_s).position
    path = plan.sample_many(np.linspace(plan.start_s, plan.end_s, 1000))[0]
    return path[np.argmin(((path[:, :2] - pose[:2])**2).sum(axis=1))]


def accuracy(errors: Array) -> dict[str, Any]:
    """Return root mean square and 99th percentile of the error; empty without one."""
    if not len(errors):
        return {}
    away = np.hypot(errors[:, 0], errors[:, 1])
    yaw = np.abs((errors[:, 2] + np.pi) % (2 * np.pi) - np.pi)
    return {
        'position_rms_mm': round(1e3 * float(np.sqrt((away**2).mean())), 2),
        'position_p99_mm': round(1e3 * float(np.percentile(away, 99)), 2),
        'yaw_rms_mrad': round(1e3 * float(np.sqrt((yaw**2).mean())), 2)}


def excess(limits: TwistLimits, commands: Array) -> dict[str, Any]:
    """Return the largest excess over twist, wheels and accelerations, as shares of the limits."""
    columns = slice(None) if limits.omni else slice(None, None, 2)
    twist, rate = commands[:, 0, columns], commands[:, 1, columns]
    most = np.maximum(limits.faster, limits.slower)
    return {'over_limit': {
        'twist': round(float((limits.over(twist) / limits.upper).max()), 4),
        'acceleration': round(float((np.abs(rate) / most).max() - 1.0), 4)}}


def main() -> None:
    """Run and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--tracker', default='mpc', choices=('mpc', 'pd'))
    parser.add_argument('--robot', default='base')
    parser.add_argument('--plant', default='kinematic')
    parser.add_argument('--ticks', type=positive, default=1500)
    parser.add_argument('--seed', type=seed_number, default=0)
    parser.add_argument('--paced', action='store_true')
    args = parser.parse_args()
    base = robots.load_base(args.robot)
    lag_s = base.plant.motor_lag_s
    figures = {}
    for kind in KINDS:
        if args.plant == 'kinematic':
            robot: Any = Kinematic(base)
        else:
            robot, lag_s = Physical(base, args.plant, args.seed), base.plant.motor_lag_s
        tracker = tracking.make(args.tracker, robot=base)
        figures[kind] = run(base, tracker, robot, kind, args.ticks, args.paced, args.seed)
    print(json.dumps({**vars(args), 'motor_lag_s': lag_s, **figures}, indent=1))


if __name__ == '__main__':
    main()
