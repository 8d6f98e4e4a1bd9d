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

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.nearest import Nearest
from diffusion_control.safety.barriers.step import Rows, Step, approach_speed

Array = NDArray[np.float64]

KAPPA = 0.25


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
    obstacles = step.obstacles
    moves = obstacles.may_move[near.obstacle]
    towards = np.einsum('ij,ij->i', near.normal, obstacles.velocity_m_s[near.obstacle]) * moves
    stop_s = stopping_time_s(step)
    free = movers.acceleration_m_s2 * stop_s**2 / 2 + movers.velocity_error_m_s * stop_s
    growth = np.minimum(free, np.maximum(movers.speed_m_s - towards, 0.0) * stop_s) * moves
    room = near.distance_m - margin_m - step.deviation_m - growth
    rate = near.slope @ step.velocity - towards
    speed = link_speed(step, near.slope, room, -rate)
    return Rows(
        near.slope, towards - speed, np.where(moves, moving, standing).astype(np.int64), room)


def stopping_time_s(step: Step) -> float:
    """Return T and the time that the joints' common stop takes from the velocity now [s]."""
    limits = step.limits
    own = np.abs(step.velocity) / limits.acceleration_rad_s2
    return step.duration_s + float((own + limits.acceleration_rad_s2 / limits.jerk_rad_s3).max())


def link_speed(step: Step, slope: Array, room: Array, now: Array) -> Array:
    """Return min(phi(D), gamma D) of links with slopes [K, n] and room D [K]."""
    limits = step.limits
    acceleration = link_deceleration(step, slope)
    settle = float((limits.acceleration_rad_s2 / limits.jerk_rad_s3).max())
    speed: Array = approach_speed(
        room, now, step.duration_s, acceleration, np.full(len(room), settle), step.class_k_gain)
    return speed


def link_deceleration(step: Step, slope: Array) -> Array:
    """Return a_d = kappa sum_k |(n' J)_k| a_k of links with slopes [K, n], shape [K] [m/s^2]."""
    return np.maximum(KAPPA * (np.abs(slope) @ step.limits.acceleration_rad_s2), 1e-3)
