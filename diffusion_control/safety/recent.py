# SPDX-License-Identifier: Apache-2.0
"""The last rows of a signal and when they were, in arrays that kernels read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel

Array = NDArray[np.float64]


class Recent:
    """At most `size` rows [n] in the order in which they came.

    Attributes:
        count: How many there are.
    """

    def __init__(self, size: int, width: int) -> None:
        """Begin with none."""
        self._times, self._rows = np.zeros(size), np.zeros((size, width))
        self.count = 0

    @property
    def rows(self) -> Array:
        """The rows themselves, oldest first, shape [count, n]."""
        return self._rows[:self.count]

    def add(self, time_s: float, row: Array) -> None:
        """Append a row that is later than the last one; others are ignored."""
        if not self.count or time_s > self._times[self.count - 1]:
            self.append(time_s, row)

    def append(self, time_s: float, row: Array) -> None:
        """Append a row; the oldest one goes where there is no room."""
        self.count = _append(self._times, self._rows, self.count, time_s, row)

    def at(self, time_s: float) -> Array:
        """Return the row of a time [n], linear between rows, constant outside; not without any."""
        row: Array = _at(self._times, self._rows, self.count, time_s)
        return row

    def sum_after(self, time_s: float) -> Array:
        """Return the sum of the rows that are later than a time [n]."""
        total: Array = _sum_after(self._times, self._rows, self.count, time_s)
        return total


@kernel()
def _append(times: Any, rows: Any, count: int, time_s: float, row: Any) -> int:
    """Write a row behind the others; return how many there are then."""
    if count == len(times):
        times[:-1] = times[1:]
        rows[:-1] = rows[1:]
        count -= 1
    times[count], rows[count] = time_s, row
    return count + 1


@kernel()
def _at(times: Any, rows: Any, count: int, time_s: float) -> Any:
    """Return the row of a time."""
    later = 0
    while later < count and times[later] < time_s:
        later += 1
    if later == 0 or later == count:
        return rows[min(later, count - 1)].copy()
    share = (time_s - times[later - 1]) / (times[later] - times[later - 1])
    return rows[later - 1] + share * (rows[later] - rows[later - 1])


@kernel()
def _sum_after(times: Any, rows: Any, count: int, time_s: float) -> Any:
    """Return the sum of the rows later than a time."""
    total = np.zeros(rows.shape[1])
    for k in range(count):
        if times[k] > time_s:
            total += rows[k]
    return total
