# SPDX-License-Identifier: Apache-2.0
"""The nearest point of a polyline in joint space (numba kernel)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diffusion_control.robots.jit import kernel


@kernel()
def nearest_on_polyline(corners: Any, point: Any) -> Any:
    """Return the nearest point, the index of its segment, the share along it, and the distance.

    Args:
        corners: Shape [k, n], k >= 1; with one corner the index is -1.
        point: Shape [n].
    """
    best, index, along = math.inf, -1, 0.0
    for k in range(corners.shape[0] - 1):
        square, dot = 0.0, 0.0
        for j in range(len(point)):
            step = corners[k + 1, j] - corners[k, j]
            square += step * step
            dot += (point[j] - corners[k, j]) * step
        share = min(max(dot / max(square, 1e-18), 0.0), 1.0)
        away = 0.0
        for j in range(len(point)):
            gap = point[j] - corners[k, j] - share * (corners[k + 1, j] - corners[k, j])
            away += gap * gap
        if away < best:
            best, index, along = away, k, share
    foot = corners[0].copy()
    if index < 0:
        return foot, index, along, np.sqrt(np.sum((point - foot) ** 2))
    for j in range(len(point)):
        foot[j] = corners[index, j] + along * (corners[index + 1, j] - corners[index, j])
    return foot, index, along, math.sqrt(best)
