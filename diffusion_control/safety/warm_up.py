# SPDX-License-Identifier: Apache-2.0
"""Run a monitor before it counts, so that nothing is compiled or done for the first time later.

Usage: python -m diffusion_control.safety.warm_up (after an installation; fills the cache)
"""

from __future__ import annotations

import time

import numpy as np

from diffusion_control import robots, safety
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.state import RobotState
from diffusion_control.trajectory.trajectory import Trajectory

EXERCISE_TICKS = 30
AROUND = (
    Obstacle('sphere', (0.1,), np.array([2.0, 0.0, 0.5]), key='a', may_move=True),
    Obstacle('box', (0.1, 0.1, 0.1), np.array([0.0, 2.0, 0.5]), key='b'))


def exercise(monitor: safety.SafetyMonitor, robot: Robot) -> None:
    """Run a monitor through arming, following and braking, so that no later tick is a first."""
    home = np.asarray(robot.home_rad, dtype=float)
    still = np.zeros_like(home)
    for tick in range(EXERCISE_TICKS):
        now_s = 1.0 + tick / 100.0
        moved = home + 1e-4 * tick
        motion = Trajectory(
            now_s + 0.02, np.array([0.0, 0.2]), np.stack([moved, moved]),
            np.stack([still, still]), np.zeros((2, len(home))), robot.joint_names,
            robot.base_frame)
        monitor.step(
            RobotState(home, still, now_s), motion if tick < EXERCISE_TICKS - 5 else None, AROUND,
            now_s)


def main() -> None:
    """Fill the cache of compiled kernels."""
    begin = time.monotonic()
    robot = robots.load('panda')
    exercise(safety.make(robot, rate_hz=100.0), robot)
    print(f'safety: {time.monotonic() - begin:.2f} s')


if __name__ == '__main__':
    main()
