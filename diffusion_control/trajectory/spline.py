# SPDX-License-Identifier: Apache-2.0
"""Clamped uniform cubic B-splines: motions as control points.

With C control points P and s in [0, 1] a motion of duration T is q(t) = sum_c B_c(t / T) P_c.
It stays inside the convex hull of its control points (de Boor, "A Practical Guide to Splines",
1978), so clipping them to the joint limits keeps every position inside. It is one cubic between
two of its C - 2 distinct knots, so the cubic Hermite interpolant at those knots *is* the spline.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
CONTROL_POINTS = 14
FIXED = 3
SUBDIVISION = 3


@dataclass(frozen=True)
class Basis:
    """Matrices that map control points to S samples at equal distance in s, each [S, C].

    Attributes:
        position: B(s).
        velocity: dB/ds; divide by T.
        acceleration: d2B/ds2; divide by T^2.
        phase: The samples s, shape [S].
    """

    position: Array
    velocity: Array
    acceleration: Array
    phase: Array


@lru_cache(maxsize=64)
def basis(samples: int, control_points: int = CONTROL_POINTS) -> Basis:
    """Return the basis matrices for `samples` points from s = 0 to s = 1."""
    from scipy.interpolate import BSpline  # half a second to import, and most nodes plan nothing

    knots = np.concatenate([
        np.zeros(3), np.linspace(0.0, 1.0, control_points - 2), np.ones(3)])
    phase = np.linspace(0.0, 1.0, samples)
    spline = BSpline(knots, np.eye(control_points), 3)
    matrices = [spline(phase), spline.derivative(1)(phase), spline.derivative(2)(phase)]
    for matrix in (*matrices, phase):
        matrix.setflags(write=False)
    return Basis(matrices[0], matrices[1], matrices[2], phase)


@dataclass(frozen=True)
class Smoothness:
    """Quadratic measures of smoothness over control points.

    Attributes:
        metric: Gram matrix M of velocity plus a share of acceleration, shape [C, C], scaled so
            that its free block has mean diagonal 1; the cost of a motion is trace(P^T M P) / 2.
        inverse: Inverse of its free block, largest entry of the diagonal 1, shape [F, F]: the
            preconditioner of gradient steps (covariant descent; Zucker et al., CHOMP, 2013).
        noise: Cholesky factor L of the covariance of smooth noise, shape [F, F]; the covariance
            is the inverse Gram matrix of acceleration, with largest variance 1 (Kalakrishnan et
            al., STOMP, 2011).
        line: Weights of the goal in the smoothest rest-to-rest line, shape [F].
    """

    metric: Array
    inverse: Array
    noise: Array
    line: Array


@lru_cache(maxsize=4)
def smoothness(control_points: int = CONTROL_POINTS) -> Smoothness:
    """Return the smoothness matrices for a number of control points."""
    at = basis(241, control_points)
    free = slice(FIXED, control_points - FIXED)
    gram_velocity = at.velocity.T @ at.velocity / len(at.phase)
    gram_acceleration = at.acceleration.T @ at.acceleration / len(at.phase)
    metric = gram_velocity + 0.002 * gram_acceleration
    block = metric[free, free]
    inverse = np.linalg.inv(block)
    covariance = np.linalg.inv(gram_acceleration[free, free])
    line = np.linalg.solve(block, -metric[free, control_points - FIXED:].sum(1))
    return Smoothness(
        metric / np.trace(block) * len(block), inverse / np.diag(inverse).max(),
        np.linalg.cholesky(covariance / np.diag(covariance).max()), line)


def head(
    position: Array, velocity: Array, acceleration: Array, duration_s: float | Array,
    control_points: int = CONTROL_POINTS,
) -> Array:
    """Return the first three control points that make the start exact.

    With knot spacing h = T / (C - 3): P0 = q, P1 = P0 + v h / 3,
    P2 = P1 + (2 h / 3) (v + a h / 2).

    Args:
        position: Shape [n].
        velocity: Shape [n].
        acceleration: Shape [n].
        duration_s: Duration T [s], a scalar or shape [N].
        control_points: C.

    Returns:
        Shape [3, n], or [N, 3, n].
    """
    h = np.asarray(duration_s, dtype=float)[..., None] / (control_points - 3)
    first = position + velocity * h / 3
    second = first + 2 * h / 3 * (velocity + acceleration * h / 2)
    return np.stack([np.broadcast_to(position, first.shape), first, second], axis=-2)


def fit(samples: Array, first: Array, last: Array, control_points: int = CONTROL_POINTS) -> Array:
    """Return the free control points that fit samples at equal phase, least squares.

    Args:
        samples: Positions at equal distance in s, shape [S, n].
        first: The fixed first three control points, shape [3, n].
        last: The fixed last three control points, shape [3, n].
        control_points: C.

    Returns:
        Shape [C - 6, n].
    """
    matrix = basis(len(samples), control_points).position
    free = slice(FIXED, control_points - FIXED)
    rest = samples - matrix[:, :FIXED] @ first - matrix[:, -FIXED:] @ last
    inner = matrix[:, free]
    gram = inner.T @ inner + 1e-8 * np.eye(inner.shape[1])
    return np.asarray(np.linalg.solve(gram, inner.T @ rest))


def fit_at_rest(samples: Array) -> Array:
    """Return the free points [C - 6, n] that fit samples [S, n] of a motion from rest to rest."""
    ends = [np.repeat(samples[k][None], FIXED, axis=0) for k in (0, -1)]
    return fit(samples, ends[0], ends[1])


def straight(start: Array, goal: Array) -> Array:
    """Return the free points of the smoothest lines from starts to goals.

    Args:
        start: Shape [n] or [N, n].
        goal: Shape [n] or [N, n].

    Returns:
        Shape [F, n] or [N, F, n].
    """
    begin, end = np.asarray(start)[..., None, :], np.asarray(goal)[..., None, :]
    points: Array = begin + (end - begin) * smoothness().line[:, None]
    return points


def to_trajectory(
    points: Array, duration_s: float, stamp_s: float, names: tuple[str, ...], frame_id: str = ''
) -> Trajectory:
    """Return the spline as a trajectory whose Hermite interpolant equals it.

    Args:
        points: Control points, shape [C, n].
        duration_s: Duration T > 0 [s].
        stamp_s: ROS time of the start [s].
        names: Joint names.
        frame_id: Frame of the positions.

    Returns:
        SUBDIVISION * (C - 3) + 1 knots (34 for C = 14).
    """
    at = basis(SUBDIVISION * (len(points) - 3) + 1, len(points))
    velocity = at.velocity @ points / duration_s
    if np.array_equal(points[-1], points[-2]):
        velocity[-1] = 0.0
    return Trajectory(
        stamp_s, at.phase * duration_s, at.position @ points, velocity,
        at.acceleration @ points / duration_s**2, names, frame_id)
