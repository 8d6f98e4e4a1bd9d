# SPDX-License-Identifier: Apache-2.0
"""Joint torque barrier: h = tau_max - |tau| [Nm].

With the mean acceleration of the step, tau = M(q) (v - v0) / T + C(q, v0) v0 + g(q). Inequality,
for each joint: |tau_i| <= share * tau_max,i. Rows are widened to admit the stored motion's
velocity, so that they never contradict the bounds of the joints.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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
    per_speed = dynamics.mass_matrix(step.position) / step.duration_s
    bias = dynamics.bias(step.position, step.velocity) - per_speed @ step.velocity
    top = share * step.limits.torque_nm
    torque = per_speed @ step.stopping + bias
    top = np.maximum(top, np.abs(torque))
    slope = np.concatenate((-per_speed, per_speed))
    floor = np.concatenate((bias - top, -top - bias))
    return rows(slope, floor, -1, slope @ step.velocity - floor)
