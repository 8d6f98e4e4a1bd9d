# SPDX-License-Identifier: Apache-2.0
"""The robot's shape: spheres on links, given as spheres or as capsules that spheres cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SPACING_M = 0.05


@dataclass(frozen=True)
class LinkShape:
    """Spheres in the frame of one link of the URDF.

    Attributes:
        link: Name of the frame.
        spheres: Centre and radius, shape [s, 4] [m].
    """

    link: str
    spheres: Array


def cover_capsule(start: Array, end: Array, radius_m: float) -> Array:
    """Return spheres whose union contains a capsule, shape [s, 4].

    Centres lie on the axis with a spacing s of at most 5 cm, the first and last on its ends; the
    sphere of radius sqrt(r^2 + (s/2)^2) around a centre contains the cylinder of radius r halfway
    to both neighbours.
    """
    length = float(np.linalg.norm(end - start))
    if length == 0.0:
        return np.array([[*start, radius_m]])
    gaps = int(np.ceil(length / SPACING_M))
    radius = float(np.hypot(radius_m, 0.5 * length / gaps))
    share = np.linspace(0.0, 1.0, gaps + 1)[:, None]
    return np.hstack([start + share * (end - start), np.full((gaps + 1, 1), radius)])
