# SPDX-License-Identifier: Apache-2.0
"""Joint torque barrier: h = tau_max - |tau| [Nm].

With the mean acceleration of the step, tau = M(q) (v - v0) / T + C(q, v0) v0 + g(q). Inequality,
for each joint: |tau_i| <= share * tau_max,i. Rows are widened to admit the stored motion's
velocity, so that they never contradict the bounds of the joints.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.safety.barriers.step import Rows, Step, rows

Array = NDArray[np.float64]


class Dynamics(Protocol):
    """A robot with rigid-body dynamics."""

    def mass_matrix(self, position: Array) -> Array:
        """Return M(q), shape [n, n]."""
        ...

    def bias(self, position: Array, velocity: Array) -> Array:
        """Return C(q, v) v + g(q), shape [n] [Nm]."""
        ...


def barrier(step: Step, dynamics: Dynamics, share: float) -> Rows:
    """Return two rows for each joint, for the upper and for the lower torque limit."""
    slope, rest = _rows(
        dynamics.mass_matrix(step.position), dynamics.bias(step.position, step.velocity),
        step.velocity, step.stopping, step.limits.torque_nm, step.duration_s, share)
    return rows(slope, rest[0], -1, rest[1])


@kernel()
def _rows(
    mass: Any, bias: Any, velocity: Any, stopping: Any, most: Any, duration_s: float, share: float
) -> Any:
    """Return slope [2 n, n], and floor and h [2, 2 n]."""
    count = len(velocity)
    slope, rest = np.empty((2 * count, count)), np.empty((2, 2 * count))
    for i in range(count):
        now, ending = 0.0, 0.0
        for j in range(count):
            per_speed = mass[i, j] / duration_s
            slope[i, j], slope[count + i, j] = -per_speed, per_speed
            now += per_speed * velocity[j]
            ending += per_speed * stopping[j]
        constant = bias[i] - now
        top = max(share * most[i], abs(ending + constant))
        rest[0, i], rest[0, count + i] = constant - top, -top - constant
        rest[1, i], rest[1, count + i] = top - constant - now, now + top + constant
    return slope, rest
