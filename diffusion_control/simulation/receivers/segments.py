# SPDX-License-Identifier: Apache-2.0
"""Linear, cubic and quintic segments between two trajectory points."""

from __future__ import annotations

import numpy as np

from diffusion_control.robots.jit import kernel
from diffusion_control.trajectory.trajectory import Array

State = tuple[Array, Array | None, Array | None]


def segment(duration_s: float, start: State, end: State) -> Array:
    """Return the polynomial from one state to another, of the degree that both allow.

    Of q(t) = sum_k c_k t^k on [0, T]: linear without velocities; cubic where both ends have
    position and velocity; quintic where both have accelerations too.

    Args:
        duration_s: T > 0 [s].
        start: Position, velocity or None, acceleration or None, each of shape [n].
        end: The same at T.

    Returns:
        c, shape [degree + 1, n].
    """
    q0, v0, a0 = start
    q1, v1, a1 = end
    span = duration_s
    delta = q1 - q0
    if v0 is None or v1 is None:
        return np.stack([q0, delta / span])
    if a0 is None or a1 is None:
        return np.stack([
            q0, v0,
            (3 * delta - (2 * v0 + v1) * span) / span**2,
            (-2 * delta + (v0 + v1) * span) / span**3,
        ])
    return np.stack([
        q0, v0, a0 / 2,
        (20 * delta - (12 * v0 + 8 * v1) * span - (3 * a0 - a1) * span**2) / (2 * span**3),
        (-30 * delta + (16 * v0 + 14 * v1) * span + (3 * a0 - 2 * a1) * span**2) / (2 * span**4),
        (12 * delta - 6 * (v0 + v1) * span - (a0 - a1) * span**2) / (2 * span**5),
    ])


@kernel()
def segment_point(
    coefficients: Array, at_s: float, position: Array, velocity: Array, acceleration: Array
) -> None:
    """Evaluate a segment `at_s` after its start into three arrays of shape [n] (Horner)."""
    last = coefficients.shape[0] - 1
    for k in range(position.shape[0]):
        place, rate, bend = coefficients[last, k], 0.0, 0.0
        for row in range(last - 1, -1, -1):
            bend = bend * at_s + rate
            rate = rate * at_s + place
            place = place * at_s + coefficients[row, k]
        position[k], velocity[k], acceleration[k] = place, rate, 2.0 * bend
