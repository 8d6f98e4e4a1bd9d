# SPDX-License-Identifier: Apache-2.0
"""Motions of a base along its own axes: twists that change at constant rates, and stops.

A stop scales the twist (forward, sideways, yaw rate) linearly to zero in the time that its slowest
part needs, so the body stays on the arc that it is on. Poses are integrated by the midpoint rule
on a grid of 5 ms; knots are at most 40 ms apart, so that the cubics stay on the arc.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base_config import BaseDrive
from diffusion_control.safety.committed import Piece

Array = NDArray[np.float64]
FINE_S, KNOT_S, LEAST_S = 0.005, 0.04, 0.02


def body_twist(yaw: float, velocity: Array) -> Array:
    """Return forward, sideways and yaw rate of a velocity in the world, shape [3]."""
    c, s = math.cos(yaw), math.sin(yaw)
    return np.array([
        c * velocity[0] + s * velocity[1], c * velocity[1] - s * velocity[0], velocity[2]])


def stop_time_s(twist: Array, drive: BaseDrive, share: float) -> float:
    """Return the time to rest with a share of braking and yaw acceleration [s]."""
    linear = math.hypot(twist[0], twist[1]) / (share * drive.braking_max_m_s2)
    turn = float(abs(twist[2])) / (share * drive.yaw_acceleration_max_rad_s2)
    return max(linear, turn, LEAST_S)


def integrate(pose: Array, times_s: Array, twists: Array) -> Piece:
    """Return the motion from a pose with twists [K, 3] that are linear between times [K]."""
    knots = [times_s[0]]
    for begin, end in zip(times_s[:-1], times_s[1:], strict=True):
        count = max(1, math.ceil((end - begin) / KNOT_S - 1e-9))
        knots.extend(np.linspace(begin, end, count + 1)[1:].tolist())
    at = np.array(knots)
    parts = max(1, math.ceil(float(np.diff(at).max()) / FINE_S)) if len(at) > 1 else 1
    fine = np.concatenate([np.linspace(a, b, parts, endpoint=False)
                           for a, b in zip(at[:-1], at[1:], strict=True)] + [at[-1:]])
    rows = np.stack([np.interp(fine, times_s, twists[:, k]) for k in range(3)], axis=1)
    step = np.diff(fine)[:, None]
    middle = 0.5 * (rows[:-1] + rows[1:])
    yaw = pose[2] + np.concatenate([[0.0], np.cumsum(middle[:, 2] * step[:, 0])])
    centre = 0.5 * (yaw[:-1] + yaw[1:])
    c, s = np.cos(centre), np.sin(centre)
    x = pose[0] + np.concatenate([
        [0.0], np.cumsum((c * middle[:, 0] - s * middle[:, 1]) * step[:, 0])])
    y = pose[1] + np.concatenate([
        [0.0], np.cumsum((s * middle[:, 0] + c * middle[:, 1]) * step[:, 0])])
    c, s = np.cos(yaw), np.sin(yaw)
    velocity = np.stack(
        [c * rows[:, 0] - s * rows[:, 1], s * rows[:, 0] + c * rows[:, 1], rows[:, 2]], axis=1)
    chosen = slice(None, None, parts)
    position, velocity = np.stack([x, y, yaw], axis=1)[chosen], velocity[chosen]
    return Piece(at, position, velocity, np.zeros_like(position))


def stop(pose: Array, twist: Array, drive: BaseDrive, share: float, start_s: float = 0.0) -> Piece:
    """Return the stop from a pose and a twist, beginning at `start_s`."""
    end = start_s + stop_time_s(twist, drive, share)
    return integrate(pose, np.array([start_s, end]), np.stack([twist, np.zeros(3)]))


def silence(pose: Array, twist: Array, drive: BaseDrive, held_s: float) -> Piece:
    """Return what the receiver makes of a twist without a further one: held, then its braking.

    Speed and yaw rate fall each at its own limit.
    """
    linear = math.hypot(twist[0], twist[1]) / drive.braking_max_m_s2
    turn = abs(twist[2]) / drive.yaw_acceleration_max_rad_s2
    first, last = max(min(linear, turn), 1e-3), max(linear, turn, LEAST_S)
    between = twist * np.array([
        max(0.0, 1.0 - first / max(linear, 1e-9)), max(0.0, 1.0 - first / max(linear, 1e-9)),
        max(0.0, 1.0 - first / max(turn, 1e-9))])
    held = max(held_s, LEAST_S)
    times = np.array([0.0, held, held + first, held + max(last, first + 1e-3)])
    return integrate(pose, times, np.stack([twist, twist, between, np.zeros(3)]))
