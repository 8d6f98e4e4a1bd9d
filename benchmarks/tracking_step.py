# SPDX-License-Identifier: Apache-2.0
"""Thread time of one step of a tracker, and how well the command follows the plan.

Usage: OMP_NUM_THREADS=1 python benchmarks/tracking_step.py [--tracker mpc] [--robot panda]
       [--ticks 2000] [--warm-start best] [--paced]

Three kinds of plans: `smooth` (minimum jerk at half the limits), `switching` (a new plan from the
predicted motion every 0.3 s), `hard` (two times faster than the limits allow). The robot is ideal,
10 ms behind its command; what is committed comes from the safety monitor. Only `Tracker.step` is
timed (`time.thread_time_ns`); `calibration_us` is the median time of one `Trajectory.sample` in
between, a measure of how busy the machine is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, deque
from typing import Any

import numpy as np
from numbers_given import positive
from numpy.typing import NDArray

from diffusion_control import robots, safety, tracking
from diffusion_control.robots import Arm, RobotState
from diffusion_control.tracking import Reference, Tracker
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
LEVELS = (10, 50, 99, 99.9)


def quintic(arm: Arm, start: Trajectory | Array, at_s: float, end: Array, share: float
            ) -> Trajectory:
    """Return a plan of 40 points from a configuration, or from a motion's state, to `end`."""
    if isinstance(start, Trajectory):
        sample = start.sample(at_s)
        q0, v0 = sample.position, sample.velocity
    else:
        q0, v0 = start, np.zeros(arm.dof)
    way = end - q0
    fast = (np.abs(way) / arm.limits.velocity_rad_s).max() * 1.875
    hard = np.sqrt((np.abs(way) / arm.limits.acceleration_rad_s2).max() * 5.77)
    duration = max(fast, hard, 0.2) / share
    s = np.linspace(0.0, 1.0, 40)[:, None]
    blend, rate = 10 * s**3 - 15 * s**4 + 6 * s**5, 30 * s**2 - 60 * s**3 + 30 * s**4
    fade, slope = s - 6 * s**3 + 8 * s**4 - 3 * s**5, 1 - 18 * s**2 + 32 * s**3 - 15 * s**4
    velocity = rate / duration * way + slope * v0
    velocity[-1] = 0.0
    return Trajectory(
        at_s, s[:, 0] * duration, q0 + blend * way + fade * duration * v0, velocity,
        np.zeros_like(velocity), tuple(arm.joint_names), arm.base_frame)


def run(arm: Arm, tracker: Tracker, kind: str, ticks: int, paced: bool) -> dict[str, Any]:
    """Return the figures of one kind of plans."""
    rng = np.random.default_rng(0)
    monitor = safety.make(arm, rate_hz=100.0)
    share = {'smooth': 0.5, 'switching': 0.5, 'hard': 2.0}[kind]
    home, now_s = np.asarray(arm.home_rad), 1000.0
    past: deque[Array] = deque([home, home], maxlen=2)
    plan: Trajectory | None = None
    motion: Trajectory | None = None
    micros, calibration, errors, reports = [], [], [], []
    for k in range(ticks):
        committed = monitor.committed
        if committed is not None and (
                plan is None or now_s > plan.end_s + 0.1 or (kind == 'switching' and k % 30 == 0)):
            goal = home + rng.uniform(-0.6, 0.6, arm.dof)
            goal = np.clip(goal, arm.limits.lower_rad + 0.2, arm.limits.upper_rad - 0.2)
            plan = quintic(arm, motion or home, now_s + 0.1, goal, share)
        state = RobotState(past[0], np.zeros(arm.dof), now_s)
        if paced:
            time.sleep(0.008)
        begin = time.thread_time_ns()
        output = tracker.step(state, Reference(plan, committed), now_s)
        micros.append((time.thread_time_ns() - begin) * 1e-3)
        motion = output.motion
        begin = time.thread_time_ns()
        motion.sample(now_s + 0.03)
        calibration.append((time.thread_time_ns() - begin) * 1e-3)
        monitor.step(state, motion, (), now_s)
        reports.append(output.report)
        now_s += 0.01
        if monitor.committed is not None:
            past.append(monitor.committed.sample(now_s).position)
            if plan is not None and plan.start_s <= now_s <= plan.end_s + 0.1:
                errors.append(past[-1] - plan.sample(now_s).position)
    assert errors, 'nothing moved'
    return {
        'step_us': dict(zip(map(str, LEVELS), np.percentile(
            micros[20:], LEVELS).round(1).tolist(), strict=True)),
        'calibration_us': round(float(np.median(calibration)), 1),
        'stage_us': {name: round(1e6 * float(np.mean([r.stage_s[name] for r in reports])), 1)
                     for name in reports[0].stage_s},
        'command_rms_mrad': round(1e3 * float(np.sqrt(np.mean(np.square(errors)))), 4),
        'iterations_mean': round(float(np.mean([r.iterations for r in reports])), 3),
        'limited_share': round(float(np.mean([r.saturation > 0 for r in reports])), 3),
        'status': dict(Counter(f'{r.source}:{r.status}' for r in reports)),
        'warm_start': dict(Counter(r.warm_start_choice for r in reports))}


def main() -> None:
    """Run and print percentiles as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--tracker', default='mpc', choices=tracking.available())
    parser.add_argument('--robot', default='panda')
    parser.add_argument('--ticks', type=positive, default=2000)
    parser.add_argument('--warm-start', default='best')
    parser.add_argument('--paced', action='store_true')
    args = parser.parse_args()
    arm = robots.load_arm(args.robot)
    figures = {
        kind: run(arm, tracking.make(args.tracker, robot=arm, warm_start=args.warm_start), kind,
                  args.ticks, args.paced)
        for kind in ('smooth', 'switching', 'hard')}
    print(json.dumps({**vars(args), **figures}, indent=1))


if __name__ == '__main__':
    main()
