# SPDX-License-Identifier: Apache-2.0
"""Piecewise cubic motions, dense and at their extremes (numba kernels).

Between knots k and k + 1, with h the width, d the step and s = (t - t_k) / h,

    q = q0 + s (m0 + s ((3 d - 2 m0 - m1) + s (m0 + m1 - 2 d))),   m = h v.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diffusion_control.robots.jit import kernel


@kernel()
def moving_end(times: Any, position: Any, velocity: Any) -> float:
    """Return the time of the last knot that the motion moves towards; 0 if it never moves."""
    for k in range(len(times) - 2, -1, -1):
        for j in range(position.shape[1]):
            step = abs(position[k + 1, j] - position[k, j])
            if step > 1e-12 or abs(velocity[k, j]) > 1e-9:
                end: float = times[k + 1]
                return end
    return 0.0


@kernel()
def sample(times: Any, position: Any, velocity: Any, grid: Any) -> Any:
    """Return the positions [L, n] at ascending times `grid` [L]; one knot stands for ever."""
    out = np.empty((len(grid), position.shape[1]))
    k, last = 0, len(times) - 2
    for i in range(len(grid)):
        if last < 0:
            out[i] = position[0]
            continue
        while k < last and grid[i] >= times[k + 1]:
            k += 1
        h = times[k + 1] - times[k]
        s = (grid[i] - times[k]) / h
        for j in range(position.shape[1]):
            m0, m1 = h * velocity[k, j], h * velocity[k + 1, j]
            d = position[k + 1, j] - position[k, j]
            out[i, j] = position[k, j] + s * (
                m0 + s * ((3.0 * d - 2.0 * m0 - m1) + s * (m0 + m1 - 2.0 * d)))
    return out


@kernel()
def settling_grid(
    times: Any, position: Any, velocity: Any, until: float, step: float, settle: float, parts: int
) -> Any:
    """Return a grid from 0 to `until`, `parts` later times within `settle`, and positions there.

    The first part has the spacing `step`, the last of its gaps is shorter; a motion that stands
    from its start has no later part. Shapes [L] and [L, n], and the length of the first part.
    """
    count = int(np.ceil(until / step - 1e-9)) + 1
    more = parts if settle > 0.0 and until > 0.0 else 0
    grid = np.empty(count + more)
    for i in range(count):
        grid[i] = i * step
    grid[count - 1] = until
    for i in range(more):
        grid[count + i] = until + settle / parts * (i + 1)
    rows = sample(times, position, velocity, grid)
    for i in range(more):
        rows[count + i] = rows[count - 1]
    return grid, rows, count


@kernel()
def extremes(times: Any, position: Any, velocity: Any) -> Any:
    """Return accelerations at both ends of, and the largest speed in, each segment.

    q''(0) = (6 d - 4 h v0 - 2 h v1) / h^2 and q''(1) = (2 h v0 + 4 h v1 - 6 d) / h^2. The speed is
    extreme at the ends or where the acceleration crosses zero, there v = v0 + h a0^2 /
    (2 (a0 - a1)). Shape [3, T - 1, n].
    """
    out = np.empty((3, len(times) - 1, position.shape[1]))
    for k in range(len(times) - 1):
        h = times[k + 1] - times[k]
        for j in range(position.shape[1]):
            d, v0, v1 = position[k + 1, j] - position[k, j], velocity[k, j], velocity[k + 1, j]
            a0 = (6.0 * d / h - 4.0 * v0 - 2.0 * v1) / h
            a1 = (2.0 * v0 + 4.0 * v1 - 6.0 * d / h) / h
            top = max(abs(v0), abs(v1))
            if a0 * a1 < 0.0:
                top = max(top, abs(v0 + h * a0 * a0 / (2.0 * (a0 - a1))))
            out[0, k, j], out[1, k, j], out[2, k, j] = a0, a1, top
    return out


@kernel()
def first_outside(rows: Any, low: Any, high: Any) -> int:
    """Return the first row of [L, n] with an entry that is not in [low, high], or -1.

    NaN is in no interval.
    """
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            if not low[j] <= rows[i, j] <= high[j]:
                return i
    return -1


@kernel()
def broken_limit(
    times: Any, position: Any, velocity: Any, dense: Any, low: Any, high: Any, fastest: Any,
    hardest: Any,
) -> Any:
    """Return which limit a motion breaks first and at which row: 0 none, 1 q, 2 v, 3 a.

    A motion that starts outside [low, high] may go on there, not further out.

    Args:
        times: Knots, shape [T], as the next two.
        position: Shape [T, n].
        velocity: Shape [T, n].
        dense: Positions on a finer grid, shape [L, n].
        low: Least position, shape [n], as the rest.
        high: Greatest position.
        fastest: Greatest speed.
        hardest: Greatest acceleration.
    """
    least = np.minimum(low, position[0] - 1e-6)
    most = np.maximum(high, position[0] + 1e-6)
    for rows in (position, dense):
        index = first_outside(rows, least, most)
        if index >= 0:
            return 1, index
    start, end, top = extremes(times, position, velocity)
    index = first_outside(top, -fastest, fastest)
    if index >= 0:
        return 2, index
    for rows in (start, end):
        index = first_outside(rows, -hardest, hardest)
        if index >= 0:
            return 3, index
    return 0, 0


@kernel()
def fill_state(times: Any, position: Any, velocity: Any, rel: float, out: Any) -> None:
    """Write position, velocity and acceleration [3, n] at one time; it stands beyond its ends."""
    last = len(times) - 1
    for j in range(position.shape[1]):
        out[1, j] = out[2, j] = 0.0
    if rel < times[0] or rel > times[last] or last == 0:
        row = 0 if rel < times[0] else last
        for j in range(position.shape[1]):
            out[0, j] = position[row, j]
        return
    k = 0
    while k < last - 1 and rel >= times[k + 1]:
        k += 1
    h = times[k + 1] - times[k]
    s = (rel - times[k]) / h
    for j in range(position.shape[1]):
        m0, m1 = h * velocity[k, j], h * velocity[k + 1, j]
        d = position[k + 1, j] - position[k, j]
        b, c = 3.0 * d - 2.0 * m0 - m1, m0 + m1 - 2.0 * d
        out[0, j] = position[k, j] + s * (m0 + s * (b + s * c))
        out[1, j] = (m0 + s * (2.0 * b + 3.0 * s * c)) / h
        out[2, j] = (2.0 * b + 6.0 * s * c) / (h * h)


@kernel()
def state(times: Any, position: Any, velocity: Any, rel: float) -> Any:
    """Return position, velocity and acceleration at one time, shape [3, n]."""
    out = np.empty((3, position.shape[1]))
    fill_state(times, position, velocity, rel, out)
    return out


@kernel()
def stretch(
    times: Any, position: Any, velocity: Any, acceleration: Any, start: float, end: float,
    gap: float,
) -> Any:
    """Return times [T] and rows [3, T, n] of a motion from `start` to `end`.

    Knots nearer than `gap` to the ends are left out; with end <= start there is one row.
    """
    if end <= start:
        one = np.empty((3, 1, position.shape[1]))
        fill_state(times, position, velocity, start, one[:, 0])
        return np.full(1, start), one
    low, high = 0, 0
    while low < len(times) and times[low] < start + gap:
        low += 1
    high = low
    while high < len(times) and times[high] < end - gap:
        high += 1
    count = high - low + 2
    at = np.empty(count)
    rows = np.empty((3, count, position.shape[1]))
    at[0], at[count - 1] = start, end
    fill_state(times, position, velocity, start, rows[:, 0])
    fill_state(times, position, velocity, end, rows[:, count - 1])
    for k in range(low, high):
        i = k - low + 1
        at[i] = times[k]
        rows[0, i], rows[1, i], rows[2, i] = position[k], velocity[k], acceleration[k]
    return at, rows
