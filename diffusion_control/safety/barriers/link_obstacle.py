# SPDX-License-Identifier: Apache-2.0
"""Link to obstacle barrier: h = d - margin - (what a stop needs) [m].

d is the signed distance of the nearest sphere of a link to an obstacle. Its rate is
n' J v - n' v_o for a mover, so the link approaches at w = n' v_o - n' J v. Inequality:

    n' J v >= n' v_o - min(phi(D), gamma D),   D = d(t + late) - margin - deviation - growth,

with phi as in `step` for the deceleration a_d = kappa sum_k |(n' J)_k| a_k: joints that stop
together decelerate the link less than all of them at once would, and n turns meanwhile. The
obstacle is moved on by its velocity until the robot moves by the command; `growth` is what its
bounds (acceleration A, speed S, error of the velocity e) can add until the robot stands, t_s
later: min(A t_s^2 / 2 + e t_s, (S - n' v_o) t_s).

Standing and moving obstacles have slacks of their own: a mover must not soften the rows of what
stands. What is lost here is caught by the verification of the whole stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.robots.nearest import Nearest
from diffusion_control.safety.barriers.step import Rows, Step, approach_speed

Array = NDArray[np.float64]

KAPPA, LEAST_M_S2 = 0.25, 1e-3


@dataclass(frozen=True)
class MoverBounds:
    """What is known of obstacles that move.

    Attributes:
        speed_m_s: Highest speed [m/s].
        acceleration_m_s2: Highest acceleration [m/s^2].
        velocity_error_m_s: Highest error of the seen velocity [m/s].
    """

    speed_m_s: float
    acceleration_m_s2: float
    velocity_error_m_s: float


def barrier(
    step: Step, near: Nearest, margin_m: float, movers: MoverBounds, *, standing: int, moving: int
) -> Rows:
    """Return a row for each pair in `near`.

    Args:
        step: The step.
        near: Links and obstacles, these moved on by `step.late_s`.
        margin_m: Distance to keep [m].
        movers: Bounds of obstacles that move.
        standing: Class of slack of obstacles that stand.
        moving: Class of slack of obstacles that move.
    """
    obstacles, limits = step.obstacles, step.limits
    softness, towards, room = _rooms(
        near.distance_m, near.normal, near.obstacle, obstacles.velocity_m_s, obstacles.may_move,
        margin_m + step.deviation_m,
        stopping_time_s(
            step.velocity, limits.acceleration_rad_s2, limits.jerk_rad_s3, step.duration_s),
        movers.speed_m_s, movers.acceleration_m_s2, movers.velocity_error_m_s, standing, moving)
    return Rows(near.slope, link_floor(step, near.slope, room, towards), softness, room)


@kernel()
def _rooms(
    distance: Any, normal: Any, obstacle: Any, velocity: Any, may_move: Any, keep_m: float,
    stop_s: float, speed: float, acceleration: float, error: float, standing: int, moving: int,
) -> Any:
    """Return the class of slack, n' v_o and D of each pair, shape [K] each."""
    count = len(distance)
    softness = np.empty(count, dtype=np.int64)
    towards, room = np.zeros(count), np.empty(count)
    free = acceleration * stop_s * stop_s / 2 + error * stop_s
    for k in range(count):
        o = obstacle[k]
        softness[k], growth = standing, 0.0
        if may_move[o]:
            softness[k] = moving
            for i in range(3):
                towards[k] += normal[k, i] * velocity[o, i]
            growth = min(free, max(speed - towards[k], 0.0) * stop_s)
        room[k] = distance[k] - keep_m - growth
    return softness, towards, room


@kernel()
def stopping_time_s(velocity: Any, acceleration: Any, jerk: Any, duration_s: float) -> float:
    """Return T and the time that the joints' common stop takes from the velocity now [s]."""
    longest = 0.0
    for i in range(len(velocity)):
        own = abs(velocity[i]) / acceleration[i] + acceleration[i] / jerk[i]
        longest = max(longest, own)
    return duration_s + longest


def link_floor(step: Step, slope: Array, room: Array, towards: Array) -> Array:
    """Return n' v_o - min(phi(D), gamma D) of links with slopes [K, n] and room D [K]."""
    limits = step.limits
    floor: Array = _floor(
        slope, room, towards, step.velocity, limits.acceleration_rad_s2, limits.jerk_rad_s3,
        step.duration_s, step.class_k_gain)
    return floor


@kernel()
def link_deceleration(slope: Any, acceleration: Any) -> Any:
    """Return a_d = kappa sum_k |(n' J)_k| a_k of links with slopes [K, n], shape [K] [m/s^2]."""
    found = np.empty(len(slope))
    for k in range(len(slope)):
        total = 0.0
        for i in range(len(acceleration)):
            total += abs(slope[k, i]) * acceleration[i]
        found[k] = max(KAPPA * total, LEAST_M_S2)
    return found


@kernel()
def _floor(
    slope: Any, room: Any, towards: Any, velocity: Any, acceleration: Any, jerk: Any,
    duration_s: float, gain: float,
) -> Any:
    """Return the floors [K]."""
    settle_s = 0.0
    for i in range(len(velocity)):
        settle_s = max(settle_s, acceleration[i] / jerk[i])
    stops = link_deceleration(slope, acceleration)
    floor = np.empty(len(room))
    for k in range(len(room)):
        rate = -towards[k]
        for i in range(len(velocity)):
            rate += slope[k, i] * velocity[i]
        floor[k] = towards[k] - approach_speed(
            room[k], -rate, duration_s, stops[k], settle_s, gain)
    return floor
