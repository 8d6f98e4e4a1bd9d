# SPDX-License-Identifier: Apache-2.0
"""Distance to the occupied cells of a map, never more than the true one.

With e the Euclidean distance transform between cell centres and r the edge of a cell, the field
is the bilinear interpolation of e between centres, less (1 / sqrt 2 + 0.15) r: a cell reaches
r / sqrt 2 beyond its centre, and interpolating min_i |p - c_i| over-estimates by at most what
interpolating one cone does, which is less than 0.15 r. Outside the map the distance is the one
at its border and what is left of 9 m beyond: unknown space is free.

Original of the transform: P. Felzenszwalb, D. Huttenlocher, "Distance Transforms of Sampled
Functions", Theory of Computing 8 (2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.distance import NOTHING_M
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.occupancy_map import OccupancyMap

Array = NDArray[np.float64]
CONSERVATIVE = math.sqrt(0.5) + 0.15


@dataclass(frozen=True)
class DistanceField:
    """A distance field and where it lies.

    Attributes:
        distance_m: Distance at the centres of the cells, shape [H, W]; [0, 0]: nothing is known.
        place: cos yaw, sin yaw, x, y of the corner of cell [0, 0], edge of a cell, shape [5].
    """

    distance_m: Array
    place: Array

    @classmethod
    def empty(cls) -> DistanceField:
        """Return the field of a place without a map: nothing is near."""
        return cls(np.zeros((0, 0)), np.array([1.0, 0.0, 0.0, 0.0, 1.0]))

    @classmethod
    def of(cls, known: OccupancyMap | None) -> DistanceField:
        """Return the field of a map; the empty one without a map or without occupied cells."""
        if known is None or not known.occupied.any():
            return cls.empty()
        from scipy import ndimage  # half a second to import, and an arm has no map

        cells = ndimage.distance_transform_edt(~known.occupied)
        distance = np.minimum((cells - CONSERVATIVE) * known.resolution_m, NOTHING_M)
        return cls(np.ascontiguousarray(distance), _place(known))

    def moved_to(self, known: OccupancyMap) -> DistanceField:
        """Return the same field where a map with the same cells lies now."""
        return DistanceField(self.distance_m, _place(known)) if self.distance_m.size else self

    def at(self, points: Array) -> Array:
        """Return the distance at points [K, 2], shape [K] [m]."""
        found = np.empty(len(points))
        read_all(self.distance_m, self.place, np.ascontiguousarray(points, dtype=float), found)
        return found


def _place(known: OccupancyMap) -> Array:
    x, y, yaw = known.origin
    return np.array([math.cos(yaw), math.sin(yaw), x, y, known.resolution_m])


@kernel()
def read(distance: Any, place: Any, x: float, y: float) -> Any:
    """Return the distance at a point [m] and its gradient (two numbers)."""
    height, width = distance.shape
    if height == 0 or not (math.isfinite(x) and math.isfinite(y)):
        return (NOTHING_M if height == 0 else -NOTHING_M), 0.0, 0.0
    c, s, edge = place[0], place[1], place[4]
    dx, dy = x - place[2], y - place[3]
    u = (c * dx + s * dy) / edge - 0.5
    v = (-s * dx + c * dy) / edge - 0.5
    clipped_u = min(max(u, 0.0), width - 1.0)
    clipped_v = min(max(v, 0.0), height - 1.0)
    beyond = math.sqrt((u - clipped_u)**2 + (v - clipped_v)**2) * edge
    if beyond > 0.5 * edge:
        return NOTHING_M, 0.0, 0.0
    j = min(int(clipped_u), max(width - 2, 0))
    i = min(int(clipped_v), max(height - 2, 0))
    right, above = min(j + 1, width - 1), min(i + 1, height - 1)
    a, b = clipped_u - j, clipped_v - i
    d00, d01 = distance[i, j], distance[i, right]
    d10, d11 = distance[above, j], distance[above, right]
    value = (1 - b) * ((1 - a) * d00 + a * d01) + b * ((1 - a) * d10 + a * d11)
    slope_u = ((1 - b) * (d01 - d00) + b * (d11 - d10)) / edge
    slope_v = ((1 - a) * (d10 - d00) + a * (d11 - d01)) / edge
    return value, c * slope_u - s * slope_v, s * slope_u + c * slope_v


@kernel()
def read_all(distance: Any, place: Any, points: Any, out: Any) -> None:
    """Write the distances at points [K, 2] into `out` [K] [m]."""
    for k in range(len(points)):
        out[k] = read(distance, place, points[k, 0], points[k, 1])[0]
