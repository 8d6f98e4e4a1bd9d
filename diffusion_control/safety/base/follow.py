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

from collections import deque
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.robots.planar import unwrapped
from diffusion_control.robots.state import RobotState
from diffusion_control.safety.committed import at
from diffusion_control.safety.follow import Following
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
        self._past: deque[tuple[float, Array]] = deque(maxlen=REMEMBERED)
        self._errors: deque[tuple[float, Array]] = deque(maxlen=REMEMBERED)
        self._measured: RobotState | None = None
        self._move: tuple[Array, Array] | None = None
        self._last = Following()

    def remember(self, committed: Trajectory, now_s: float) -> None:
        """Take over where C is now."""
        if not self._past or now_s > self._past[-1][0]:
            self._past.append((now_s, at(committed, now_s)[0]))

    def measure(self, state: RobotState) -> Following:
        """Return how well the base follows; the same state is judged once."""
        self._move = None
        if not self._past or state is self._measured:
            return self._last
        self._measured = state
        expected = self._expected(state.stamp_s - self._delay_s)
        measured = np.array(state.position, dtype=float)
        measured[2] = unwrapped(float(measured[2]), float(expected[2]))
        self._move = (expected, measured)
        self._errors.append((state.stamp_s, measured - expected))
        total = np.sum([e for t, e in self._errors if t > state.stamp_s - WINDOW_S], axis=0)
        way = float(np.hypot(total[0], total[1]))
        speed = float(np.hypot(state.velocity[0], state.velocity[1]))
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
        turn = float(new[2] - old[2])
        rows = _moved(np.array([row for _, row in self._past]), old, new, turn)
        self._past = deque(
            zip((t for t, _ in self._past), rows, strict=True), maxlen=REMEMBERED)
        return replace(
            committed, position=_moved(committed.position, old, new, turn),
            velocity=_turned(committed.velocity, turn),
            acceleration=_turned(committed.acceleration, turn))

    def _expected(self, time_s: float) -> Array:
        """Return C at a time, linear between what is remembered, constant outside of it."""
        times = np.array([t for t, _ in self._past])
        later = int(times.searchsorted(time_s))
        if later == 0 or later == len(times):
            return self._past[min(later, len(times) - 1)][1].copy()
        share = (time_s - times[later - 1]) / (times[later] - times[later - 1])
        before, after = self._past[later - 1][1], self._past[later][1]
        expected: Array = before + share * (after - before)
        return expected


def _turned(vectors: Array, angle: float) -> Array:
    """Return vectors [T, 3] turned about the vertical; the third part stays."""
    c, s = np.cos(angle), np.sin(angle)
    out = np.array(vectors)
    out[:, 0] = c * vectors[:, 0] - s * vectors[:, 1]
    out[:, 1] = s * vectors[:, 0] + c * vectors[:, 1]
    return out


def _moved(poses: Array, old: Array, new: Array, turn: float) -> Array:
    """Return poses [T, 3] moved as the pose `old` is moved to `new`."""
    out = _turned(poses - old, turn) + new
    return out
