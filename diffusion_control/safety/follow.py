# SPDX-License-Identifier: Apache-2.0
"""How far the robot is from what it was told, its delay considered.

Let C be what was committed and q the position measured at time t. The robot *follows* if
max_i |q_i - C_i(t - delay)| is small. Its links deviate from the commanded *path* by the largest
distance of a link's sphere between q and the nearest recent point of C; the verification grows
its margin by what exceeds 0.5 mm of that, so that noise does not move it from tick to tick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.protocol import Robot
from diffusion_control.robots.state import RobotState
from diffusion_control.safety.committed import at
from diffusion_control.safety.delay import DelayMeter, DelayRange
from diffusion_control.safety.polyline import nearest_on_polyline
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]

REMEMBERED_TICKS = 64
DECAY = 0.9
NOISE_M = 5e-4
STAND_RAD_S = 0.1


class HasCentres(Protocol):
    """A collision model that tells where its spheres are."""

    def centres(self, position: Array) -> Array:
        """Return the centres [S, 3] of all spheres [m]."""
        ...


@dataclass(frozen=True)
class Following:
    """How well the robot follows.

    Attributes:
        error_rad: Largest |q - C(t - delay)| of a joint [rad].
        deviation_m: Largest distance of a link from the commanded path beyond what the encoders'
            noise makes of it, slowly forgotten [m].
        stands: The measured speeds are those of a robot that stands.
        expected: C(t - delay), shape [n] [rad]; None before anything was committed.
        delay: The delays that the robot may have; None before anything was committed.
    """

    error_rad: float = 0.0
    deviation_m: float = 0.0
    stands: bool = False
    expected: Array | None = None
    delay: DelayRange | None = None


class Follower:
    """Remember what was committed and compare it with what was measured.

    Args:
        robot: Gives the spheres of the links.
        delay_s: Time from a command until the robot moves by it [s].
    """

    def __init__(self, robot: Robot, delay_s: float) -> None:
        """Begin with no memory."""
        self._collision = cast(HasCentres, robot.collision)
        self._delay_s = delay_s
        self._meter = DelayMeter(delay_s)
        self._times = np.empty(2 * REMEMBERED_TICKS)
        self._rows = np.empty((2 * REMEMBERED_TICKS, robot.dof))
        self._count = 0
        self._measured: RobotState | None = None
        self._last = Following()

    def forget(self) -> None:
        """Drop the memory, because the clock or the robot was moved."""
        self._count = 0
        self._measured = None
        self._last = Following()

    def anchored(self, committed: Trajectory) -> Trajectory:
        """Return C as it is: a receiver of positions knows where it is."""
        return committed

    def remember(self, committed: Trajectory, now_s: float) -> None:
        """Take over where the committed trajectory is now."""
        if self._count and now_s <= self._times[self._slot(self._count - 1)]:
            return
        slot = self._slot(self._count)
        position = at(committed, now_s)[0]
        for place in (slot, slot - REMEMBERED_TICKS):
            self._times[place], self._rows[place] = now_s, position
        self._count += 1

    @staticmethod
    def _slot(count: int) -> int:
        """Return the upper of the two places of an entry: every window of them is contiguous."""
        return REMEMBERED_TICKS + count % REMEMBERED_TICKS

    def _recent(self) -> tuple[Array, Array]:
        """Return times [k] and positions [k, n] that are remembered, oldest first."""
        end = self._slot(self._count - 1) + 1
        start = end - min(self._count, REMEMBERED_TICKS)
        return self._times[start:end], self._rows[start:end]

    def measure(self, state: RobotState) -> Following:
        """Return how well the robot follows; the same state is judged once."""
        if self._count == 0 or state is self._measured:
            return self._last
        self._measured = state
        times, rows = self._recent()
        expected = _linear(times, rows, state.stamp_s - self._delay_s)
        nearest = nearest_on_polyline(rows, state.position)[0]
        apart = self._collision.centres(state.position) - self._collision.centres(nearest)
        deviation = float(np.sqrt(np.einsum('ij,ij->i', apart, apart).max())) - NOISE_M
        self._last = Following(
            float(np.abs(state.position - expected).max()),
            max(deviation, DECAY * self._last.deviation_m, 0.0),
            bool(np.abs(state.velocity).max() < STAND_RAD_S), expected,
            self._meter.measure(
                times, rows, state.position, state.velocity, state.stamp_s))
        return self._last


def _linear(times: Array, rows: Array, time_s: float) -> Array:
    """Return the row at a time, linear between entries and constant outside of them."""
    later = int(times.searchsorted(time_s))
    if later == 0 or later == len(times):
        return np.asarray(rows[min(later, len(times) - 1)]).copy()
    share = (time_s - times[later - 1]) / (times[later] - times[later - 1])
    return np.asarray(rows[later - 1] + share * (rows[later] - rows[later - 1]))
