# SPDX-License-Identifier: Apache-2.0
"""What a learned planner is told of a map: a picture of the surroundings of a place.

All lengths are in cells of the map, all axes those of the map's frame: arrays [X, Y], x first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RADIUS = 6
SIDE, LAYERS = 2 * RADIUS + 1, 3
NUMBERS, PAIRS, SYMMETRIES = 9, 3, 8
CONDITION = LAYERS * SIDE**2 + NUMBERS
VALUE_SCALE, GOAL_SCALE = 6.0, 6.0
PLACE_SCALE, SPEED_SCALE = 2.5, 3.0
"""A unit of a motion's channels [cells], [cells/s]."""
FASTEST, USUAL, ROUND_ABOUT = 5.0, 4.0, 2.5
"""Speeds [cells/s], and how much longer a way is than the distance before it is round about."""


@dataclass(frozen=True)
class View:
    """Where something is looked at from.

    Attributes:
        cell: The middle, shape [B, 2].
        picture: Walls, relative value, goal, shape [B, LAYERS, SIDE, SIDE].
    """

    cell: NDArray[np.int64]
    picture: NDArray[np.float32]


def walk_rounds(window_s: float) -> int:
    """Return how often the value network is repeated to see what a window can reach."""
    return int(np.ceil(FASTEST * window_s)) + 4


def shown(walk: NDArray[np.floating], place: Array, window_s: float) -> NDArray[np.bool_]:
    """Return which cells are shown to a network: those to which a window can lead.

    What lies behind a wall is near for a picture and far for a motion. A cell is hidden if it is
    out of reach at the largest speed, or if it is out of reach at the usual one and the way there
    is round about.

    Args:
        walk: Cells to go from a place to each cell, as the value network says, [B, X, Y].
        place: In cells, shape [B, 2].
        window_s: Duration of a window [s].
    """
    x, y = (np.arange(n) + 0.5 for n in walk.shape[1:])
    direct = np.hypot(x[:, None] - place[:, 0, None, None], y - place[:, 1, None, None])
    around = (walk > ROUND_ABOUT * direct + 1.0) & (walk > USUAL * window_s)
    found: NDArray[np.bool_] = ~around & (walk <= FASTEST * window_s + 2.0)
    return found


def view(
    walls: NDArray[np.floating], value: NDArray[np.floating], goal: Array, place: Array
) -> View:
    """Return the view from places.

    Args:
        walls: 1 where a cell is a wall, with a frame of `RADIUS` walls, shape [B, X, Y].
        value: Of `ValueNetwork` (minus cells to go), framed likewise, shape [B, X, Y].
        goal: Place in cells of the map without the frame, shape [B, 2].
        place: Likewise, shape [B, 2].
    """
    cell = np.floor(place).astype(np.int64)
    window = np.arange(SIDE)
    rows = np.clip(cell[:, 0, None] + window, 0, walls.shape[1] - 1)
    columns = np.clip(cell[:, 1, None] + window, 0, walls.shape[2] - 1)
    index = np.arange(len(cell))[:, None, None]
    near = walls[index, rows[:, :, None], columns[:, None, :]]
    far = value[index, rows[:, :, None], columns[:, None, :]]
    here = far[:, RADIUS, RADIUS][:, None, None]
    relative = np.where(near > 0.5, -1.5, np.clip((far - here) / VALUE_SCALE, -1.5, 1.5))
    target = np.floor(goal).astype(np.int64) - cell + RADIUS
    mark = (window[:, None] == target[:, 0, None, None]) & (window == target[:, 1, None, None])
    picture = np.stack([near, relative, mark.astype(float)], axis=1)
    return View(cell, picture.astype(np.float32))


def told(
    seen: View, place: Array, speed: Array, goal: Array, ends_there: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the condition of the network, shape [B, CONDITION].

    Args:
        seen: The view from the places.
        place: In cells, shape [B, 2].
        speed: In cells/s, shape [B, 2].
        goal: In cells, shape [B, 2].
        ends_there: Whether the motion shall end at rest in the goal, shape [B].
    """
    inside = place - seen.cell - 0.5
    away = (goal - place) / GOAL_SCALE
    near = np.maximum(1.0 - np.linalg.norm(goal - place, axis=1, keepdims=True) / RADIUS, 0.0)
    numbers = np.concatenate([
        inside, speed / SPEED_SCALE, np.clip(away, -1.5, 1.5) * (near > 0.0), near,
        ends_there[:, None].astype(float), ends_there[:, None] * near], axis=1)
    return np.concatenate([seen.picture.reshape(len(place), -1), numbers], axis=1).astype(
        np.float32)


def encode(seen: View, motion: Array) -> NDArray[np.float32]:
    """Return knots x, y, vx, vy [B, H, 4] (cells, cells/s) as the network's channels."""
    middle = (seen.cell + 0.5)[:, None]
    return np.concatenate([(motion[..., :2] - middle) / PLACE_SCALE,
                           motion[..., 2:] / SPEED_SCALE], axis=2).astype(np.float32)


def decode(seen: View, code: NDArray[np.float32]) -> Array:
    """Return the knots of the network's channels [B, H, 4], in cells and cells/s."""
    middle = (seen.cell + 0.5)[:, None]
    found: Array = np.concatenate([code[..., :2].astype(float) * PLACE_SCALE + middle,
                                   code[..., 2:].astype(float) * SPEED_SCALE], axis=2)
    return found


def turned(
    condition: NDArray[np.float32], kinds: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Return conditions [B, CONDITION] as they are in a mirrored or turned map.

    Args:
        condition: See `told`.
        kinds: 0 .. 7, shape [B]: 1 mirrors x, 2 mirrors y, 4 then exchanges the axes.
    """
    pixels = LAYERS * SIDE**2
    picture = turned_pictures(condition[:, :pixels].reshape(-1, LAYERS, SIDE, SIDE), kinds)
    pairs = turned_motions(condition[:, None, pixels:pixels + 2 * PAIRS], kinds)[:, 0]
    return np.concatenate([
        picture.reshape(len(condition), -1), pairs, condition[:, pixels + 2 * PAIRS:]], axis=1)


def turned_pictures(
    picture: NDArray[np.float32], kinds: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Return pictures [B, P, K, K] of turned maps; see `turned`."""
    found = picture.copy()
    for kind in np.unique(kinds):
        mine = kinds == kind
        part = np.flip(found[mine], tuple(2 + i for i in (0, 1) if kind >> i & 1))
        found[mine] = part.swapaxes(2, 3) if kind >> 2 else part
    return found


def turned_motions(
    code: NDArray[np.float32], kinds: NDArray[np.integer], *, back: bool = False
) -> NDArray[np.float32]:
    """Return motions [B, H, 2 N] of pairs (x, y) in turned maps, or back from them."""
    pairs = code.reshape(*code.shape[:2], -1, 2)
    sign = np.stack([1 - 2 * (kinds & 1), 1 - (kinds & 2)], axis=1).astype(code.dtype)
    sign, swap = sign[:, None, None], (kinds >> 2 > 0)[:, None, None, None]
    if back:
        found = np.where(swap, pairs[..., ::-1], pairs) * sign
    else:
        mirrored = pairs * sign
        found = np.where(swap, mirrored[..., ::-1], mirrored)
    return found.reshape(code.shape)
