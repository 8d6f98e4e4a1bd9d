# SPDX-License-Identifier: Apache-2.0
"""Points pushed off the walls of a map, in closed form, and the speeds that go with it.

A point at distance d < m of the nearest cell moves by (m - d) n along the direction n away from
it; in a corner between cells this is repeated. What knots move is smoothed over time and added, a
few times, as what is left over shrinks; then what still lacks is added, and the speeds follow.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.point_mass import frame_of, from_cell

Array = NDArray[np.float64]
ROUNDS = 3
SMOOTHED_S, SMOOTHINGS = 0.08, 3


def pushed(knots: Array, known: OccupancyMap, keep_m: float, knot_s: float) -> Array:
    """Return knots [B, H, 4] whose places keep a distance to walls; the first stays as it is.

    Args:
        knots: x, y, vx, vy [m], [m/s].
        known: The map.
        keep_m: Distance of the point to the walls [m].
        knot_s: Time between knots [s].
    """
    def off(places: Array) -> Array:
        flat = np.ascontiguousarray(places.reshape(-1, 2))
        found: Array = _push(flat, known.occupied, frame_of(known), keep_m)
        return found.reshape(places.shape)

    places = knots[..., :2]
    for _ in range(SMOOTHINGS):
        by = off(places) - places
        if not by.any():
            break
        places = places + smoothed(by, knot_s)
    by = off(places) - knots[..., :2]
    return shifted(knots, by, knot_s) if by.any() else knots


def shifted(knots: Array, by: Array, knot_s: float) -> Array:
    """Return knots [B, H, 4] with places moved by [B, H, 2], and the speeds that follow."""
    by = by.copy()
    by[:, 0] = 0.0
    speed = np.gradient(by, knot_s, axis=1)
    speed[:, 0] = 0.0
    found: Array = knots + np.concatenate([by, speed], axis=2)
    return found


def smoothed(by: Array, knot_s: float) -> Array:
    """Return shifts [..., H, 2] smoothed over time."""
    return np.asarray(_neighbours(by.shape[-2], SMOOTHED_S / knot_s) @ by)


@lru_cache(maxsize=16)
def _neighbours(count: int, deviation: float) -> Array:
    """Return the weights of the knots [H, H] of which a smoothed one is the mean."""
    apart = np.subtract.outer(np.arange(count), np.arange(count)) / deviation
    reach = np.arange(-math.ceil(3.0 * deviation), math.ceil(3.0 * deviation) + 1) / deviation
    weight = np.where(np.abs(apart) <= 3.0, np.exp(-0.5 * apart**2), 0.0)
    return np.asarray(weight / np.exp(-0.5 * reach**2).sum())


def halved(knots: Array, knot_s: float) -> Array:
    """Return knots [B, 2 H - 1, 4] with those of the cubics in the middle between them."""
    before, after = knots[:, :-1], knots[:, 1:]
    place = 0.5 * (before[..., :2] + after[..., :2]) - 0.125 * knot_s * (
        after[..., 2:] - before[..., 2:])
    speed = 1.5 * (after[..., :2] - before[..., :2]) / knot_s - 0.25 * (
        after[..., 2:] + before[..., 2:])
    found = np.empty((len(knots), 2 * knots.shape[1] - 1, 4))
    found[:, ::2], found[:, 1::2] = knots, np.concatenate([place, speed], axis=2)
    return found


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
