# SPDX-License-Identifier: Apache-2.0
"""Obstacles as run-time inputs of an exported sampler with the cost `arm_spheres`; numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array32 = NDArray[np.float32]


def obstacle_inputs(
    obstacles: Any, times_s: NDArray[np.float64], places: int
) -> dict[str, Array32]:
    """Return the inputs `arm_obstacle_*`, empty places last.

    Args:
        obstacles: k obstacles as `robots.obstacles.ObstacleArrays`, moved on at their velocities.
        times_s: Time of each instant after the obstacles were seen, shape [S] [s].
        places: O, `StepSpec.obstacles` of the file.

    Raises:
        ConfigurationError: More obstacles than places.
    """
    count = len(obstacles.code)
    if count > places:
        raise ConfigurationError(
            'More obstacles than the exported sampler has places for.', where='obstacles',
            value=count, allowed=f'<= {places}',
            remedy='leave out the farthest, or export with more places')
    moved = obstacles.centre_m + times_s[:, None, None] * obstacles.velocity_m_s

    def padded(value: NDArray[Any], axis: int = 0) -> Array32:
        width = [(0, places - count if k == axis else 0) for k in range(value.ndim)]
        return np.pad(value, width).astype(np.float32)

    return {
        'arm_obstacle_code': padded(obstacles.code),
        'arm_obstacle_centre': padded(moved, axis=1),
        'arm_obstacle_rotation': padded(obstacles.rotation),
        'arm_obstacle_half': padded(obstacles.half_m)}
