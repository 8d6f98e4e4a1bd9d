# SPDX-License-Identifier: Apache-2.0
"""Link to link and link to floor barrier: h = d - margin - (what a stop needs) [m].

d is the signed distance of the nearest spheres of two links (or of a link and the floor), whose
rate is n' (J_1 - J_2) v. Inequality: n' (J_1 - J_2) v >= -min(phi(D), gamma D) with
D = d - margin - deviation, as in `link_obstacle`. Nothing there moves by itself.
"""

from __future__ import annotations

import numpy as np

from diffusion_control.robots.nearest import Nearest
from diffusion_control.safety.barriers.link_obstacle import link_floor
from diffusion_control.safety.barriers.step import Rows, Step, rows


def barrier(step: Step, near: Nearest, margin_m: float, softness: int) -> Rows:
    """Return a row for each pair in `near`, of one class of slack."""
    room = near.distance_m - margin_m - step.deviation_m
    floor = link_floor(step, near.slope, room, np.zeros(len(room)))
    return rows(near.slope, floor, softness, room)
