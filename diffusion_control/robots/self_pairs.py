# SPDX-License-Identifier: Apache-2.0
"""Which spheres of a robot can meet: the pairs that the self-collision check looks at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.forward_kinematics import sphere_centres
from diffusion_control.robots.jit import kernel

Array = NDArray[np.float64]
SAMPLES = 4000
NEVER_M = 0.08


@kernel()
def least_distances(
    positions: Any, placements: Any, first: Any, spheres: Any, pairs: Any, out: Any
) -> None:
    """Write the least distance of every pair of spheres over all configurations, shape [P]."""
    centres = np.empty((spheres.shape[0], 3))
    out[:] = np.inf
    for i in range(positions.shape[0]):
        sphere_centres(positions[i], placements, first, spheres, centres)
        for p in range(pairs.shape[0]):
            a, b = pairs[p, 0], pairs[p, 1]
            x = centres[a, 0] - centres[b, 0]
            y = centres[a, 1] - centres[b, 1]
            z = centres[a, 2] - centres[b, 2]
            distance = np.sqrt(x * x + y * y + z * z) - spheres[a, 3] - spheres[b, 3]
            out[p] = min(out[p], distance)


def candidate_pairs(
    joint: NDArray[np.int64], link: NDArray[np.int64], ignored: frozenset[tuple[int, int]]
) -> NDArray[np.int64]:
    """Return the pairs of spheres whose links are neither adjacent nor ignored, shape [P, 2].

    Args:
        joint: Joint that carries each sphere (0 = base), shape [S].
        link: Link of each sphere, shape [S].
        ignored: Pairs of links (smaller first) that may overlap.
    """
    return np.array([
        (a, b) for a in range(len(joint)) for b in range(a + 1, len(joint))
        if joint[b] - joint[a] > 1 and (int(link[a]), int(link[b])) not in ignored
    ], dtype=np.int64).reshape(-1, 2)


def reachable_pairs(
    candidates: NDArray[np.int64], lower: Array, upper: Array,
    placements: Array, first: NDArray[np.int64], spheres: Array,
) -> NDArray[np.int64]:
    """Return the candidates that come nearer than 8 cm in any of many sampled configurations.

    Uniform samples and the corners that they miss: half of the samples have every joint at the
    limit that is nearer. The seed is fixed, so the pairs are always the same.
    """
    generator = np.random.default_rng(0)
    share = generator.random((SAMPLES, len(lower)))
    share[SAMPLES // 2:] = generator.beta(0.3, 0.3, share[SAMPLES // 2:].shape)
    least = np.empty(len(candidates))
    positions = lower + share * (upper - lower)
    least_distances(positions, placements, first, spheres, candidates, least)
    return np.ascontiguousarray(candidates[least < NEVER_M])
