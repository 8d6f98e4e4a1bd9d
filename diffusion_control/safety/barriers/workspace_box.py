# SPDX-License-Identifier: Apache-2.0
"""Workspace barrier: h = distance of the tool to each side of a box - (what a stop needs) [m].

For the side x_k <= u_k: (J v)_k <= min(phi(D), gamma D) with D = u_k - x_k - margin, and mirrored.
An infinite side gives no row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.safety.barriers.link_obstacle import link_floor
from diffusion_control.safety.barriers.step import Rows, Step, rows

Array = NDArray[np.float64]


def barrier(
    step: Step, tool_m: Array, jacobian: Array, lower_m: Array, upper_m: Array, margin_m: float,
    softness: int,
) -> Rows:
    """Return a row for each finite side.

    Args:
        step: The step.
        tool_m: Position of the tool, shape [3].
        jacobian: Of that position, shape [3, n].
        lower_m: Lower corner, shape [3]; -inf where there is no side.
        upper_m: Upper corner, shape [3]; inf where there is no side.
        margin_m: Distance to keep [m].
        softness: Class of slack.
    """
    slope = np.concatenate((jacobian, -jacobian))
    room = np.concatenate((tool_m - lower_m, upper_m - tool_m)) - margin_m - step.deviation_m
    finite = np.isfinite(room)
    slope, room = slope[finite], room[finite]
    return rows(slope, link_floor(step, slope, room, np.zeros(len(room))), softness, room)
