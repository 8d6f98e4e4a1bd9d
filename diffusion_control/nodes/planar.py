# SPDX-License-Identifier: Apache-2.0
"""Poses in the plane, x, y, yaw [m, m, rad], and the quaternions that carry them on the wire."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TURN = 2.0 * math.pi


def yaw_of(x: float, y: float, z: float, w: float) -> float:
    """Return the yaw of a quaternion [rad], in -pi .. pi."""
    return math.atan2(2.0 * (w * z + x * y), w * w + x * x - y * y - z * z)


def quaternion_of(yaw: float) -> tuple[float, float, float, float]:
    """Return the quaternion x, y, z, w of a yaw [rad]."""
    return 0.0, 0.0, math.sin(0.5 * yaw), math.cos(0.5 * yaw)


def nearest_turn(yaw: float, reference: float) -> float:
    """Return the yaw, whole turns added, that is nearest to a reference [rad]."""
    return yaw + TURN * round((reference - yaw) / TURN)


def compose(outer: Sequence[float] | Array, inner: Sequence[float] | Array) -> Array:
    """Return the pose `inner`, given in the frame that has the pose `outer`."""
    cosine, sine = math.cos(outer[2]), math.sin(outer[2])
    return np.array([
        outer[0] + cosine * inner[0] - sine * inner[1],
        outer[1] + sine * inner[0] + cosine * inner[1], outer[2] + inner[2]])


def inverse(pose: Sequence[float] | Array) -> Array:
    """Return the pose of the outer frame in the frame that has this pose."""
    cosine, sine = math.cos(pose[2]), math.sin(pose[2])
    return np.array([
        -cosine * pose[0] - sine * pose[1], sine * pose[0] - cosine * pose[1], -pose[2]])


def rotate(yaw: float, vector: Sequence[float] | Array) -> Array:
    """Return a vector [2] turned by yaw."""
    cosine, sine = math.cos(yaw), math.sin(yaw)
    return np.array([cosine * vector[0] - sine * vector[1], sine * vector[0] + cosine * vector[1]])


def unwrapped(yaw: Array, rate: Array, times_s: Array) -> Array:
    """Return yaws [T] known up to whole turns as one continuous motion.

    The turn between two knots is taken nearest to h (w_0 + w_1) / 2, what the rates say, so that
    knots may be more than half a turn apart.

    Args:
        yaw: Up to whole turns [rad], shape [T].
        rate: Yaw rates [rad/s], shape [T].
        times_s: Times of the knots [s], shape [T].
    """
    with np.errstate(invalid='ignore', over='ignore'):
        said = 0.5 * np.diff(times_s) * (rate[:-1] + rate[1:])
        step = np.diff(yaw)
        step += TURN * np.round((said - step) / TURN)
        return np.concatenate((yaw[:1], yaw[0] + np.cumsum(step)))
