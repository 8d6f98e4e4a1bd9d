# SPDX-License-Identifier: Apache-2.0
"""The tracker of the point mass: feed-forward of the plan and feedback of its error (kernel).

    F u = m (a_r + w^2 (x_r - x) + 2 w (v_r - v)) + d v,   w the bandwidth,

so that the error e = x_r - x obeys e'' + 2 w e' + w^2 e = 0 where the control is not clipped.
"""

from __future__ import annotations

from typing import Any

from diffusion_control.robots.jit import kernel

BANDWIDTH_RAD_S = 20.0


@kernel()
def point_control(state: Any, wanted: Any, constants: Any, control: Any) -> None:
    """Write the control [2] that follows a reference, clipped to [-1, 1].

    Args:
        state: x, y, vx, vy.
        wanted: Position, velocity and acceleration of the plan now, shape [6].
        constants: See `PointMass.constants`.
        control: Written.
    """
    for i in range(2):
        push = wanted[4 + i] + BANDWIDTH_RAD_S * (
            BANDWIDTH_RAD_S * (wanted[i] - state[i]) + 2.0 * (wanted[2 + i] - state[2 + i]))
        force = constants[1] * push + constants[2] * state[2 + i]
        control[i] = min(max(force / constants[3], -1.0), 1.0)
