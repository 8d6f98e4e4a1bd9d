# SPDX-License-Identifier: Apache-2.0
"""Motions whose places and speeds fit each other, and that a force can follow.

A network says places and speeds one beside the other; where they disagree by a centimetre over a
few hundredths of a second, the cubics between the knots ask for many times the force there is.
With accelerations u[k] that are constant from knot to knot,

    v[k+1] = v[k] + h u[k],     p[k+1] = p[k] + h v[k] + h^2 u[k] / 2,

a steadied motion minimises sum |p - p'|^2 / s_p^2 + |v - v'|^2 / s_v^2 + |u[k+1] - u[k]|^2 / s_u^2
over u from the same first knot, for wanted places p' and speeds v': one matrix for each length.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.robots.point_mass import PointMass

Array = NDArray[np.float64]
PLACE_M, SPEED_M_S, JERK_M_S3 = 0.01, 0.3, 300.0
END_WEIGHT, SLOWING_S = 1e3, 0.15
FOLLOWING = 20.0
"""w [rad/s]."""
FORCE_SHARE = 0.93
"""What of the force a plan may ask for; the tracker needs some."""


def cubic(p0: Array, v0: Array, p1: Array, v1: Array, s: Array) -> Array:
    """Return p(s) of the cubic with p(0) = p0, p'(0) = v0, p(1) = p1, p'(1) = v1."""
    found: Array = ((2 * s**3 - 3 * s**2 + 1) * p0 + (s**3 - 2 * s**2 + s) * v0
                    + (3 * s**2 - 2 * s**3) * p1 + (s**3 - s**2) * v1)
    return found


def steadied(knots: Array, knot_s: float, ends: NDArray[np.bool_] | None = None) -> Array:
    """Return motions near motions [B, K, 4], from the same first knots.

    Args:
        knots: x, y, vx, vy [m], [m/s].
        knot_s: Time between knots [s].
        ends: Which motions [B] keep their last knot, too.
    """
    found = np.empty_like(knots)
    held = np.zeros(len(knots), dtype=bool) if ends is None else ends
    for end in np.unique(held):
        found[held == end] = _steadied(knots[held == end], knot_s, bool(end))
    found[held, -1] = knots[held, -1]
    return found


def _steadied(knots: Array, knot_s: float, end: bool) -> Array:
    place, speed, gain = _matrices(knots.shape[1], knot_s, end)
    time = knot_s * np.arange(1, knots.shape[1])[:, None]
    p0, v0 = knots[:, :1, :2], knots[:, :1, 2:]
    free = p0 + time * v0
    push = gain @ np.concatenate([knots[:, 1:, :2] - free, knots[:, 1:, 2:] - v0], axis=1)
    rest = np.concatenate([free + place @ push, v0 + speed @ push], axis=2)
    return np.concatenate([knots[:, :1], rest], axis=1)


@lru_cache(maxsize=32)
def _matrices(count: int, knot_s: float, end: bool) -> tuple[Array, Array, Array]:
    """Return P, V of p = P u and v = V u, and G of u = G [p' v'], for `count` knots."""
    index = np.arange(count - 1)
    past = np.maximum(np.subtract.outer(index, index) + 1, 0)
    speed = knot_s * (past > 0)
    place = knot_s**2 * np.where(past > 0, past - 0.5, 0.0)
    weight = np.ones(count - 1)
    weight[-1] = END_WEIGHT if end else 1.0
    to_place = place.T * (weight / PLACE_M**2)
    to_speed = speed.T * (weight / SPEED_M_S**2)
    change = np.diff(np.eye(count - 1), axis=0) / (JERK_M_S3 * knot_s)
    whole = to_place @ place + to_speed @ speed + change.T @ change
    gain = np.linalg.solve(whole, np.concatenate([to_place, to_speed], axis=1))
    return place, speed, np.asarray(gain)


def followed(knots: Array, knot_s: float, robot: PointMass) -> Array:
    """Return where the mass really goes along motions [B, K, 4], with less force than it has.

    F u = m (a' + w^2 (p' - p) + 2 w (v' - v)) + d v, clipped, from the first knot on; no walls.
    """
    found: Array = _followed(np.ascontiguousarray(knots), knot_s, robot.constants)
    return found


def slowed(knots: Array, slower: float, knot_s: float) -> Array:
    """Return motions [B, K, 4] along the same ways, `slower` times as slow after `SLOWING_S`.

    They cover less of the way in the same time: p(t) = p'(c(t)), with c' from 1 to 1 / slower.
    """
    if slower == 1.0:
        return knots
    time = knot_s * np.arange(knots.shape[1])
    rate = 1.0 / slower + (1.0 - 1.0 / slower) * np.exp(-time / SLOWING_S)
    clock = time / slower + (1.0 - 1.0 / slower) * SLOWING_S * (1.0 - np.exp(-time / SLOWING_S))
    at = np.minimum(clock / knot_s, knots.shape[1] - 1.0)
    low = np.minimum(at.astype(int), knots.shape[1] - 2)
    s = (at - low)[:, None]
    p0, p1 = knots[:, low, :2], knots[:, low + 1, :2]
    v0, v1 = knots[:, low, 2:], knots[:, low + 1, 2:]
    place = cubic(p0, knot_s * v0, p1, knot_s * v1, s)
    return np.concatenate([place, rate[:, None] * ((1.0 - s) * v0 + s * v1)], axis=2)


def ending(knots: Array, places: Array, knot_s: float) -> Array:
    """Return knots [B, K, 4] bent by a cubic, so that they end in places [B, 2], at rest."""
    last_s = knot_s * (knots.shape[1] - 1)
    s = np.linspace(0.0, 1.0, knots.shape[1])[:, None]
    lack = (places - knots[:, -1, :2])[:, None]
    slope = -last_s * knots[:, -1, 2:][:, None]
    two, three = 3.0 * lack - slope, slope - 2.0 * lack
    found = knots + np.concatenate([
        s**2 * (two + s * three), s * (2.0 * two + 3.0 * s * three) / last_s], axis=2)
    found[:, -1] = np.concatenate([places, np.zeros_like(places)], axis=1)
    return np.asarray(found)


@kernel()
def _followed(knots: Any, knot_s: float, constants: Any) -> Any:
    mass, damping, most, fastest, period = constants[1:6]
    most *= FORCE_SHARE
    out, between = np.empty_like(knots), max(int(round(knot_s / period)), 1)
    step = knot_s / between
    for b in range(len(knots)):
        out[b, 0] = knots[b, 0]
        place, speed = knots[b, 0, :2].copy(), knots[b, 0, 2:].copy()
        for k in range(knots.shape[1] - 1):
            for part in range(between):
                s = part / between
                for i in range(2):
                    p0, v0 = knots[b, k, i], knot_s * knots[b, k, 2 + i]
                    p1, v1 = knots[b, k + 1, i], knot_s * knots[b, k + 1, 2 + i]
                    c2, c3 = 3.0 * (p1 - p0) - 2.0 * v0 - v1, 2.0 * (p0 - p1) + v0 + v1
                    wanted = p0 + s * (v0 + s * (c2 + s * c3))
                    rate = (v0 + s * (2.0 * c2 + 3.0 * s * c3)) / knot_s
                    push = (2.0 * c2 + 6.0 * s * c3) / knot_s**2 + FOLLOWING * (
                        FOLLOWING * (wanted - place[i]) + 2.0 * (rate - speed[i]))
                    force = min(max(mass * push + damping * speed[i], -most), most)
                    speed[i] += step * (force - damping * speed[i]) / mass
                    speed[i] = min(max(speed[i], -fastest), fastest)
                    place[i] += step * speed[i]
            out[b, k + 1, :2], out[b, k + 1, 2:] = place, speed
    return out
