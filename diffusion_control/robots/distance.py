# SPDX-License-Identifier: Apache-2.0
"""Signed distances of spheres to obstacles, to each other and to the floor (numba kernels).

With x the sphere's centre in the obstacle's frame and r its radius:
    sphere    |x| - a - r
    box       |max(u, 0)| + min(max_k u_k, 0) - r,  u = |x| - half edges
    cylinder  the same with u = (|x_xy| - a, |x_z| - half height)
All are 1-Lipschitz in the centre. No fast-math, fixed order: equal input, equal bits.
A configuration that is not finite has the distance -NOTHING_M: it never passes as free.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diffusion_control.robots.forward_kinematics import sphere_centres
from diffusion_control.robots.jit import kernel

NOTHING_M = 9.0


@kernel(inline=True)
def signed_distance(
    code: int, rotation: Any, half: Any, k: int, dx: float, dy: float, dz: float
) -> float:
    """Return the distance of a point to obstacle k; (dx, dy, dz) = point - obstacle centre."""
    if code == 1:
        radius: float = half[k, 0]
        return math.sqrt(dx * dx + dy * dy + dz * dz) - radius
    lz = abs(rotation[k, 0, 2] * dx + rotation[k, 1, 2] * dy + rotation[k, 2, 2] * dz)
    w = lz - half[k, 2]
    lx = rotation[k, 0, 0] * dx + rotation[k, 1, 0] * dy + rotation[k, 2, 0] * dz
    ly = rotation[k, 0, 1] * dx + rotation[k, 1, 1] * dy + rotation[k, 2, 1] * dz
    if code == 2:
        u, v = abs(lx) - half[k, 0], abs(ly) - half[k, 1]
    else:
        u, v = math.sqrt(lx * lx + ly * ly) - half[k, 0], -NOTHING_M
    inside: float = max(u, max(v, w))
    if inside <= 0.0:
        return inside
    u, v, w = max(u, 0.0), max(v, 0.0), max(w, 0.0)
    return math.sqrt(u * u + v * v + w * w)


@kernel()
def own_distance(
    centres: Any, spheres: Any, pairs: Any, floor_m: float, floor_first: int
) -> float:
    """Return the least distance between the pairs of spheres, and of the spheres to the floor."""
    least = NOTHING_M
    for s in range(floor_first, centres.shape[0]):
        least = min(least, centres[s, 2] - floor_m - spheres[s, 3])
    for p in range(pairs.shape[0]):
        i, j = pairs[p, 0], pairs[p, 1]
        a = centres[i, 0] - centres[j, 0]
        b = centres[i, 1] - centres[j, 1]
        c = centres[i, 2] - centres[j, 2]
        reach = least + spheres[i, 3] + spheres[j, 3]
        square = a * a + b * b + c * c
        if reach < 0.0 or square < reach * reach:
            least = min(least, math.sqrt(square) - spheres[i, 3] - spheres[j, 3])
    return least


@kernel()
def obstacle_distance(
    centres: Any, spheres: Any, obstacle_first: int,
    code: Any, centre: Any, rotation: Any, half: Any, velocity: Any, time_s: float,
) -> float:
    """Return the least distance of the spheres to all obstacles, each moved on by its velocity."""
    least = NOTHING_M
    for k in range(code.shape[0]):
        x = centre[k, 0] + velocity[k, 0] * time_s
        y = centre[k, 1] + velocity[k, 1] * time_s
        z = centre[k, 2] + velocity[k, 2] * time_s
        for s in range(obstacle_first, centres.shape[0]):
            d = signed_distance(
                code[k], rotation, half, k,
                centres[s, 0] - x, centres[s, 1] - y, centres[s, 2] - z)
            least = min(least, d - spheres[s, 3])
    return least


@kernel()
def path_clearance(
    positions: Any, times_s: Any, placements: Any, first: Any, spheres: Any, pairs: Any,
    floor_m: float, floor_first: int, obstacle_first: int,
    code: Any, centre: Any, rotation: Any, half: Any, velocity: Any,
    obstacle_out: Any, own_out: Any,
) -> None:
    """Write the distance to obstacles and to self and floor at each of L configurations.

    Args:
        positions: Shape [L, n] [rad].
        times_s: Time of each configuration after the obstacles were seen, shape [L] [s].
        placements: Shape [n, 12], as in `forward_kinematics.sphere_centres`, like the next two.
        first: Shape [n + 1].
        spheres: Shape [S, 4].
        pairs: Spheres that must not meet, shape [P, 2].
        floor_m: Height of the floor [m].
        floor_first: First sphere that the floor counts for.
        obstacle_first: First sphere that obstacles count for.
        code: The arrays of `obstacles.ObstacleArrays`, like the next four.
        centre: Shape [k, 3].
        rotation: Shape [k, 3, 3].
        half: Shape [k, 3].
        velocity: Shape [k, 3].
        obstacle_out: Shape [L] [m].
        own_out: Shape [L] [m].
    """
    centres = np.empty((spheres.shape[0], 3))
    for i in range(positions.shape[0]):
        finite = sphere_centres(positions[i], placements, first, spheres, centres)
        if not finite or not math.isfinite(times_s[i]):
            obstacle_out[i] = own_out[i] = -NOTHING_M
            continue
        own_out[i] = own_distance(centres, spheres, pairs, floor_m, floor_first)
        obstacle_out[i] = obstacle_distance(
            centres, spheres, obstacle_first, code, centre, rotation, half, velocity, times_s[i])
