# SPDX-License-Identifier: Apache-2.0
"""Many steps of the point mass in one kernel: along a plan, or with given controls."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffusion_control.robots.jit import kernel
from diffusion_control.simulation.point_mass import advance
from diffusion_control.tracking.point_mass import point_control


@kernel()
def follow(
    state: Any, wanted: Any, occupied: Any, frame: Any, constants: Any
) -> Any:
    """Track a reference for K steps; return states [K, 4], controls [K, 2] and gaps [K] [m].

    Row k of the states and the gap are those after step k; `state` ends at the last one.

    Args:
        state: x, y, vx, vy; changed, shape [4].
        wanted: Position, velocity, acceleration at the beginning of each step, shape [K, 6].
        occupied: Cells of the map.
        frame: Of the map, see `robots.point_mass.frame_of`.
        constants: See `PointMass.constants`.
    """
    count = len(wanted)
    states, controls, gaps = np.empty((count, 4)), np.empty((count, 2)), np.empty(count)
    for k in range(count):
        point_control(state, wanted[k], constants, controls[k])
        gaps[k] = advance(state, controls[k], occupied, frame, constants)
        states[k] = state
    return states, controls, gaps


@kernel()
def push(state: Any, controls: Any, occupied: Any, frame: Any, constants: Any) -> Any:
    """Apply controls [K, 2]; return states [K, 4] and gaps [K] [m], see `follow`."""
    count = len(controls)
    states, gaps = np.empty((count, 4)), np.empty(count)
    for k in range(count):
        gaps[k] = advance(state, controls[k], occupied, frame, constants)
        states[k] = state
    return states, gaps
