# SPDX-License-Identifier: Apache-2.0
"""The command filter of a point mass: the nearest control that keeps a barrier h(p) >= 0.

With p'' = (F u - d v) / m the barrier has relative degree two; the filter asks for

    h'' + 2 k h' + k^2 (h - h0) >= 0,   h' = g'v,   h'' = v'H v + g'p'',

with the gradient g and the Hessian H of h: one linear inequality c'u >= b in the control. Its
nearest point in the box |u| <= 1 is returned; where there is none, the control that violates it
least. W. Xiao, C. Belta, "High-Order Control Barrier Functions", IEEE TAC 67, 2022.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.point_mass import PointMass

Array = NDArray[np.float64]
GAIN_1_S = 4.0
"""k: a mass at its largest speed along an axis, 5 m/s, brakes with 20 of the 22.7 m/s^2 it has."""
LEAST_H = 0.02
"""h0: kept as a reserve for what happens between two steps."""


def filtered(
    robot: PointMass, control: Array, velocity: Array, h: float, gradient: Array, hessian: Array
) -> Array:
    """Return the admitted control that is nearest to a wanted one, shape [2].

    Args:
        robot: The mass.
        control: Wanted, in [-1, 1], shape [2].
        velocity: Of the mass [2] [m/s].
        h: Of the place.
        gradient: Shape [2] [1/m].
        hessian: Shape [2, 2] [1/m^2].
    """
    speed = float(gradient @ velocity)
    free = float(velocity @ hessian @ velocity) - robot.damping_n_s_m / robot.mass_kg * speed
    wanted = -free - 2.0 * GAIN_1_S * speed - GAIN_1_S**2 * (h - LEAST_H)
    return nearest_in_box(control, robot.force_max_n / robot.mass_kg * gradient, wanted)


def nearest_in_box(control: Array, normal: Array, least: float) -> Array:
    """Return the point u of the box |u_i| <= 1 nearest to a control with normal'u >= least.

    Without such a point: the corner (or the edge's point) where normal'u is largest.
    """
    found = np.clip(control, -1.0, 1.0)
    held = np.zeros(2, dtype=bool)
    for _ in range(2):
        missing = least - float(normal @ found)
        length = float(normal[~held] @ normal[~held])
        if missing <= 0.0 or length < 1e-12:
            break
        found[~held] += missing / length * normal[~held]
        held |= np.abs(found) > 1.0
        found = np.clip(found, -1.0, 1.0)
    return found
