# SPDX-License-Identifier: Apache-2.0
"""Distances from groups of links to each single obstacle along a way (numba kernel)."""

from __future__ import annotations

from typing import Any

from diffusion_control.robots.distance import NOTHING_M, signed_distance
from diffusion_control.robots.forward_kinematics import sphere_centres
from diffusion_control.robots.jit import kernel


@kernel()
def link_distances(
    positions: Any, times: Any, placements: Any, first: Any, spheres: Any, group: Any,
    code: Any, centre: Any, rotation: Any, half: Any, velocity: Any, centres: Any, out: Any,
) -> None:
    """Write the least distance of each group of spheres to each obstacle at each configuration.

    Args:
        positions: Configurations, shape [L, n] [rad].
        times: Time of each after the obstacles were seen, shape [L] [s].
        placements: Of the chain.
        first: First sphere behind each joint.
        spheres: Centre and radius in the frame of the joint, shape [S, 4] [m].
        group: Group of each sphere, shape [S]; below 0: in none.
        code: 1 sphere, 2 box, 3 cylinder, shape [k].
        centre: Of the obstacles at time 0, shape [k, 3] [m].
        rotation: Shape [k, 3, 3].
        half: Shape [k, 3] [m].
        velocity: Shape [k, 3] [m/s].
        centres: Workspace and result: centres of the spheres at each configuration, [L, S, 3] [m].
        out: Result, shape [k, L, G] [m].
    """
    for i in range(positions.shape[0]):
        sphere_centres(positions[i], placements, first, spheres, centres[i])
        for k in range(code.shape[0]):
            x = centre[k, 0] + times[i] * velocity[k, 0]
            y = centre[k, 1] + times[i] * velocity[k, 1]
            z = centre[k, 2] + times[i] * velocity[k, 2]
            for g in range(out.shape[2]):
                out[k, i, g] = NOTHING_M
            for s in range(spheres.shape[0]):
                g = group[s]
                if g >= 0:
                    distance = signed_distance(
                        code[k], rotation, half, k, centres[i, s, 0] - x, centres[i, s, 1] - y,
                        centres[i, s, 2] - z) - spheres[s, 3]
                    out[k, i, g] = min(out[k, i, g], distance)
