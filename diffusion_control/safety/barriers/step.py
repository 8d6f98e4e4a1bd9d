# SPDX-License-Identifier: Apache-2.0
"""The step that a barrier bounds, and the sampled-data condition that all of them share.

From the tick on, the robot goes in the step T from velocity v0 to v, then it stops with at most
a and j. Let w be the rate at which a distance D (less its margin) shrinks, w0 now. With the
time-optimal change of velocity, the distance used until the robot stands is at most

    T w + T max(w0 - w, 0) / 2 + w^2 / (2 a) + w a / (2 j)  <=  D.

So w <= phi(D) keeps h = D - (what a stop needs) >= 0 between samples as well as at them:

    phi(D) = -a b + sqrt(a^2 b^2 + 2 a D),  b = T + a / (2 j)              where that is >= w0,
    phi(D) = -a b + sqrt(a^2 b^2 + 2 a (D - T w0 / 2)),  b = T/2 + a/(2 j)     otherwise.

The first-order condition w <= gamma D (class K function alpha(h) = gamma h) is kept besides: it
makes the last centimetres slow. gamma T must be below 1.

Original: A. D. Ames, X. Xu, J. W. Grizzle, P. Tabuada, "Control Barrier Function Based Quadratic
Programs for Safety Critical Systems", IEEE Transactions on Automatic Control 62(8), 2017 (eq. 8:
zeroing barrier; h from the braking distance in its adaptive cruise control); W. Xiao, C. Belta,
"High-Order Control Barrier Functions", IEEE Transactions on Automatic Control 67(7), 2022 (a
position constraint has relative degree two); J. Breeden, K. Garg, D. Panagou, "Control Barrier
Functions in Sampled-Data Systems", IEEE Control Systems Letters 6, 2022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.robots.limits import JointLimits
from diffusion_control.robots.obstacles import ObstacleArrays

Array = NDArray[np.float64]

RECOVERY_HZ = 2.0
"""Rate at which a margin that is already violated is to be restored [1/s]."""


@dataclass(frozen=True)
class Step:
    """The state that the step begins with.

    Attributes:
        position: Shape [n] [rad].
        velocity: Shape [n] [rad/s].
        acceleration: Shape [n] [rad/s^2].
        stopping: Velocity after the step if the stored, verified motion goes on, shape [n]; every
            hard bound admits it, so the hard bounds always have a common point.
        duration_s: T [s].
        limits: With the share of acceleration and jerk that stops are planned with, and positions
            where set-points must stay.
        class_k_gain: gamma [1/s].
        obstacles: The last good obstacles.
        late_s: Age of the obstacles and the command's delay: when the robot moves by what is
            decided now, they are so much further [s].
        deviation_m: How far a link was measured beside the commanded path [m].
    """

    position: Array
    velocity: Array
    acceleration: Array
    stopping: Array
    duration_s: float
    limits: JointLimits
    class_k_gain: float
    obstacles: ObstacleArrays
    late_s: float
    deviation_m: float


@dataclass(frozen=True)
class Bounds:
    """Bounds of the velocity of each joint, shape [n] each [rad/s]."""

    lower: Array
    upper: Array


@dataclass(frozen=True)
class Rows:
    """Linear inequalities `slope @ v >= floor - slack`.

    Attributes:
        slope: Shape [K, n].
        floor: Shape [K].
        softness: Index of the class of slack of each row, -1 for a hard row, shape [K].
        h: The barrier's value now, shape [K], in its own unit.
    """

    slope: Array
    floor: Array
    softness: NDArray[np.int64]
    h: Array

    def take(self, which: NDArray[np.int64]) -> Rows:
        """Return the rows of some indices."""
        return Rows(self.slope[which], self.floor[which], self.softness[which], self.h[which])


def rows(slope: Array, floor: Array, softness: int, h: Array) -> Rows:
    """Return rows of one class."""
    return Rows(slope, floor, np.full(len(floor), softness, dtype=np.int64), h)


@kernel(inline=True)
def approach_speed(
    room: float, now: float, duration_s: float, acceleration: float, settle_s: float, gain: float
) -> float:
    """Return min(phi(D), gamma D): the largest w after the step that still keeps the barrier.

    Args:
        room: D [m or rad]; below 0 the answer is a retreat, 2 D per second.
        now: w0.
        duration_s: T [s].
        acceleration: a.
        settle_s: a / j, the time in which the deceleration builds up [s].
        gain: gamma [1/s].
    """
    if room < 0.0:
        return RECOVERY_HZ * room
    ab = acceleration * (duration_s + settle_s / 2)
    speed = -ab + math.sqrt(ab * ab + 2 * acceleration * room)
    if speed < now:
        ab = acceleration * (duration_s / 2 + settle_s / 2)
        left = max(room - duration_s * now / 2, 0.0)
        speed = min(-ab + math.sqrt(ab * ab + 2 * acceleration * left), now)
    return min(speed, gain * room)
