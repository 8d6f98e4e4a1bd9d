# SPDX-License-Identifier: Apache-2.0
"""Which of two first guesses is nearer to the solution (numba kernel)."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffusion_control.robots.jit import kernel


@kernel(fast=True)
def first_is_better(
    first: Any, second: Any, bound: Any, most: Any, velocity: Any, speed_map: Any, hessian: Any,
    linear: Any,
) -> bool:
    """Say whether the first of two guesses keeps the velocity limits and the other does not.

    Where both do or neither does: whether its predicted cost a^T H a / 2 + f^T a is the lower.

    Args:
        first: Accelerations [N-1, n], clipped to the bound here.
        second: The same.
        bound: Largest acceleration, shape [n].
        most: Largest speed, shape [n].
        velocity: Free motion at the control points of velocity, shape [K, n].
        speed_map: From accelerations to these, shape [K, N-1].
        hessian: H, shape [N-1, N-1].
        linear: f, shape [N-1, n].
    """
    steps, joints = first.shape
    cost, slow, a = np.zeros(2), np.ones(2, dtype=np.bool_), np.empty(steps)
    for side in range(2):
        guess = first if side == 0 else second
        for j in range(joints):
            for k in range(steps):
                a[k] = min(max(guess[k, j], -bound[j]), bound[j])
            for row in range(len(speed_map)):
                speed = velocity[row, j]
                for k in range(steps):
                    speed += speed_map[row, k] * a[k]
                slow[side] = slow[side] and abs(speed) <= most[j] + 1e-6
            for row in range(steps):
                slope = 0.0
                for k in range(steps):
                    slope += hessian[row, k] * a[k]
                cost[side] += a[row] * (0.5 * slope + linear[row, j])
    if slow[0] != slow[1]:
        return bool(slow[0])
    return bool(cost[0] <= cost[1])
