# SPDX-License-Identifier: Apache-2.0
"""Points pushed off the walls of a map, in closed form, and the speeds that go with it.

A point at distance d < m of the nearest cell moves by (m - d) n along the direction n away from
it; in a corner between cells this is repeated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.point_mass import frame_of, from_cell

Array = NDArray[np.float64]
ROUNDS = 3


def pushed(knots: Array, known: OccupancyMap, keep_m: float, knot_s: float) -> Array:
    """Return knots [B, H, 4] whose places keep a distance to walls; the first stays as it is.

    Speeds change by the central differences of what the places were moved.

    Args:
        knots: x, y, vx, vy [m], [m/s].
        known: The map.
        keep_m: Distance of the point to the walls [m].
        knot_s: Time between knots [s].
    """
    places = np.ascontiguousarray(knots[..., :2].reshape(-1, 2))
    moved = _push(places, known.occupied, frame_of(known), keep_m).reshape(knots[..., :2].shape)
    return shifted(knots, moved - knots[..., :2], knot_s)


def shifted(knots: Array, by: Array, knot_s: float) -> Array:
    """Return knots [B, H, 4] with places moved by [B, H, 2], and the speeds that follow."""
    by = by.copy()
    by[:, 0] = 0.0
    speed = np.gradient(by, knot_s, axis=1)
    speed[:, 0] = 0.0
    return knots + np.concatenate([by, speed], axis=2)


@kernel()
def _push(points: Any, occupied: Any, frame: Any, keep: float) -> Any:
    """Return points [K, 2] that are at least `keep` from the cells [H, W]."""
    out = points.copy()
    edge = frame[2]
    reach = int(np.ceil(keep / edge)) + 1
    for k in range(len(out)):
        for _ in range(ROUNDS):
            x, y = out[k, 0], out[k, 1]
            column = int(np.floor((x - frame[0]) / edge))
            row = int(np.floor((y - frame[1]) / edge))
            best, across, along = keep, 0.0, 0.0
            for j in range(max(row - reach, 0), min(row + reach + 1, occupied.shape[0])):
                for i in range(max(column - reach, 0), min(column + reach + 1, occupied.shape[1])):
                    if occupied[j, i]:
                        near, to_x, to_y = from_cell(x, y, i, j, frame)
                        if near < best:
                            best, across, along = near, to_x, to_y
            if best >= keep:
                break
            out[k, 0] += (keep - best) * across
            out[k, 1] += (keep - best) * along
    return out
