# SPDX-License-Identifier: Apache-2.0
"""Where a robot came from, for the fallbacks that go back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Trail:
    """Places that were passed, in their order.

    After `back` the next record cuts off what lay beyond: the robot has gone back.

    Args:
        spacing: Least distance between records.
        length: Longest way that is remembered.
    """

    def __init__(self, spacing: float, length: float) -> None:
        """Begin without a place."""
        self._spacing, self._most = spacing, int(length / spacing) + 1
        self._visited: list[Array] = []
        self._went_back = False

    def record(self, place: Array) -> None:
        """Append a place [n] if it is a spacing away from the last one."""
        if self._went_back and self._visited:
            del self._visited[self._nearest(place) + 1:]
        self._went_back = False
        if self._visited and np.linalg.norm(place - self._visited[-1]) < self._spacing:
            return
        self._visited.append(np.array(place, dtype=float))
        del self._visited[:-self._most]

    def way_back(self, place: Array) -> Array:
        """Return places [W, n] from one back to the first.

        It goes on before the record that is nearest: what came later is left out.
        """
        if not self._visited:
            return place[None]
        before = self._visited[:max(self._nearest(place), 1)]
        return np.concatenate([place[None], before[::-1]])

    def back(self) -> None:
        """Note that the robot goes back from now on."""
        self._went_back = True

    def _nearest(self, place: Array) -> int:
        return int(np.argmin(np.linalg.norm(np.array(self._visited) - place, axis=1)))
