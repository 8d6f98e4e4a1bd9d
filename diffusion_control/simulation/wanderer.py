# SPDX-License-Identifier: Apache-2.0
"""An obstacle that turns whenever it likes, within the published bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.obstacles import Obstacle

Array = NDArray[np.float64]
SEGMENT_S = 0.02
SEGMENTS = 1500
ACCELERATION_M_S2 = 1.9
TURN_SHARE = 0.03
REGION_M = np.array([[-0.9, -0.9, 0.1], [0.9, 0.9, 1.1]])


@dataclass(frozen=True)
class Wanderer:
    """A motion of piecewise constant acceleration, drawn once, for 30 s; then it goes straight on.

    Attributes:
        position_m: At the start of each segment, shape [K, 3].
        velocity_m_s: Likewise.
        speed_m_s: Highest speed.
    """

    position_m: Array
    velocity_m_s: Array
    speed_m_s: float

    @classmethod
    def of(
        cls, obstacle: Obstacle, random: np.random.Generator, region_m: Array = REGION_M
    ) -> Wanderer:
        """Return a motion from rest that first goes the obstacle's way; its speed is the bound.

        Args:
            obstacle: Where it stands, where it goes first, and how fast it ever is.
            random: Draws its turns.
            region_m: Low and high corner of where it turns back, shape [2, 3]; NaN in z keeps
                its height.
        """
        region_m = np.where(np.isnan(region_m), obstacle.position_m, region_m)
        speed = float(np.linalg.norm(obstacle.velocity_m_s))
        position, velocity = np.zeros((SEGMENTS, 3)), np.zeros((SEGMENTS, 3))
        position[0] = obstacle.position_m
        target = np.array(obstacle.velocity_m_s, dtype=float)
        for k in range(1, SEGMENTS):
            outside = (position[k - 1] < region_m[0]) | (position[k - 1] > region_m[1])
            if random.random() < TURN_SHARE or (outside.any() and k % 10 == 0):
                way = random.uniform(*region_m) - position[k - 1]
                target = speed * way / max(float(np.linalg.norm(way)), 1e-9)
            change = target - velocity[k - 1]
            size = float(np.linalg.norm(change))
            change *= min(1.0, ACCELERATION_M_S2 * SEGMENT_S / max(size, 1e-12))
            velocity[k] = velocity[k - 1] + change
            position[k] = position[k - 1] + SEGMENT_S * (velocity[k - 1] + change / 2)
        return cls(position, velocity, speed)

    def at(self, time_s: float) -> tuple[Array, Array]:
        """Return centre [m] and velocity [m/s], `time_s` after activation, each of shape [3]."""
        if time_s < 0.0:
            return self.position_m[0].copy(), np.zeros(3)
        k = min(int(time_s / SEGMENT_S), SEGMENTS - 1)
        since = time_s - k * SEGMENT_S
        start = self.velocity_m_s[k]
        end = self.velocity_m_s[min(k + 1, SEGMENTS - 1)]
        change = (end - start) / SEGMENT_S
        return (self.position_m[k] + since * (start + since * change / 2),
                start + since * change)

    def place(self, time_s: float) -> list[float]:
        """Return the centre alone, the same numbers, for a loop that has no time for arrays."""
        if time_s < 0.0:
            return list(self.position_m[0].tolist())
        k = min(int(time_s / SEGMENT_S), SEGMENTS - 1)
        since = time_s - k * SEGMENT_S
        rows = (self.position_m[k], self.velocity_m_s[k],
                self.velocity_m_s[min(k + 1, SEGMENTS - 1)])
        return [place + since * (start + since * ((end - start) / SEGMENT_S) / 2)
                for place, start, end in zip(*(row.tolist() for row in rows), strict=True)]
