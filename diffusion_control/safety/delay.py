# SPDX-License-Identifier: Apache-2.0
"""How late the robot follows its command: the delay measured, with its spread.

C(t) is what was committed, q(t) what was measured at time t. While the robot moves, the delay is
t - t*, with t* the time at which C passed nearest to q(t). Its largest and least recent values
enclose the true one; both decay slowly towards the parameter, because the delay of a quiet robot
says nothing. An obstacle is met where it may be for every delay between the two: assuming too
much is as unsafe as assuming too little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.safety.polyline import nearest_on_polyline

Array = NDArray[np.float64]

LONGEST_S = 0.1
LEAST_SPEED_RAD_S = 0.3
NEAR_RAD = 0.01
ALONG = 0.9
SETTLING = 0.998
"""Share of the distance to the parameter that is kept from one measurement to the next."""


@dataclass(frozen=True)
class DelayRange:
    """The delays that the robot may have.

    Attributes:
        least_s: Shortest [s].
        most_s: Longest [s].
    """

    least_s: float
    most_s: float

    @property
    def spread_s(self) -> float:
        """Difference of the two [s]."""
        return self.most_s - self.least_s


class DelayMeter:
    """Measure the delay from commanded and measured positions.

    Args:
        expected_s: What is assumed while nothing was measured [s].
    """

    def __init__(self, expected_s: float) -> None:
        """Begin with the expected delay alone."""
        self._expected_s = expected_s
        self.range = DelayRange(expected_s, expected_s)

    def measure(
        self, times: Array, rows: Array, position: Array, velocity: Array, time_s: float
    ) -> DelayRange:
        """Return the range after one more measurement.

        Args:
            times: Times at which C was remembered, ascending, shape [k] [s].
            rows: C there, shape [k, n] [rad].
            position: Measured, shape [n] [rad].
            velocity: Measured, shape [n] [rad/s].
            time_s: When it was measured [s].
        """
        least, most = self.range.least_s, self.range.most_s
        found = nearest_delay(times, rows, position, velocity, time_s)
        if found is not None:
            least, most = min(least, found), max(most, found)
        self.range = DelayRange(
            self._expected_s + SETTLING * (least - self._expected_s),
            self._expected_s + SETTLING * (most - self._expected_s))
        return self.range


def nearest_delay(
    times: Array, rows: Array, position: Array, velocity: Array, time_s: float
) -> float | None:
    """Return t - t* for the nearest point of a polyline in time [s], or None if it tells nothing.

    It tells nothing where C was slow there, the robot is not on it, or it moves the other way (C
    has turned round, and passes the same point twice).
    """
    first = int(times.searchsorted(time_s - LONGEST_S))
    last = int(times.searchsorted(time_s, side='right'))
    corners, at_s = rows[first:last], times[first:last]
    if len(corners) < 2:
        return None
    _, k, share, distance = nearest_on_polyline(corners, position)
    width, step = float(at_s[k + 1] - at_s[k]), corners[k + 1] - corners[k]
    speed = float(np.linalg.norm(step)) / width
    size = float(np.linalg.norm(step) * np.linalg.norm(velocity))
    along = float(step @ velocity) >= ALONG * size
    if distance > NEAR_RAD or speed < LEAST_SPEED_RAD_S or not along:
        return None
    if (share == 0.0 and k == 0) or (share == 1.0 and k == len(corners) - 2):
        return None
    return float(time_s - at_s[k] - share * width)
