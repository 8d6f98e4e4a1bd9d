# SPDX-License-Identifier: Apache-2.0
"""Thread time of one step of the safety monitor, back to back and paced at 100 Hz.

Usage: OMP_NUM_THREADS=1 python benchmarks/safety_step.py [--ticks 1500] [--obstacles 8] [--paced]

A stand-in for the tracker pushes the arm at random velocities among standing and moving
obstacles; only `SafetyMonitor.step` is timed (`time.thread_time_ns`).
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from diffusion_control import robots, safety
from diffusion_control.robots import Arm, Obstacle, RobotState
from diffusion_control.trajectory.stop import Stopper
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
KINDS = (('sphere', (0.07,)), ('box', (0.12, 0.1, 0.2)), ('cylinder', (0.06, 0.3)))


def obstacles(count: int, seed: int) -> tuple[Obstacle, ...]:
    """Return obstacles on a ring in reach of the arm; every fourth one moves."""
    rng = np.random.default_rng(seed)
    found = []
    for k, angle in enumerate(np.linspace(0.4, 5.9, count)):
        shape, size = KINDS[k % 3]
        place = np.array([0.7 * np.cos(angle), 0.7 * np.sin(angle), rng.uniform(0.1, 0.8)])
        found.append(Obstacle(
            shape, size, place, key=str(k), may_move=k % 4 == 0,  # type: ignore[arg-type]
            velocity_m_s=rng.normal(size=3) * 0.1 * (k % 4 == 0)))
    return tuple(found)


def push(arm: Arm, stopper: Stopper, committed: Trajectory, now_s: float, velocity: Array
         ) -> Trajectory:
    """Return a motion from C towards a velocity, with its stop."""
    q, v, a = (rows[0] for rows in committed.sample_many(np.array([now_s + 0.02])))
    ramp = stopper.ramp(q, v, a, velocity, duration_s=0.1)
    stop = stopper.stop(ramp.position[-1], ramp.velocity[-1], ramp.acceleration[-1])
    rows = [np.concatenate([getattr(ramp, name), getattr(stop, name)[1:]])
            for name in ('position', 'velocity', 'acceleration')]
    times = np.concatenate([ramp.times_s, ramp.times_s[-1] + stop.times_s[1:]])
    while len(times) > 40:
        drop = 1 + int(np.argmin(times[2:] - times[:-2]))
        times, rows = np.delete(times, drop), [np.delete(r, drop, axis=0) for r in rows]
    return Trajectory(
        now_s + 0.02, times, rows[0], rows[1], rows[2], tuple(arm.joint_names), arm.base_frame)


def main() -> None:
    """Run and print percentiles as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--ticks', type=int, default=1500)
    parser.add_argument('--obstacles', type=int, default=8)
    parser.add_argument('--robot', default='panda')
    parser.add_argument('--paced', action='store_true')
    args = parser.parse_args()
    arm = robots.load(args.robot)
    monitor = safety.make(arm, rate_hz=100.0)
    stopper = Stopper(arm.limits.scaled(0.9), period_s=0.05)
    rng = np.random.default_rng(0)
    around, now_s, velocity = obstacles(args.obstacles, 1), 100.0, np.zeros(arm.dof)
    micros: list[float] = []
    actions: Counter[str] = Counter()
    spent: dict[str, list[float]] = {}
    for k in range(args.ticks):
        if k % 50 == 0:
            velocity = rng.uniform(-0.7, 0.7, arm.dof) * arm.limits.velocity_rad_s
        committed, motion = monitor.committed, None
        state = RobotState(arm.home_rad, np.zeros(arm.dof), now_s)
        if committed is not None:
            motion = push(arm, stopper, committed, now_s, velocity)
            late = committed.sample(now_s - 0.01)
            state = RobotState(late.position, late.velocity, now_s)
        if args.paced:
            time.sleep(0.008)
        start = time.thread_time_ns()
        decision = monitor.step(state, motion, around, now_s)
        micros.append((time.thread_time_ns() - start) * 1e-3)
        actions[decision.action] += 1
        spent.setdefault(decision.action, []).append(micros[-1])
        now_s += 0.01
    levels = (50, 90, 99, 99.9)
    print(json.dumps({
        'robot': args.robot, 'ticks': args.ticks, 'obstacles': args.obstacles,
        'paced': args.paced, 'actions': dict(actions),
        'thread_us': dict(zip(map(str, levels), np.percentile(
            micros[20:], levels).round(1).tolist(), strict=True)),
        'thread_us_by_action_p50_p99': {
            name: np.percentile(values, (50, 99)).round(1).tolist()
            for name, values in spent.items()}}, indent=1))


if __name__ == '__main__':
    main()
