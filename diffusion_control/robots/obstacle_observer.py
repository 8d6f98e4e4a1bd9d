# SPDX-License-Identifier: Apache-2.0
"""From published obstacle poses to velocities, and to who may move."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.obstacles import Obstacle

Array = NDArray[np.float64]

STANDING_AFTER_S = 0.4
STANDING_SPREAD_M = 0.004
MOVER_MEMORY_S = 5.0
WINDOW_S = 0.1
JUMP_M = 0.05


@dataclass
class _Track:
    """What was seen of one obstacle."""

    history: deque[tuple[float, Array]] = field(default_factory=lambda: deque(maxlen=64))
    anchor: Array = field(default_factory=lambda: np.zeros(3))
    anchor_s: float = 0.0
    moved_s: float = -np.inf


class ObstacleObserver:
    """Estimate velocities by differencing the same key over a short window.

    v = (p(t) - p(t - w)) / w with w <= 0.1 s, clipped to the published speed bound: it lags by at
    most A w / 2 where the obstacle turns at A, 0.1 m/s at the published 2 m/s^2, which is what
    `obstacles.velocity_error_m_s` has to hold.

    An obstacle counts as *standing* once it stayed within 4 mm for 0.4 s and has not moved for
    5 s; until then, and whenever it moves, it `may_move` and is bounded by its published limits.
    A jump (faster than the bound allows) restarts the estimate: the velocity across a jump
    says nothing about where the obstacle goes.

    Args:
        max_speed_m_s: Published bound of the obstacles' speed [m/s].
    """

    def __init__(self, max_speed_m_s: float = 0.5) -> None:
        """Begin with nothing seen."""
        self._max_speed = max_speed_m_s
        self._tracks: dict[str, _Track] = {}
        self._stamp_s = -np.inf

    def update(
        self, observations: tuple[Obstacle, ...], stamp_s: float
    ) -> tuple[Obstacle, ...]:
        """Return the observed set with velocities and `may_move` filled in.

        The set is complete: an obstacle that is not in it is gone. A stamp older than the last
        one (a clock that went back) forgets all history.

        Args:
            observations: Obstacles with unique keys; their velocities are ignored.
            stamp_s: ROS time of the observation [s].
        """
        if stamp_s < self._stamp_s:
            self._tracks.clear()
        self._stamp_s = stamp_s
        seen = {obstacle.key for obstacle in observations}
        self._tracks = {key: track for key, track in self._tracks.items() if key in seen}
        return tuple(self._observe(obstacle, stamp_s) for obstacle in observations)

    def _observe(self, obstacle: Obstacle, stamp_s: float) -> Obstacle:
        track = self._tracks.get(obstacle.key)
        position = np.asarray(obstacle.position_m, dtype=float)
        if track is None:
            track = self._tracks[obstacle.key] = _Track(anchor=position, anchor_s=stamp_s)
        elif track.history and self._jumped(track, position, stamp_s):
            track.history.clear()
            track.anchor, track.anchor_s = position, stamp_s
        if math.dist(position, track.anchor) > STANDING_SPREAD_M:
            track.anchor, track.anchor_s, track.moved_s = position, stamp_s, stamp_s
        if not track.history or stamp_s > track.history[-1][0]:
            track.history.append((stamp_s, position))
        standing = (
            stamp_s - track.anchor_s >= STANDING_AFTER_S
            and stamp_s - track.moved_s >= MOVER_MEMORY_S)
        velocity = np.zeros(3) if standing else self._velocity(track)
        return Obstacle(
            obstacle.shape, obstacle.size_m, obstacle.position_m, obstacle.quaternion, velocity,
            obstacle.key, not standing)

    def _jumped(self, track: _Track, position: Array, stamp_s: float) -> bool:
        last_s, last = track.history[-1]
        reach = 2.0 * self._max_speed * max(stamp_s - last_s, 0.0) + JUMP_M
        return math.dist(position, last) > reach

    def _velocity(self, track: _Track) -> Array:
        last_s, last = track.history[-1]
        first_s, first = last_s, last
        for past_s, past in track.history:
            if last_s - past_s <= WINDOW_S:
                first_s, first = past_s, past
                break
        if last_s - first_s < 0.01:
            return np.zeros(3)
        velocity = (last - first) / (last_s - first_s)
        speed = math.hypot(*velocity.tolist())
        return velocity if speed <= self._max_speed else velocity * (self._max_speed / speed)
