# SPDX-License-Identifier: Apache-2.0
"""Collision cost and analytic gradient of many configurations at once, in float32 (numba).

The enabler of sampling planners: about a microsecond per configuration. Configurations run in
lanes (`lanes`); the gradient is the chain rule from sphere centres to joints,
    d cost / d q_j = 2 a_j . (M_j - o_j x F_j),
with F_j, M_j the sum of half gradients g_s and of moments x_s x g_s over the spheres beyond
joint j, and (o_j, a_j) a point on its axis and the axis. The sums run from the tip to the base,
as the backward pass of the recursive Newton-Euler algorithm (Luh, Walker, Paul 1980).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots import lane_slopes, lanes
from diffusion_control.robots.jit import kernel
from diffusion_control.robots.lanes import LANES, ROWS
from diffusion_control.robots.obstacles import ObstacleArrays

Array32 = NDArray[np.float32]
NOTHING = np.float32(9.0)


@dataclass(frozen=True)
class BatchModel:
    """The constants of a robot in float32, see `collision.CollisionModel`."""

    placements: Array32
    first: NDArray[np.int64]
    spheres: Array32
    pairs: NDArray[np.int64]
    floor_m: float
    floor_first: int
    obstacle_first: int


@kernel(fast=True)
def kinematics(
    sine: Any, cosine: Any, placements: Any, first: Any, spheres: Any,
    work: Any, origin: Any, axis: Any,
) -> None:
    """Write sphere centres to the workspace, joint origins and axes to [n, 3, LANES]."""
    rotation, at = np.zeros((9, LANES), np.float32), np.zeros((3, LANES), np.float32)
    rotation[0], rotation[4], rotation[8] = np.float32(1), np.float32(1), np.float32(1)
    for j in range(sine.shape[0]):
        p = placements[j]
        for r in range(3):
            for k in range(LANES):
                a, b, c = rotation[3 * r, k], rotation[3 * r + 1, k], rotation[3 * r + 2, k]
                at[r, k] += a * p[0] + b * p[1] + c * p[2]
                u = a * p[3] + b * p[6] + c * p[9]
                v = a * p[4] + b * p[7] + c * p[10]
                rotation[3 * r, k] = cosine[j, k] * u + sine[j, k] * v
                rotation[3 * r + 1, k] = cosine[j, k] * v - sine[j, k] * u
                rotation[3 * r + 2, k] = a * p[5] + b * p[8] + c * p[11]
            for k in range(LANES):
                origin[j, r, k] = at[r, k]
                axis[j, r, k] = rotation[3 * r + 2, k]
        for s in range(first[j], first[j + 1]):
            a, b, c = spheres[s, 0], spheres[s, 1], spheres[s, 2]
            for r in range(3):
                for k in range(LANES):
                    work[s, r * LANES + k] = (
                        at[r, k] + rotation[3 * r, k] * a + rotation[3 * r + 1, k] * b
                        + rotation[3 * r + 2, k] * c)


@kernel(fast=True)
def against_obstacle(
    work: Any, time: Any, spheres: Any, row: Any, margin: Any, first: int, slope: bool
) -> None:
    """Add the hinges of the spheres from `first` on against one obstacle."""
    for s in range(first, spheres.shape[0]):
        at, radius = work[s], spheres[s, 3]
        if row[0] == 1:
            if lanes.sphere_hinge(at, time, row, radius, margin) > lanes.ZERO and slope:
                lane_slopes.sphere_slope(at, time, row)
        elif row[0] == 2:
            if lanes.box_hinge(at, time, row, radius, margin) > lanes.ZERO and slope:
                lane_slopes.box_slope(at, time, row)
        elif lanes.cylinder_hinge(at, time, row, radius, margin) > lanes.ZERO and slope:
            lane_slopes.cylinder_slope(at, time, row)


@kernel(fast=True)
def against_own(
    work: Any, spheres: Any, pairs: Any, margin: Any, floor_m: Any, first: int, slope: bool
) -> None:
    """Add the hinges of the spheres from `first` on above the floor, and of all pairs."""
    for s in range(first, spheres.shape[0]):
        at = work[s]
        if lanes.floor_hinge(at, floor_m + spheres[s, 3], margin) > lanes.ZERO and slope:
            lane_slopes.floor_slope(at)
    for p in range(pairs.shape[0]):
        i, j = pairs[p, 0], pairs[p, 1]
        at, other, both = work[i], work[j], spheres[i, 3] + spheres[j, 3]
        if lanes.pair_hinge(at, other, both, margin) > lanes.ZERO and slope:
            lane_slopes.pair_slope(at, other)


@kernel(fast=True)
def collect(work: Any, count: int, cost: Any, near: Any) -> None:
    """Add the costs of all spheres and take the least of their distances."""
    for s in range(count):
        at = work[s]
        for k in range(LANES):
            cost[k] += at[lanes.COST + k]
            d = at[lanes.NEAR + k]
            near[k] = d if d < near[k] else near[k]


@kernel(fast=True)
def chain_rule(work: Any, first: Any, origin: Any, axis: Any, out: Any) -> None:
    """Write the gradient of LANES configurations, shape [n, LANES]."""
    f, m = np.zeros((3, LANES), np.float32), np.zeros((3, LANES), np.float32)
    for j in range(first.shape[0] - 2, -1, -1):
        for s in range(first[j], first[j + 1]):
            at = work[s]
            for k in range(LANES):
                x, y, z = at[lanes.X + k], at[lanes.Y + k], at[lanes.Z + k]
                a, b, c = at[lanes.GX + k], at[lanes.GY + k], at[lanes.GZ + k]
                f[0, k] += a
                f[1, k] += b
                f[2, k] += c
                m[0, k] += y * c - z * b
                m[1, k] += z * a - x * c
                m[2, k] += x * b - y * a
        for k in range(LANES):
            u, v, w = origin[j, 0, k], origin[j, 1, k], origin[j, 2, k]
            a, b, c = f[0, k], f[1, k], f[2, k]
            out[j, k] = np.float32(2) * (
                axis[j, 0, k] * (m[0, k] - (v * c - w * b))
                + axis[j, 1, k] * (m[1, k] - (w * a - u * c))
                + axis[j, 2, k] * (m[2, k] - (u * b - v * a)))


@kernel(fast=True)
def batch(
    sine: Any, cosine: Any, times: Any, placements: Any, first: Any, spheres: Any, pairs: Any,
    obstacles: Any, settings: Any, floor_first: int, obstacle_first: int,
    cost: Any, near: Any, gradient: Any,
) -> None:
    """Add up cost and clearance of B * LANES configurations; the gradient unless it is None.

    Args:
        sine: Of the joint positions, shape [B, n, LANES]; `cosine` too.
        cosine: See there.
        times: Shape [B, LANES].
        placements: Shape [n, 12].
        first: Shape [n + 1].
        spheres: Shape [S, 4].
        pairs: Shape [P, 2].
        obstacles: Rows of `pack`, shape [k, 19].
        settings: Margin, own margin, floor height, shape [3].
        floor_first: First sphere that the floor counts for.
        obstacle_first: First sphere that obstacles count for.
        cost: Shape [B, LANES], zeros.
        near: Shape [B, LANES], NOTHING.
        gradient: Shape [B, n, LANES] or None.
    """
    count, dof = spheres.shape[0], sine.shape[1]
    work = np.zeros((count, ROWS * LANES), np.float32)
    origin, axis = np.empty((dof, 3, LANES), np.float32), np.empty((dof, 3, LANES), np.float32)
    for s in range(first[0]):
        for r in range(3):
            work[s, r * LANES:(r + 1) * LANES] = spheres[s, r]
    for b in range(sine.shape[0]):
        work[:, lanes.GX:lanes.DX] = lanes.ZERO
        work[:, lanes.COST:lanes.NEAR] = lanes.ZERO
        work[:, lanes.NEAR:] = NOTHING
        kinematics(sine[b], cosine[b], placements, first, spheres, work, origin, axis)
        for k in range(obstacles.shape[0]):
            against_obstacle(work, times[b], spheres, obstacles[k], settings[0],
                             obstacle_first, gradient is not None)
        against_own(work, spheres, pairs, settings[1], settings[2],
                    floor_first, gradient is not None)
        if gradient is not None:
            chain_rule(work, first, origin, axis, gradient[b])
        collect(work, count, cost[b], near[b])


def pack(obstacles: ObstacleArrays) -> Array32:
    """Return obstacles as rows: code, centre, velocity, half sizes, rotation; shape [k, 19]."""
    count = len(obstacles.code)
    return np.hstack([
        obstacles.code[:, None], obstacles.centre_m, obstacles.velocity_m_s, obstacles.half_m,
        obstacles.rotation.reshape(count, 9)]).astype(np.float32)


def evaluate(
    positions: NDArray[Any], times_s: NDArray[Any], obstacles: Array32, model: BatchModel,
    margin_m: float, own_margin_m: float, gradient: bool,
) -> tuple[Array32, Array32, Array32 | None]:
    """Return cost [L], clearance [L] and gradient [L, n] or None; see `CollisionModel.cost`."""
    count, dof = positions.shape
    blocks = -(-count // LANES)
    angle = np.zeros((blocks * LANES, dof), np.float32)
    time = np.zeros(blocks * LANES, np.float32)
    with np.errstate(over='ignore'):
        angle[:count], time[:count] = positions, times_s
    bad = ~(np.isfinite(angle).all(axis=1) & np.isfinite(time))
    angle[bad] = 0.0
    time = time.reshape(blocks, LANES)
    angle = np.ascontiguousarray(angle.reshape(blocks, LANES, dof).transpose(0, 2, 1))
    cost, near = np.zeros_like(time), np.full_like(time, NOTHING)
    slope = np.empty_like(angle) if gradient else None
    batch(
        np.sin(angle), np.cos(angle), time, model.placements, model.first, model.spheres,
        model.pairs, obstacles, np.array([margin_m, own_margin_m, model.floor_m], np.float32),
        model.floor_first, model.obstacle_first, cost, near, slope)
    costs, nearest, bad = cost.ravel()[:count], near.ravel()[:count], bad[:count]
    costs[bad], nearest[bad] = np.inf, -NOTHING
    if slope is None:
        return costs, nearest, None
    slopes = slope.transpose(0, 2, 1).reshape(-1, dof)[:count]
    slopes[bad] = 0.0
    return costs, nearest, slopes
