# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics of a chain of revolute joints, as numba kernels.

Every joint turns about the local z of its own frame (`chain.Chain` folds the axes of the URDF
into constant placements), so that with (p_j, R_j) the constant placement of joint j
    o_j = o_{j-1} + A_{j-1} p_j,   A_j = A_{j-1} R_j Rz(q_j),   A_{-1} = I, o_{-1} = 0.
No fast-math: equal input gives equal output bit for bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel

Array = NDArray[np.float64]


@kernel()
def turn(rotation: Any, placement: Any, angle: float) -> None:
    """Multiply `rotation` [9], row-major, in place by the placement's rotation and Rz(angle)."""
    c, s = math.cos(angle), math.sin(angle)
    for r in range(3):
        a, b, d = rotation[3 * r], rotation[3 * r + 1], rotation[3 * r + 2]
        x = a * placement[3] + b * placement[6] + d * placement[9]
        y = a * placement[4] + b * placement[7] + d * placement[10]
        z = a * placement[5] + b * placement[8] + d * placement[11]
        rotation[3 * r] = c * x + s * y
        rotation[3 * r + 1] = c * y - s * x
        rotation[3 * r + 2] = z


@kernel()
def sphere_centres(position: Any, placements: Any, first: Any, spheres: Any, out: Any) -> bool:
    """Write the centre of every sphere in the base frame; say whether all input is finite.

    Args:
        position: Joint positions, shape [n] [rad].
        placements: Constant placements p, then R row-major, shape [n, 12].
        first: Spheres of the base are [0, first[0]), of joint j [first[j], first[j + 1]).
        spheres: Centre in the joint's frame and radius, shape [S, 4] [m].
        out: Centres, shape [S, 3] [m].
    """
    for s in range(first[0]):
        for k in range(3):
            out[s, k] = spheres[s, k]
    rotation = np.zeros(9)
    rotation[0] = rotation[4] = rotation[8] = 1.0
    x, y, z = 0.0, 0.0, 0.0
    finite = True
    for j in range(position.shape[0]):
        finite = finite and math.isfinite(position[j])
        p = placements[j]
        x += rotation[0] * p[0] + rotation[1] * p[1] + rotation[2] * p[2]
        y += rotation[3] * p[0] + rotation[4] * p[1] + rotation[5] * p[2]
        z += rotation[6] * p[0] + rotation[7] * p[1] + rotation[8] * p[2]
        turn(rotation, p, position[j])
        for s in range(first[j], first[j + 1]):
            a, b, c = spheres[s, 0], spheres[s, 1], spheres[s, 2]
            out[s, 0] = x + rotation[0] * a + rotation[1] * b + rotation[2] * c
            out[s, 1] = y + rotation[3] * a + rotation[4] * b + rotation[5] * c
            out[s, 2] = z + rotation[6] * a + rotation[7] * b + rotation[8] * c
    return finite


@kernel()
def tool_poses(positions: Any, placements: Any, tool: Any, out: Any) -> None:
    """Write the tool's pose (position [3], rotation row-major [9]) at L configurations.

    Args:
        positions: Shape [L, n] [rad].
        placements: Shape [n, 12].
        tool: Pose of the tool in the last joint's frame, position then rotation, shape [12].
        out: Shape [L, 12].
    """
    rotation = np.empty(9)
    for i in range(positions.shape[0]):
        rotation[:] = 0.0
        rotation[0] = rotation[4] = rotation[8] = 1.0
        x, y, z = 0.0, 0.0, 0.0
        for j in range(positions.shape[1] + 1):
            p = placements[j] if j < positions.shape[1] else tool
            x += rotation[0] * p[0] + rotation[1] * p[1] + rotation[2] * p[2]
            y += rotation[3] * p[0] + rotation[4] * p[1] + rotation[5] * p[2]
            z += rotation[6] * p[0] + rotation[7] * p[1] + rotation[8] * p[2]
            turn(rotation, p, positions[i, j] if j < positions.shape[1] else 0.0)
        out[i, 0], out[i, 1], out[i, 2] = x, y, z
        out[i, 3:] = rotation
