# SPDX-License-Identifier: Apache-2.0
"""Run a monitor before it counts, so that nothing is compiled or done for the first time later.

Usage: python -m diffusion_control.safety.warm_up (after an installation; fills the cache)
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from diffusion_control import robots, safety
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.state import RobotState
from diffusion_control.safety.health import Health
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.step_filter import StepFilter
from diffusion_control.safety.tool_check import ToolCheck
from diffusion_control.safety.verify import Surroundings
from diffusion_control.trajectory.pusher import Pusher
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]

EXERCISE_TICKS = 60
BRAKE_TICK, LOST_TICK = 45, 52
SLOW = 0.05
AROUND = (
    Obstacle('sphere', (0.1,), np.array([2.0, 0.0, 0.5]), key='a', may_move=True),
    Obstacle('box', (0.1, 0.1, 0.1), np.array([0.0, 2.0, 0.5]), key='b'))
ALL_LIMITS = SafetyParameters(
    tool_speed_max_m_s=5.0, workspace_upper_m=(9.0, 9.0, 9.0), separation_person_speed_m_s=0.1)


def exercise(monitor: safety.SafetyMonitor, robot: Robot) -> None:
    """Run a monitor through arming, following, braking and losing its tracker.

    The robot really moves, a little, and every barrier is asked once: no later tick is a first.

    Args:
        monitor: Is used up by this.
        robot: The robot.
    """
    pusher = Pusher(robot.limits, share=0.5)
    velocity = SLOW * robot.limits.velocity_rad_s
    home = np.asarray(robot.home_rad, dtype=float)
    for tick in range(EXERCISE_TICKS):
        now_s = 1.0 + tick / 100.0
        committed, motion = monitor.committed, None
        state = RobotState(home, np.zeros_like(home), now_s)
        if committed is not None:
            at = committed.sample(now_s)
            state = RobotState(at.position, at.velocity, now_s)
            motion = pusher.motion(committed, now_s, velocity)
        health = Health(
            state_age_s=0.0, motion_age_s=0.0, obstacles_age_s=0.0, accepted_plan_age_s=0.0,
            planner_alive=True, fallback_alive=True, own_gap_s=0.01,
            emergency_stop=tick >= BRAKE_TICK)
        monitor.step(
            state, motion if tick < LOST_TICK else None, AROUND, now_s, health=health)
    if robot.kind == 'arm':
        _ask_every_barrier(robot, home)


def _ask_every_barrier(robot: Robot, home: Array) -> None:
    """Evaluate what only other parameters ask for, and a motion that an obstacle forbids."""
    names = tuple(robot.joint_names)
    committed = Trajectory(
        0.0, np.array([0.0, 0.1]), np.stack([home, home]), np.zeros((2, robot.dof)),
        np.zeros((2, robot.dof)), names, robot.base_frame)
    around = Surroundings(ObstacleArrays.pack(AROUND), 0.0)
    StepFilter(robot, ALL_LIMITS).filter(
        committed, 0.0, 0.06, 2.0 * robot.limits.velocity_rad_s, around)
    ToolCheck(robot, ALL_LIMITS).refusal(
        np.array([0.0, 0.01]), np.stack([home, home]), ALL_LIMITS.margin_m)


def main() -> None:
    """Fill the cache of compiled kernels."""
    begin = time.monotonic()
    robot = robots.load_arm('panda')
    exercise(safety.make(robot, rate_hz=100.0), robot)
    print(f'safety: {time.monotonic() - begin:.2f} s')


if __name__ == '__main__':
    main()
