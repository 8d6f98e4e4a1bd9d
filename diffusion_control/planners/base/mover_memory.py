# SPDX-License-Identifier: Apache-2.0
"""Movers that go to and fro, as far as that was seen.

A planner is asked several times a second and sees the same mover (by its key) again. As long as a
mover keeps to one line, its places on it are remembered; where it turned back is an end, and so
is where it was first seen, once it has turned at the other end. An end that it passes is none.
What is believed only sets the time of ways (`mover_room`): the monitor believes nothing.

Where an end is not known, a mover may come back at any time over its *lane*: where it was seen,
and where it will be within `MOVER_HORIZON_S`. A way pays for the time that it spends there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.world import MOVER_HORIZON_S
from diffusion_control.robots.obstacles import Obstacle

Array = NDArray[np.float64]
MOVES_M_S = 0.05
ALONG, ASIDE_M, PASSED_M = 0.95, 0.1, 0.1


@dataclass
class _Line:
    """The line of one mover: where it lies, the ends s [2] on it, and which are believed."""

    origin_m: Array
    axis: Array
    side: int
    ends: Array
    believed: NDArray[np.bool_]
    turned: bool = False

    @classmethod
    def of(cls, place: Array, velocity: Array) -> _Line:
        """Return the line of a mover that is seen for the first time."""
        axis = velocity / np.linalg.norm(velocity)
        return cls(place, axis, 1, np.zeros(2), np.array([True, False]))

    def holds(self, place: Array, velocity: Array) -> bool:
        """Say whether the mover is still on this line."""
        away = place - self.origin_m
        aside = abs(away[0] * self.axis[1] - away[1] * self.axis[0])
        return bool(aside < ASIDE_M and (
            abs(velocity @ self.axis) > ALONG * np.linalg.norm(velocity)))

    def see(self, place: Array, velocity: Array) -> None:
        """Take over a place and where the mover goes from there."""
        s, side = float((place - self.origin_m) @ self.axis), int(velocity @ self.axis > 0.0)
        if side != self.side:
            if abs(s - self.ends[self.side]) > PASSED_M:
                self.ends[self.side] = s
            self.believed[self.side] = self.turned = True
            self.side = side
        for end, sign in enumerate((-1.0, 1.0)):
            if sign * (s - self.ends[end]) > (PASSED_M if self.believed[end] else 0.0):
                self.ends[end], self.believed[end] = s, False

    def ahead(self, place: Array) -> tuple[float, float]:
        """Return how far it goes until it turns, and how far back then [m]; inf: not known."""
        if not (self.turned and self.believed[self.side]):
            return np.inf, np.inf
        s = float((place - self.origin_m) @ self.axis)
        span = float(self.ends[1] - self.ends[0]) if self.believed.all() else np.inf
        return max(abs(float(self.ends[self.side]) - s), 0.0), span

    def lane(self, place: Array, velocity: Array) -> Array:
        """Return two points [2, 2] between which it may come back, the same one if it is known."""
        if self.turned and self.believed.all():
            return np.stack([place, place])
        ends = self.origin_m + self.ends[:, None] * self.axis
        if not self.believed[self.side]:
            ends[self.side] = place + MOVER_HORIZON_S * velocity
        return np.asarray(ends)


@dataclass(frozen=True)
class MoverViews:
    """What is believed of k movers.

    Attributes:
        turns: How far each goes until it turns, and how far back then, inf where nobody knows,
            shape [k, 2] [m].
        lanes: Between which places each may come back, shape [k, 2, 2] [m].
    """

    turns: Array
    lanes: Array


class MoverMemory:
    """Remember the lines of movers between plans."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._lines: dict[str, _Line] = {}

    def views(self, movers: Iterable[Obstacle]) -> MoverViews:
        """Return what is believed of movers.

        Args:
            movers: All that may move, as they are seen now; what is not among them is forgotten.
        """
        lines, turns, lanes = {}, [], []
        for mover in movers:
            place, velocity = mover.position_m[:2], mover.velocity_m_s[:2]
            line = self._lines.get(mover.key)
            ahead, lane = (np.inf, np.inf), np.stack([place, place])
            if np.linalg.norm(velocity) > MOVES_M_S:
                if line is None or not line.holds(place, velocity):
                    line = _Line.of(place.copy(), velocity)
                line.see(place, velocity)
                ahead, lane = line.ahead(place), line.lane(place, velocity)
            if line is not None:
                lines[mover.key] = line
            turns.append(ahead)
            lanes.append(lane)
        self._lines = lines
        return MoverViews(np.array(turns, dtype=float).reshape(-1, 2),
                          np.array(lanes, dtype=float).reshape(-1, 2, 2))
