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
