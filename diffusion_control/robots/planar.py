# SPDX-License-Identifier: Apache-2.0
"""Poses x, y, yaw on a plane, of shape [..., 3]: one after the other, and back."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel

Array = NDArray[np.float64]


def compose(first: Array, second: Array) -> Array:
    """Return the pose that `second`, seen from `first`, has where `first` is seen from.

    x = x1 + R(yaw1) x2, yaw = yaw1 + yaw2 (not wrapped). Both broadcast.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    cosine, sine = np.cos(first[..., 2]), np.sin(first[..., 2])
    x, y = second[..., 0], second[..., 1]
    return np.stack([first[..., 0] + cosine * x - sine * y, first[..., 1] + sine * x + cosine * y,
                     first[..., 2] + second[..., 2]], axis=-1)


def inverse(pose: Array) -> Array:
    """Return the pose with compose(inverse(p), p) = 0."""
    pose = np.asarray(pose, dtype=float)
    cosine, sine = np.cos(pose[..., 2]), np.sin(pose[..., 2])
    x, y = pose[..., 0], pose[..., 1]
    return np.stack([-cosine * x - sine * y, sine * x - cosine * y, -pose[..., 2]], axis=-1)


def turned(pose: Array, vectors: Array) -> Array:
    """Return vectors [..., 2 or 3] of the frame at `pose` in its parent; a third part stays."""
    vectors = np.array(vectors, dtype=float)
    cosine, sine = np.cos(pose[..., 2]), np.sin(pose[..., 2])
    x, y = vectors[..., 0].copy(), vectors[..., 1].copy()
    vectors[..., 0], vectors[..., 1] = cosine * x - sine * y, sine * x + cosine * y
    return vectors


def turned_frames(pose: Array, rotations: Array) -> Array:
    """Return rotations [..., 3, 3] of the frame at `pose` in its parent; see `turned`."""
    columns = np.swapaxes(rotations, -1, -2)
    return np.swapaxes(turned(np.asarray(pose)[..., None, :], columns), -1, -2)


def yaw_of(quaternion: Array) -> float:
    """Return the yaw of a quaternion x, y, z, w [rad], in (-pi, pi]."""
    x, y, z, w = quaternion
    return float(np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)))


def quaternion_of(yaw_rad: float) -> Array:
    """Return the quaternion x, y, z, w of a yaw."""
    return np.array([0.0, 0.0, np.sin(yaw_rad / 2.0), np.cos(yaw_rad / 2.0)])


@kernel()
def wrapped(angle: float) -> float:
    """Return an angle in [-pi, pi)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def unwrapped(yaw_rad: float, near_rad: float) -> float:
    """Return the yaw plus the whole turns that bring it within half a turn of another one."""
    return float(near_rad + (yaw_rad - near_rad + np.pi) % (2.0 * np.pi) - np.pi)
