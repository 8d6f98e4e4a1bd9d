# SPDX-License-Identifier: Apache-2.0
"""How a moving obstacle travels: to and fro along a line, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.obstacles import Obstacle

Array = NDArray[np.float64]
TRAVEL_M = 1.0
REVERSAL_M_S2 = 1.8


def to_and_fro(time_s: float, speed_m_s: float) -> tuple[float, float]:
    """Return distance and velocity along the line, `time_s` after activation.

    Cruise at v from 0 to L = 1.0 m; reverse at the constant deceleration a = 1.8 m/s^2 (below the
    published bound of 2), which takes 2 v / a and swings v^2 / (2 a) beyond L; cruise back to 0;
    reverse there in the same way; and so on for ever with the period 2 L / v + 4 v / a.

    Args:
        time_s: Time since activation [s]; before it (negative) the obstacle stands at 0.
        speed_m_s: v >= 0 [m/s].

    Returns:
        Distance [m] and velocity [m/s] along the direction of travel.
    """
    if time_s < 0.0 or speed_m_s <= 0.0:
        return 0.0, 0.0
    cruise_s, turn_s = TRAVEL_M / speed_m_s, 2.0 * speed_m_s / REVERSAL_M_S2
    half_s = cruise_s + turn_s
    halves, phase_s = divmod(time_s, half_s)
    if phase_s <= cruise_s:
        distance, velocity = speed_m_s * phase_s, speed_m_s
    else:
        turning_s = phase_s - cruise_s
        velocity = speed_m_s - REVERSAL_M_S2 * turning_s
        distance = TRAVEL_M + (speed_m_s - 0.5 * REVERSAL_M_S2 * turning_s) * turning_s
    return (distance, velocity) if halves % 2 == 0 else (TRAVEL_M - distance, -velocity)


@dataclass(frozen=True)
class Mover:
    """The motion of one obstacle.

    Attributes:
        origin_m: Centre at activation, shape [3] [m].
        direction: Unit vector of travel (0 for an obstacle that stands), shape [3].
        speed_m_s: Cruising speed [m/s].
    """

    origin_m: Array
    direction: Array
    speed_m_s: float

    @classmethod
    def of(cls, obstacle: Obstacle) -> Mover:
        """Return the motion that a scene's obstacle has."""
        speed = float(np.linalg.norm(obstacle.velocity_m_s))
        direction = obstacle.velocity_m_s / speed if speed > 0.0 else np.zeros(3)
        return cls(np.array(obstacle.position_m, dtype=float), direction, speed)

    def at(self, time_s: float) -> tuple[Array, Array]:
        """Return centre [m] and velocity [m/s], `time_s` after activation, each of shape [3]."""
        distance, velocity = to_and_fro(time_s, self.speed_m_s)
        return self.origin_m + distance * self.direction, velocity * self.direction

    def place(self, time_s: float) -> list[float]:
        """Return the centre alone, the same numbers, for a loop that has no time for arrays."""
        distance, _ = to_and_fro(time_s, self.speed_m_s)
        return [origin + distance * way for origin, way in self._line]

    @cached_property
    def _line(self) -> list[tuple[float, float]]:
        return list(zip(self.origin_m.tolist(), self.direction.tolist(), strict=True))
