# SPDX-License-Identifier: Apache-2.0
"""Speed and separation monitoring: h = S - S_p(v) [m], a parameterised monitor.

With the protective separation distance of ISO/TS 15066:2016, 5.5.4.2.3 (eq. 3, constant values)

    S_p = v_h (T_r + T_s) + v_r T_r + v_r^2 / (2 a) + C + Z,   T_s = v_r / a,

v_h the speed of the person, v_r that of the link towards it, T_r the reaction time, a the link's
deceleration, C the intrusion distance and Z the uncertainties. S >= S_p solved for v_r:

    v_r <= -a b + sqrt(a^2 b^2 + 2 a max(0, S - v_h T_r - C - Z)),   b = T_r + v_h / a.

Inequality: n' J v >= -v_r for each link and each obstacle that may move; soft, because a person
can come closer than any robot can leave. Neither conformity with the standard nor a performance
level is claimed: it is a formula that slows the robot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffusion_control.robots.nearest import Nearest
from diffusion_control.safety.barriers.link_obstacle import link_deceleration
from diffusion_control.safety.barriers.step import Rows, Step, rows


@dataclass(frozen=True)
class Separation:
    """Constants of the protective separation distance.

    Attributes:
        person_speed_m_s: v_h [m/s]; 0 turns the monitor off.
        reaction_s: T_r [s].
        intrusion_m: C + Z [m].
    """

    person_speed_m_s: float
    reaction_s: float
    intrusion_m: float


def barrier(step: Step, near: Nearest, separation: Separation, softness: int) -> Rows:
    """Return a row for each pair in `near` whose obstacle may move."""
    person, reaction_s = separation.person_speed_m_s, separation.reaction_s
    moves = step.obstacles.may_move[near.obstacle]
    slope, distance = near.slope[moves], near.distance_m[moves]
    a = link_deceleration(slope, step.limits.acceleration_rad_s2)
    room = distance - step.deviation_m - person * reaction_s - separation.intrusion_m
    ab = a * reaction_s + person
    speed = -ab + np.sqrt(ab**2 + 2 * a * np.maximum(room, 0.0))
    return rows(slope, -speed, softness, room)
