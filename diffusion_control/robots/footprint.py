# SPDX-License-Identifier: Apache-2.0
"""A polygon covered by discs, so that distances to it are never over-estimated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MOST_DISCS = 64


def cover_polygon(corners: Array, tolerance_m: float) -> Array:
    """Return discs [D, 3] (x, y, radius) whose union contains the convex hull of the corners.

    The hull's bounding rectangle along its longest edge is cut into n x m equal cells, each in
    its circumscribed disc. A disc reaches beyond an edge of its cell by r - edge / 2, so the
    cells are halved until that is at most the tolerance (or there are `MOST_DISCS`).

    Args:
        corners: Shape [C, 2] [m].
        tolerance_m: How far the discs may stick out of the rectangle [m].
    """
    edges = np.roll(corners, -1, axis=0) - corners
    longest = edges[int(np.argmax((edges**2).sum(axis=1)))]
    along = longest / np.linalg.norm(longest)
    axes = np.stack([along, np.array([-along[1], along[0]])])
    low, high = (corners @ axes.T).min(axis=0), (corners @ axes.T).max(axis=0)
    size = high - low
    count = np.array([1, 1])
    while True:
        cell = size / count
        radius = 0.5 * float(np.hypot(*cell))
        out = radius - 0.5 * cell
        finer = count.copy()
        finer[int(np.argmax(cell))] += 1
        if out.max() <= tolerance_m or int(np.prod(finer)) > MOST_DISCS:
            break
        count = finer
    x, y = ((np.arange(n) + 0.5) * c + start for n, c, start in zip(
        count, cell, low, strict=True))
    grid = np.stack(np.meshgrid(x, y, indexing='ij'), axis=-1).reshape(-1, 2) @ axes
    return np.concatenate([grid, np.full((len(grid), 1), radius)], axis=1)
