# SPDX-License-Identifier: Apache-2.0
"""States from which a mass cannot keep off walls any more, whatever comes after them.

A window may end free and in front of a wall, at a speed that no force takes away in time: what is
drawn from there on is refused, however often. From such an end each of a few constant forces is
tried; along an axis a force acts until the mass stands still or is as fast as it can be. What the
best of them still lacks is the answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.point_mass.specification import Specification
from diffusion_control.planners.point_mass.steadying import FORCE_SHARE
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.point_mass import PointMass

Array = NDArray[np.float64]
FORCES = FORCE_SHARE * np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
TIMES = 0.03 * np.arange(1, 13)
"""Longer than the mass takes to stand still [s]."""


def unavoidable(
    states: Array, known: OccupancyMap, robot: PointMass, keep_m: float, region: Specification,
    keep_h: float,
) -> Array:
    """Return what must lack after states x, y, vx, vy, shape [B]; 0 = nothing.

    Args:
        states: Shape [B, 4] [m], [m/s].
        known: The walls.
        robot: The mass.
        keep_m: Distance of the ball to the walls [m].
        region: What is kept out of, too.
        keep_h: What of its h is kept.
    """
    places = moved(states, robot)
    flat = places.reshape(-1, 2)
    lack = np.maximum(keep_m - robot.clearance(flat, known), keep_h - region.h(flat))
    least = lack.reshape(len(states), -1, len(TIMES)).max(axis=2).min(axis=1)
    return np.asarray(np.maximum(least, 0.0))


def moved(states: Array, robot: PointMass) -> Array:
    """Return the places under each pair of forces at `TIMES`, shape [B, F, F, T, 2] [m]."""
    place, speed = (part[:, :, None, None] for part in (states[:, :2], states[:, 2:]))
    push = (robot.force_max_n / robot.mass_kg * FORCES)[:, None]
    last = np.where(speed * push < 0.0, 0.0, np.sign(push) * robot.speed_max_m_s)
    with np.errstate(divide='ignore', invalid='ignore'):
        until = np.where(push == 0.0, np.inf, (last - speed) / push)
    pushed = np.clip(until, 0.0, TIMES)
    ways = place + speed * TIMES + push * pushed * (TIMES - 0.5 * pushed)
    shape = len(states), len(FORCES), len(FORCES), len(TIMES)
    return np.stack([np.broadcast_to(ways[:, 0, :, None], shape),
                     np.broadcast_to(ways[:, 1, None], shape)], axis=-1)
