# SPDX-License-Identifier: Apache-2.0
"""What verification costs as stops get longer and obstacles more, and what messages cost.

Usage: OMP_NUM_THREADS=1 python benchmarks/safety_parts.py [--count 2000]

A stop of L seconds is the Panda's jerk-limited stop with that much less acceleration. `publish`
turns a trajectory of 50 points into the bytes of a JointTrajectory, `receive` reads them back
(`nodes.wire`, which the nodes use), beside the same through rclpy's message classes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numbers_given import positive
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from diffusion_control import robots
from diffusion_control.evaluation.safety_timing import obstacles_around
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.safety import SafetyParameters
from diffusion_control.safety.verify import Surroundings, Verifier
from diffusion_control.trajectory.stop import Stopper
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
OBSTACLES, STOPS_S = (2, 8, 32), (0.2, 0.4, 0.8)
SPEED_SHARE, POINTS = 0.5, 50


def measure(call: Callable[[], object], count: int) -> Array:
    """Return the p50 and p99 of a call's thread time [us]."""
    spent = np.empty(count)
    for k in range(-50, count):
        begin = time.thread_time_ns()
        call()
        if k >= 0:
            spent[k] = (time.thread_time_ns() - begin) * 1e-3
    return np.percentile(spent, [50, 99])


def stop(arm: Arm, duration_s: float) -> Trajectory:
    """Return the stop from half of the speed limits that lasts about so long."""
    velocity = SPEED_SHARE * arm.limits.velocity_rad_s
    limits = replace(arm.limits, acceleration_rad_s2=velocity / duration_s)
    ramp = Stopper(limits, period_s=0.1).stop(arm.home_rad, velocity, np.zeros(arm.dof))
    return Trajectory(0.0, ramp.times_s, ramp.position, ramp.velocity, ramp.acceleration,
                      tuple(arm.joint_names), arm.base_frame)


def verification(arm: Arm, count: int) -> Table:
    """Return the table of the verification."""
    table = Table(title='verification of a stop, thread time p50 / p99 in us')
    table.add_column('stop')
    for obstacles in OBSTACLES:
        table.add_column(f'{obstacles} obstacles')
    verifier = Verifier(arm, SafetyParameters(rate_hz=100.0))
    for duration_s in STOPS_S:
        motion = stop(arm, duration_s)
        cells = []
        for obstacles in OBSTACLES:
            packed = ObstacleArrays.pack(obstacles_around(obstacles, 1))
            around = Surroundings(packed, 0.02)
            middle, high = measure(partial(verifier.verify, motion, around), count)
            cells.append(f'{middle:.0f} / {high:.0f}')
        table.add_row(f'{motion.times_s[-1]:.2f} s', *cells)
    return table


def messages(arm: Arm, count: int) -> Table:
    """Return the table of the messages; through rclpy only where it is installed."""
    from diffusion_control.nodes import wire
    times = np.linspace(0.0, 0.5, POINTS)
    rows = arm.home_rad + 0.1 * times[:, None]
    speed = np.full_like(rows, 0.1)
    motion = Trajectory(1.0, times, rows, speed, np.zeros_like(rows), tuple(arm.joint_names),
                        arm.base_frame)
    data = wire.encode(motion)
    calls: dict[str, Callable[[], Any]] = {
        'publish': lambda: wire.encode(motion), 'receive': lambda: wire.decode(data)}
    try:
        from rclpy.serialization import deserialize_message, serialize_message
        from trajectory_msgs.msg import JointTrajectory
    except ImportError:
        pass
    else:
        message = deserialize_message(data, JointTrajectory)
        calls['publish, rclpy, the message built before'] = lambda: serialize_message(message)
        calls['receive, rclpy'] = lambda: deserialize_message(data, JointTrajectory)
    table = Table(title=f'a message of {POINTS} points, thread time in us')
    for name in ('what', 'p50', 'p99'):
        table.add_column(name)
    for name, call in calls.items():
        middle, high = measure(call, count)
        table.add_row(name, f'{middle:.0f}', f'{high:.0f}')
    return table


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--count', type=positive, default=2000)
    options = parser.parse_args()
    arm, console = robots.load_arm('panda'), Console(width=100)
    arm.warm_up()
    console.print(verification(arm, options.count))
    console.print(messages(arm, options.count))


if __name__ == '__main__':
    main()
