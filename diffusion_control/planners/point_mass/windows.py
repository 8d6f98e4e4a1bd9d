# SPDX-License-Identifier: Apache-2.0
"""Windows of all candidates: which of them are let on, and what is hidden from those drawn again.

A window is refused where a line between its points overlaps a wall (`wall_check`). After each
window the refused ones, and those that the value network sees far behind the best, go on as copies
of the others: what is drawn at once is spent on motions that can still become a plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.point_mass import map_view
from diffusion_control.planners.point_mass.map_sampler import Ground

Array = NDArray[np.float64]
PROGRESS_CELLS, LAG_CELLS, STUCK_WINDOWS = 0.5, 4.0, 2
LACK_CELLS = 1e3
"""What a metre of overlap counts beside cells to go."""


@dataclass(frozen=True)
class Windows:
    """One window of each candidate.

    Attributes:
        knots: x, y, vx, vy [m], [m/s], shape [B, K, 4].
        lack: What they overlap with walls, summed over their lines, shape [B] [m].
        left: Cells to go from their ends, shape [B].
        step: Time between knots [s].
    """

    knots: Array
    lack: Array
    left: Array
    step: float = 0.02

    def good(self, here: Array) -> NDArray[np.bool_]:
        """Say which are free and go on, from where `here` [B] cells were to go."""
        found: NDArray[np.bool_] = (self.lack == 0.0) & (
            (here - self.left > PROGRESS_CELLS) | (self.left <= PROGRESS_CELLS))
        return found

    def better(self, other: Windows) -> Windows:
        """Return the better one of each candidate's two."""
        mine, its = (LACK_CELLS * part.lack + part.left for part in (self, other))
        pick = its < mine
        return Windows(np.where(pick[:, None, None], other.knots, self.knots),
                       np.where(pick, other.lack, self.lack),
                       np.where(pick, other.left, self.left), self.step)

    def least(self) -> float:
        """Return the fewest cells to go of a free candidate; without one, of any."""
        free = self.lack == 0.0
        return float(self.left[free].min() if free.any() else self.left.min())

    def going_on(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """Return which candidate each one goes on as, shape [B]."""
        free = self.lack == 0.0
        kept = np.arange(len(free))
        if free.any():
            fit = free & (self.left <= self.left[free].min() + LAG_CELLS)
            kept[~fit] = generator.choice(np.flatnonzero(fit), int((~fit).sum()))
        return kept


def stuck(least: list[float]) -> bool:
    """Say whether the last windows came no nearer; `least` is that of each."""
    return len(least) > STUCK_WINDOWS and (
        least[-1 - STUCK_WINDOWS] - least[-1] < PROGRESS_CELLS)


def hidden(ground: Ground, places: Array, overlaps: NDArray[np.bool_]) -> Ground:
    """Return what the network is shown of a map after motions that went through its walls.

    The cell in which such a motion comes out, beyond a wall or a corner, is shown as a wall: the
    network took the gap for a way. The value of all cells stays.

    Args:
        ground: The map.
        places: Of the motions' points, shape [B, K, 2] [m].
        overlaps: Which of their lines overlap a wall, shape [B, K - 1].
    """
    walls = ground.walls.copy()
    cells = np.floor(ground.cells(places)).astype(np.int64)
    inside = np.clip(cells, 0, np.array(ground.known.cells.shape)[::-1] - 1)
    free = ~ground.known.occupied[inside[..., 1], inside[..., 0]]
    for motion in np.flatnonzero(overlaps.any(axis=1)):
        first = int(overlaps[motion].argmax())
        before = np.flatnonzero(free[motion, :first + 1])
        here = inside[motion, before[-1] if len(before) else 0]
        away = np.abs(inside[motion, first + 1:] - here).sum(axis=1)
        beyond = np.flatnonzero(free[motion, first + 1:] & (away > 0))
        if len(beyond) and away[beyond[0]] > 1:
            x, y = inside[motion, first + 1 + beyond[0]] + map_view.RADIUS
            walls[x, y] = 1.0
    return replace(ground, walls=walls)
