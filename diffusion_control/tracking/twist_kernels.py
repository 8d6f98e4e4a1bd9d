# SPDX-License-Identifier: Apache-2.0
"""Bounds of a base's twist and accelerations over the horizon (numba kernels)."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffusion_control.robots.jit import kernel


@kernel()
def returning(
    speed: float, acceleration: float, most: float, jerk_step: float, dt: float, steps: int
) -> Any:
    """Return how high and how low a speed goes that is brought back to 0, [2, N] each >=, <= 0.

    At the control points v_1, m_1..m_{N-1} of `prediction.py`, the acceleration going to
    -most (or +most) at the jerk limit.

    Args:
        speed: At knot 0.
        acceleration: At knot 0.
        most: Largest acceleration > 0.
        jerk_step: Largest change of the acceleration in a step.
        dt: Step [s].
        steps: N.
    """
    out = np.zeros((2, steps))
    for side in range(2):
        sign = 1.0 if side == 0 else -1.0
        v, a = sign * speed, sign * acceleration
        for k in range(steps - 1):
            following = max(a - jerk_step, -most)
            v += dt * (a + following) / 2.0
            a = following
            if k == 0:
                out[side, 0] = sign * max(v, 0.0)
            out[side, k + 1] = sign * max(v + dt * a / 2.0, 0.0)
    return out


@kernel()
def row_bounds(
    twist: Any, start: Any, rows: Any, lower: Any, upper: Any, most: Any, faster: Any,
    jerk_step: Any, dt: float, steps: int, margin: float,
) -> Any:
    """Return bounds [2, K N + m N] of the twist's rows, then of the accelerations' changes.

    Less what the start contributes; see `TwistLimits.bounds`.
    """
    inputs, count = len(twist), len(rows)
    ways = np.empty((inputs, 2, steps))
    for j in range(inputs):
        ways[j] = returning(twist[j], start[j], most[j], jerk_step[j], dt, steps)
    out = np.empty((2, (count + inputs) * steps))
    for r in range(count):
        free = 0.0
        for j in range(inputs):
            free += rows[r, j] * (twist[j] + dt / 2.0 * start[j])
        for k in range(steps):
            high, low = 0.0, 0.0
            for j in range(inputs):
                share = rows[r, j]
                high += share * ways[j, 0 if share > 0.0 else 1, k]
                low += share * ways[j, 1 if share > 0.0 else 0, k]
            out[0, r * steps + k] = min(lower[r], low - margin) - free
            out[1, r * steps + k] = max(upper[r], high + margin) - free
    for j in range(inputs):
        for k in range(steps):
            bound, middle = jerk_step[j], 0.0
            if k == 0:
                bound, middle = max(bound, abs(start[j]) - faster[j]), start[j]
            at = (count + j) * steps + k
            out[0, at], out[1, at] = middle - bound, middle + bound
    return out


@kernel()
def box_bounds(
    twist: Any, start: Any, slower: Any, faster: Any, jerk_step: Any, moving: float
) -> Any:
    """Return bounds [2, m (N-1)] of the accelerations at knots 1..N-1; see `TwistLimits.box`."""
    count, inputs = len(twist) - 2, twist.shape[1]
    out = np.empty((2, inputs * count))
    for j in range(inputs):
        for k in range(count):
            here, there = twist[k + 1, j], twist[k + 2, j]
            low = -slower[j] if min(here, there) > moving else -faster[j]
            high = slower[j] if max(here, there) < -moving else faster[j]
            back = jerk_step[j] * (k + 1)
            out[0, j * count + k] = min(low, start[j] + back)
            out[1, j * count + k] = max(high, start[j] - back)
    return out


@kernel()
def runs_away(twist: Any, inputs: Any, box: Any, moving: float, margin: float) -> Any:
    """Return whether inputs [N-1, m] leave the box of their own twist [N+1, m] while moving."""
    count = len(inputs)
    for j in range(inputs.shape[1]):
        for k in range(count):
            value = inputs[k, j]
            beyond = value < box[0, j * count + k] - margin or (
                value > box[1, j * count + k] + margin)
            if beyond and max(abs(twist[k + 1, j]), abs(twist[k + 2, j])) > moving:
                return True
    return False


@kernel()
def within(values: Any, bounds: Any, tolerance: float) -> Any:
    """Return whether all values [V] lie within bounds [2, V]."""
    for i in range(len(values)):
        if not bounds[0, i] - tolerance <= values[i] <= bounds[1, i] + tolerance:
            return False
    return True


@kernel()
def most_over(twist: Any, rows: Any, lower: Any, upper: Any) -> Any:
    """Return how far twists [T, m] lie beyond each row's bound at most, shape [K]; <= 0 inside."""
    out = np.full(len(rows), -np.inf)
    for t in range(len(twist)):
        for r in range(len(rows)):
            value = 0.0
            for j in range(rows.shape[1]):
                value += rows[r, j] * twist[t, j]
            out[r] = max(out[r], value - upper[r], lower[r] - value)
    return out


@kernel()
def fits(
    twist: Any, rate: Any, rows: Any, lower: Any, upper: Any, hardest: Any, share: float,
    drift: float,
) -> Any:
    """Return whether twists [T, m] and their rates [T, m] are finite and inside the limits.

    Or as far out as the first of them is: a row by `drift` more, a rate by the share.
    """
    over, first = most_over(twist, rows, lower, upper), most_over(twist[:1], rows, lower, upper)
    for r in range(len(rows)):
        if not over[r] <= max(first[r] + drift, share * upper[r]):
            return False
    for t in range(len(rate)):
        for j in range(rate.shape[1]):
            most = max(hardest[j], abs(rate[0, j])) * (1.0 + share)
            if not (abs(rate[t, j]) <= most and abs(twist[t, j]) < np.inf):
                return False
    return True
