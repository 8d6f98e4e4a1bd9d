# SPDX-License-Identifier: Apache-2.0
"""Where a base is against what it was told, and C brought to where it is.

A receiver of twists does not know of poses: slip and odometry leave C behind, for ever. So with
each measured pose m of time t, C and what is remembered of it are moved as one piece so that
C(t - delay) = m. What is new since the last tick,

    e = m - C(t - delay),

says how well the base follows: E, the sum of e over 0.3 s, counts as not following from 6 cm or
0.2 rad on (0.1 rad of `follow_error_rad`), and the verification grows its margin by what exceeds
1.5 cm of its distance, slowly forgotten.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.planar import unwrapped
from diffusion_control.robots.state import RobotState
from diffusion_control.safety.committed import at
from diffusion_control.safety.follow import Following
from diffusion_control.safety.recent import Recent
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
REMEMBERED, WINDOW_S = 64, 0.3
PER_M, PER_RAD = 0.1 / 0.06, 0.5
SLACK_M, DECAY = 0.015, 0.98
STAND_M_S, STAND_RAD_S = 0.02, 0.05


class BaseFollower:
    """Remember C and compare it with the odometry.

    Args:
        robot: The base; its motors' lag belongs to the delay.
        delay_s: Time from a command until the motors hear of it [s].
    """

    def __init__(self, robot: Base, delay_s: float) -> None:
        """Begin with no memory."""
        self._delay_s = delay_s + robot.plant.motor_lag_s
        self.forget()

    def forget(self) -> None:
        """Drop the memory, because the clock or the robot was moved."""
        self._past, self._errors = Recent(REMEMBERED, 3), Recent(REMEMBERED, 3)
        self._measured: RobotState | None = None
        self._move: tuple[Array, Array] | None = None
        self._last = Following()

    def remember(self, committed: Trajectory, now_s: float) -> None:
        """Take over where C is now."""
        self._past.add(now_s, at(committed, now_s)[0])

    def measure(self, state: RobotState) -> Following:
        """Return how well the base follows; the same state is judged once."""
        self._move = None
        if not self._past.count or state is self._measured:
            return self._last
        self._measured = state
        expected = self._past.at(state.stamp_s - self._delay_s)
        measured = np.array(state.position, dtype=float)
        measured[2] = unwrapped(float(measured[2]), float(expected[2]))
        self._move = (expected, measured)
        self._errors.append(state.stamp_s, measured - expected)
        total = self._errors.sum_after(state.stamp_s - WINDOW_S)
        way = math.hypot(total[0], total[1])
        speed = math.hypot(state.velocity[0], state.velocity[1])
        self._last = Following(
            max(PER_M * way, PER_RAD * abs(float(total[2]))),
            max(way - SLACK_M, DECAY * self._last.deviation_m, 0.0),
            speed < STAND_M_S and abs(float(state.velocity[2])) < STAND_RAD_S, measured)
        return self._last

    def anchored(self, committed: Trajectory) -> Trajectory:
        """Return C where the last measurement puts it, and move the memory along."""
        if self._move is None:
            return committed
        old, new = self._move
        self._move = None
        position, velocity, acceleration = _moved(
            committed.position, committed.velocity, committed.acceleration, self._past.rows, old,
            new)
        return Trajectory(committed.stamp_s, committed.times_s, position, velocity, acceleration,
                          committed.names, committed.frame_id)


@kernel()
def _moved(
    position: Any, velocity: Any, acceleration: Any, past: Any, old: Any, new: Any
) -> Any:
    """Return a motion [T, 3] moved as the pose `old` is moved to `new`; move poses in place.

    Args:
        position: Poses of the motion, shape [T, 3], as the next two.
        velocity: Shape [T, 3].
        acceleration: Shape [T, 3].
        past: Poses that are moved along in place, shape [K, 3].
        old: Shape [3].
        new: Shape [3].
    """
    turn = new[2] - old[2]
    c, s = math.cos(turn), math.sin(turn)
    out = (np.empty_like(position), velocity.copy(), acceleration.copy())
    for rows, moved in ((position, out[0]), (past, past)):
        for k in range(len(rows)):
            x, y = rows[k, 0] - old[0], rows[k, 1] - old[1]
            moved[k, 0], moved[k, 1] = c * x - s * y + new[0], s * x + c * y + new[1]
            moved[k, 2] = rows[k, 2] - old[2] + new[2]
    for rows in (out[1], out[2]):
        for k in range(len(rows)):
            x, y = rows[k, 0], rows[k, 1]
            rows[k, 0], rows[k, 1] = c * x - s * y, s * x + c * y
    return out
