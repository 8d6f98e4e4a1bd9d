# SPDX-License-Identifier: Apache-2.0
"""The plan that is followed, continued from where the robot is now."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.problem import Start
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
BLEND_S = 0.4
NEAR_RAD = 0.3
SHORTEST_REST_S = 0.02
SLOW_DOWN_S = 2.0


def carry_over(previous: Trajectory, start: Start) -> Trajectory | None:
    """Return what is left of a plan, made to begin exactly at the start.

    The plan may have been followed more slowly in time: the phase t* is where it is nearest to
    the start (its own time, if it is near there). The difference at t* in position, velocity and
    acceleration is added as a quintic that fades within `BLEND_S`, so that the shape is kept
    and no fit can drift.

    Returns:
        A motion of at most as many knots as the plan, or None if there is nothing left of it or
        it is further than `NEAR_RAD` from the start.
    """
    phase = _phase(previous, start)
    left = previous.end_s - phase
    if left < SHORTEST_REST_S:
        return None
    at = previous.sample(phase)
    offset = np.stack([
        start.position - at.position, start.velocity - at.velocity,
        start.acceleration - at.acceleration])
    if np.abs(offset[0]).max() > NEAR_RAD:
        return None
    knots = previous.times_s + previous.stamp_s - phase
    times = np.concatenate([[0.0], knots[knots > min(0.02, 0.5 * left)]])
    position, velocity, acceleration = previous.sample_many(times + phase)
    velocity[-1] = 0.0
    add = _fading(offset, times, min(BLEND_S, left))
    return Trajectory(
        start.stamp_s, times, position + add[0], velocity + add[1], acceleration + add[2],
        previous.names, previous.frame_id)


def _phase(previous: Trajectory, start: Start) -> float:
    """Return the ROS time at which the plan is nearest to the start."""
    grid = np.concatenate([
        [start.stamp_s], np.linspace(start.stamp_s - SLOW_DOWN_S, start.stamp_s + 0.2, 111)])
    grid = np.clip(grid, previous.start_s, previous.end_s)
    position, velocity, _ = previous.sample_many(grid)
    distance = np.linalg.norm(position - start.position, axis=1) + 0.1 * np.linalg.norm(
        velocity - start.velocity, axis=1)
    if distance[0] < 0.02 or distance[0] <= distance.min() + 1e-3:
        return float(grid[0])
    return float(grid[int(np.argmin(distance))])


def _fading(offset: Array, times: Array, duration: float) -> Array:
    """Return the quintic from `offset` (q, v, a) at 0 to zero at `duration`, shape [3, T, n].

    With s = t / T and offsets (e, d T, c T^2) the basis is 1 - 10 s^3 + 15 s^4 - 6 s^5,
    s - 6 s^3 + 8 s^4 - 3 s^5, (s^2 - 3 s^3 + 3 s^4 - s^5) / 2.
    """
    coefficients = np.array([
        [1.0, 0.0, 0.0, -10.0, 15.0, -6.0],
        [0.0, 1.0, 0.0, -6.0, 8.0, -3.0],
        [0.0, 0.0, 0.5, -1.5, 1.5, -0.5]])
    scaled = offset * duration ** np.arange(3)[:, None]
    polynomial = np.polynomial.Polynomial
    s = np.minimum(times / duration, 1.0)
    result = np.zeros((3, len(times), offset.shape[1]))
    for row, amount in zip(coefficients, scaled, strict=True):
        for order in range(3):
            shape = polynomial(row).deriv(order)(s) if order else polynomial(row)(s)
            result[order] += (shape / duration**order)[:, None] * amount
    result[:, times >= duration] = 0.0
    return result
