# SPDX-License-Identifier: Apache-2.0
"""Let the tracker of a base work before it counts: nothing is loaded for the first time later.

A kernel that is used for the first time is read from the cache in 0.3 s; so long no motion leaves.
"""

from __future__ import annotations

import numpy as np

from diffusion_control.robots.base import Base
from diffusion_control.robots.state import RobotState
from diffusion_control.tracking.protocol import Reference, Tracker
from diffusion_control.trajectory.trajectory import Trajectory

TICKS, TICK_S, DURATION_S = 220, 0.01, 2.0


def bend(robot: Base, share: float) -> Trajectory:
    """Return a plan that speeds up, turns, and stops, with a share of the limits."""
    fine = np.linspace(0.0, DURATION_S, 39 * 20 + 1)
    gate = np.clip(np.minimum(fine, DURATION_S - fine) / 0.6, 0.0, 1.0)
    speed = share * robot.drive.speed_max_m_s * gate
    rate = share * robot.drive.yaw_rate_max_rad_s * gate * np.sin(np.pi * fine)
    yaw = np.concatenate([[0.0], np.cumsum(rate[:-1] * fine[1])])
    velocity = np.stack([speed * np.cos(yaw), speed * np.sin(yaw), rate], axis=1)
    place = np.concatenate([np.zeros((1, 2)), np.cumsum(velocity[:-1, :2] * fine[1], axis=0)])
    chosen = slice(None, None, 20)
    position = np.concatenate([place, yaw[:, None]], axis=1)[chosen]
    return Trajectory(
        1.1, fine[chosen], position, velocity[chosen], np.zeros_like(position),
        robot.joint_names, robot.base_frame)


def exercise(tracker: Tracker, robot: Base) -> None:
    """Follow plans below, at and beyond the limits; the tracker forgets them."""
    zeros = np.zeros((2, 3))
    for share in (0.5, 1.0, 1.4):
        plan = bend(robot, share)
        committed = Trajectory(
            0.9, np.array([0.0, 0.1]), zeros, zeros, zeros, robot.joint_names, robot.base_frame)
        for tick in range(TICKS):
            now_s = 1.0 + tick * TICK_S
            at = committed.sample(now_s)
            late = 0.01 * (tick % 50 > 25)
            state = RobotState(at.position - late, at.velocity, now_s)
            committed = tracker.step(state, Reference(plan, committed), now_s).motion
        tracker.reset()
