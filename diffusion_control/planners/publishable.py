# SPDX-License-Identifier: Apache-2.0
"""Motions of at most 40 knots from motions of many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.trajectory.trajectory import Trajectory, hermite

Array = NDArray[np.float64]
MAX_KNOTS = 40
DEVIATION_RAD = 1e-3
FIRST_KNOTS = 6


def publishable(
    motion: Trajectory, *, max_knots: int = MAX_KNOTS, deviation_rad: float = DEVIATION_RAD
) -> Trajectory:
    """Return a motion of few knots near a motion of many, ending with velocity 0.

    Knots are added, each where the Hermite interpolant is furthest from the motion, until
    max |q_few(t) - q(t)| < `deviation_rad` or there are `max_knots`. The result is what has to
    be checked for collisions: with too few knots it deviates by more.

    Args:
        motion: Shape [T, n]; its own knots are the candidates.
        max_knots: At least 2.
        deviation_rad: Largest wanted deviation at the knots of `motion` [rad].
    """
    times = motion.times_s
    if len(times) <= max_knots:
        return _ending_at_rest(motion, np.arange(len(times)))
    chosen = np.unique(np.linspace(0, len(times) - 1, FIRST_KNOTS).astype(np.int64))
    while len(chosen) < max_knots:
        position, _, _ = hermite(
            times[chosen], motion.position[chosen], motion.velocity[chosen], times)
        error = np.abs(position - motion.position).max(1)
        error[chosen] = 0.0
        worst = int(np.argmax(error))
        if error[worst] < deviation_rad:
            break
        chosen = np.sort(np.append(chosen, _middle(chosen, worst)))
    return _ending_at_rest(motion, chosen)


def _middle(chosen: NDArray[np.int64], worst: int) -> int:
    """Return an index in the gap of `worst`, moved from its edges towards its middle."""
    right = int(np.searchsorted(chosen, worst))
    low, high = int(chosen[right - 1]), int(chosen[right])
    inset = max((high - low) // 4, 1)
    return int(np.clip(worst, low + inset, high - inset))


def _ending_at_rest(motion: Trajectory, index: NDArray[np.int64]) -> Trajectory:
    """Return the chosen knots, the last one with velocity 0."""
    velocity = motion.velocity[index].copy()
    velocity[-1] = 0.0
    return Trajectory(
        motion.stamp_s, motion.times_s[index], motion.position[index], velocity,
        motion.acceleration[index], motion.names, motion.frame_id)
