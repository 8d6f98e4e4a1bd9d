# SPDX-License-Identifier: Apache-2.0
"""Regions that a point mass is told to keep out of, beside the walls: h(p) >= 0 is allowed.

Circle and quartic super-ellipse, and the task beside them, are those of W. Xiao et al.,
"SafeDiffuser: Safe Planning with Diffusion Probabilistic Models", ICLR 2025, in the coordinates of
maze2d-large. The half-plane leaves 15 cm of a corridor at a turn that a fast line takes wider.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel

Array = NDArray[np.float64]
Place = tuple[float, float]


@dataclass(frozen=True)
class Specification:
    """A smooth barrier h.

    Attributes:
        name: Of the specification.
        h: Values at points [K, 2], shape [K].
        gradient: Of h at points [K, 2], shape [K, 2] [1/m].
        hessian: Of h at points [K, 2], shape [K, 2, 2] [1/m^2].
        constants: The same h for kernels, see `level_at`.
        start: Of its task in maze2d-large [m].
        goal: Of its task [m].
    """

    name: str
    h: Callable[[Array], Array]
    gradient: Callable[[Array], Array]
    hessian: Callable[[Array], Array]
    constants: tuple[float, ...]
    start: Place = (0.9487, 2.9365)
    goal: Place = (7.0, 9.0)


def rounded(name: str, centre: Place, half: float, power: int) -> Specification:
    """Return h = ((x - x0) / a)^n + ((y - y0) / a)^n - 1 with n even: a disc for n = 2.

    Args:
        name: Of the specification.
        centre: x0, y0 [m].
        half: Half-axis a [m].
        power: n.
    """
    middle = np.array(centre)

    def h(points: Array) -> Array:
        return np.asarray((((points - middle) / half)**power).sum(axis=-1) - 1.0)

    def gradient(points: Array) -> Array:
        return np.asarray(power / half * ((points - middle) / half)**(power - 1))

    def hessian(points: Array) -> Array:
        bend = power * (power - 1) / half**2 * ((points - middle) / half)**(power - 2)
        return np.asarray(bend[..., None] * np.eye(2))

    constants = (
        float(power), 1.0 / half, 1.0 / half, -centre[0] / half, -centre[1] / half, 1.0)
    return Specification(name, h, gradient, hessian, constants)


def half_plane(
    name: str, normal: Place, offset_m: float, start: Place, goal: Place
) -> Specification:
    """Return h = n'p - c with the unit normal n and the offset c [m], and its task."""
    unit = np.array(normal) / np.linalg.norm(normal)

    def h(points: Array) -> Array:
        return np.asarray(points @ unit - offset_m)

    def gradient(points: Array) -> Array:
        return np.broadcast_to(unit, points.shape).copy()

    def hessian(points: Array) -> Array:
        return np.zeros((*points.shape, 2))

    constants = 1.0, float(unit[0]), float(unit[1]), 0.0, 0.0, offset_m
    return Specification(name, h, gradient, hessian, constants, start, goal)


@kernel()
def level_at(x: float, y: float, constants: Any) -> float:
    """Return h = (a x + d)^n + (b y + e)^n - c; the constants are n, a, b, d, e, c."""
    first, last = constants[1] * x + constants[3], constants[2] * y + constants[4]
    one, other = first, last
    for _ in range(int(constants[0]) - 1):
        one, other = one * first, other * last
    return float(one + other - constants[5])


@kernel()
def slope_at(x: float, y: float, constants: Any) -> Any:
    """Return the gradient x, y of `level_at`."""
    first, last = constants[1] * x + constants[3], constants[2] * y + constants[4]
    one, other = constants[0] * constants[1], constants[0] * constants[2]
    for _ in range(int(constants[0]) - 1):
        one, other = one * first, other * last
    return one, other


SPECIFICATIONS: dict[str, Specification] = {item.name: item for item in (
    rounded('circle', (4.5, 5.3), 1.0, 2),
    rounded('super_ellipse', (1.5, 4.8), 1.0, 4),
    half_plane('half_plane', (1.0, 0.0), 1.05, (3.0, 6.0), (3.0, 8.0)),
)}
