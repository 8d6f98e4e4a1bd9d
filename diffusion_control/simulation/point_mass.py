# SPDX-License-Identifier: Apache-2.0
"""The physics of the maze tasks: a ball among unit cubes, with MuJoCo's soft contacts (kernels).

Each contact i has a distance r_i between the surfaces less the margin, and a direction n_i. With
the acceleration a0 that there would be without contacts the forces f >= 0 minimise

    1/2 f' (A + R) f + f' (J a0 - a_ref),   A = J J' / m,   a_ref,i = -b n_i'v - k d(r_i) r_i,

R_ii = (1 - d) / d / m, where the impedance d rises from d0 to d1 over a width, and k, b follow
from a time constant and a damping ratio; all these are MuJoCo's defaults. Then the damping is
taken implicitly: v+ = v + h (F + J'f) / (m + h d_joint), x+ = x + h v+.

E. Todorov, "Convex and analytically-invertible dynamics with contacts and constraints", ICRA
2014; the chapter "Computation" of MuJoCo's documentation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diffusion_control.robots.jit import kernel
from diffusion_control.robots.point_mass import from_cell

MARGIN_M = 0.002
TIME_CONSTANT_S, DAMPING_RATIO = 0.02, 1.0
IMPEDANCE_LOW, IMPEDANCE_HIGH, IMPEDANCE_WIDTH_M = 0.9, 0.95, 0.001
MOST_CONTACTS, SWEEPS, CONVERGED = 9, 200, 1e-12


@kernel()
def advance(state: Any, control: Any, occupied: Any, frame: Any, constants: Any) -> float:
    """Advance x, y, vx, vy [4] by one step in place; return the least gap to a cube [m].

    Speeds are clipped before the step. The gap is the one at the beginning of the step; it is
    negative where ball and cube overlap, and `MARGIN_M` where nothing is near.

    Args:
        state: Changed, shape [4].
        control: Clipped to [-1, 1], shape [2].
        occupied: Cells of `OccupancyMap`, shape [H, W].
        frame: Of the map, see `robots.point_mass.frame_of`.
        constants: See `PointMass.constants`.
    """
    mass, damping, most, fastest, period = (
        constants[1], constants[2], constants[3], constants[4], constants[5])
    push = np.empty(2)
    for i in range(2):
        state[2 + i] = min(max(state[2 + i], -fastest), fastest)
        push[i] = most * min(max(control[i], -1.0), 1.0) - damping * state[2 + i]
    gaps, normals = np.empty(MOST_CONTACTS), np.empty((MOST_CONTACTS, 2))
    count = touching(state, occupied, frame, constants[0], gaps, normals)
    least = MARGIN_M
    if count > 0:
        force = contact_forces(state, push, gaps[:count], normals[:count], mass)
        for k in range(count):
            push[0] += normals[k, 0] * force[k]
            push[1] += normals[k, 1] * force[k]
            least = min(least, gaps[k])
    for i in range(2):
        state[2 + i] += period * push[i] / (mass + period * damping)
        state[i] += period * state[2 + i]
    return float(least)


@kernel()
def touching(
    state: Any, occupied: Any, frame: Any, radius: float, gaps: Any, normals: Any
) -> int:
    """Write gap and direction of each cube that is nearer than the margin; return how many."""
    column = int(np.floor((state[0] - frame[0]) / frame[2]))
    row = int(np.floor((state[1] - frame[1]) / frame[2]))
    count = 0
    for j in range(max(row - 1, 0), min(row + 2, occupied.shape[0])):
        for i in range(max(column - 1, 0), min(column + 2, occupied.shape[1])):
            if occupied[j, i]:
                far, across, along = from_cell(state[0], state[1], i, j, frame)
                if far - radius < MARGIN_M:
                    gaps[count] = far - radius
                    normals[count, 0], normals[count, 1] = across, along
                    count += 1
    return count


@kernel()
def contact_forces(state: Any, push: Any, gaps: Any, normals: Any, mass: float) -> Any:
    """Return the contact forces f >= 0 [C] [N]: projected Gauss-Seidel until it stands still."""
    count = len(gaps)
    matrix, right, force = np.empty((count, count)), np.empty(count), np.zeros(count)
    stiffness = 1.0 / (IMPEDANCE_HIGH * TIME_CONSTANT_S * DAMPING_RATIO)**2
    damping = 2.0 / (IMPEDANCE_HIGH * TIME_CONSTANT_S)
    for i in range(count):
        depth = gaps[i] - MARGIN_M
        share = impedance(depth)
        speed = normals[i, 0] * state[2] + normals[i, 1] * state[3]
        free = (normals[i, 0] * push[0] + normals[i, 1] * push[1]) / mass
        right[i] = free + damping * speed + stiffness * share * depth
        for j in range(count):
            matrix[i, j] = (normals[i, 0] * normals[j, 0] + normals[i, 1] * normals[j, 1]) / mass
        matrix[i, i] += (1.0 - share) / share / mass
    for _ in range(SWEEPS):
        change = 0.0
        for i in range(count):
            rest = right[i]
            for j in range(count):
                rest += matrix[i, j] * force[j]
            new = max(force[i] - rest / matrix[i, i], 0.0)
            change = max(change, abs(new - force[i]))
            force[i] = new
        if change < CONVERGED:
            break
    return force


@kernel()
def impedance(depth: float) -> float:
    """Return d(r): quadratic from `IMPEDANCE_LOW` to `IMPEDANCE_HIGH` over the width."""
    share = min(abs(depth) / IMPEDANCE_WIDTH_M, 1.0)
    rise = 2.0 * share**2 if share < 0.5 else 1.0 - 2.0 * (1.0 - share)**2
    return float(IMPEDANCE_LOW + rise * (IMPEDANCE_HIGH - IMPEDANCE_LOW))
