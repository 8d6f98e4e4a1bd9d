# SPDX-License-Identifier: Apache-2.0
"""An arm's spheres as constants of a graph: where they are, and what pushing them does.

The arm has n revolute joints that turn about the local z, and K spheres. With the constant
placement (p_j, R_j) of joint j in its parent, frames are rows [3, 4] of homogeneous matrices,

    [A_j | o_j] = [A_{j-1} | o_{j-1}] (cos q_j C_j + sin q_j S_j + Z_j),   x_s = o_j + A_j c_s,

C, S and Z from R_j Rz(q_j) and p_j; a_j is the third column of A_j. The slope g_s = d cost / d x_s
is carried to the joints by the transposed Jacobian, d x_s / d q_j = a_j x (x_s - o_j) for the
spheres beyond joint j,

    d cost / d q_j = a_j . (sum x_s x g_s - o_j x sum g_s).

Spheres against each other (P pairs, d = |x_a - x_b| - r_a - r_b) and above the floor
(d = z - r - floor) cost max(0, margin - d)^2 each, as in `robots.collision`.

Arrays of torch are used by their methods alone: the file needs numpy only.

Original: J. Luh, M. Walker, R. Paul, "On-Line Computational Scheme for Mechanical Manipulators",
Journal of Dynamic Systems, Measurement, and Control 102(2), 1980 (forces from tip to base).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any  # of torch, but for the constants that `ArmBody.of` returns
FAR_M = 1e3
"""A distance that nothing reaches [m]; switches off what does not count."""
TINY_M2 = 1e-9  # a least value, see `costs.TINY`
"""Under a square root, as in `robots.lanes`: the slope is finite where centres meet [m^2]."""


@dataclass(frozen=True)
class Pose:
    """Joints and spheres in the base frame [m].

    Attributes:
        centre: Of each sphere, shape [..., 3, K].
        origin: A point on each joint's axis, shape [..., 3, n].
        axis: Its direction, shape [..., 3, n].
    """

    centre: Array
    origin: Array
    axis: Array


@dataclass(frozen=True)
class ArmBody:
    """Kinematics, spheres, pairs and floor of one arm.

    Attributes:
        turns: C_j | S_j | Z_j, shape [n, 4, 12].
        points: Homogeneous centres c_s, then origins, then axes, in the frame of the base and of
            each joint; zero in all frames but their own; shape [n + 1, 4, K + 2 n].
        reach: Radius, or -FAR_M for a sphere that obstacles do not count for, shape [K].
        between: 1 at the first and -1 at the second sphere of each pair, shape [K, P].
        both: Sum of the radii of each pair, shape [P].
        floor: Height below which a sphere's centre is in the floor, shape [K].
        beyond: 1 where a sphere is moved by a joint, shape [K, n].
        base: Its frame, shape [3, 4].
    """

    turns: Array
    points: Array
    reach: Array
    between: Array
    both: Array
    floor: Array
    beyond: Array
    base: Array

    @classmethod
    def of(cls, robot: Any) -> ArmBody:
        """Return the constants of an arm that `robots.load` returned, in float32 of numpy."""
        shape, placements = robot.collision, robot.chain.placements
        radius, pairs, index = shape.radius, shape.pairs, np.arange(len(shape.radius))
        first, second = (np.equal.outer(index, pairs[:, k]) * 1.0 for k in (0, 1))
        constants = (
            _turns(placements), _points(shape, len(placements)),
            np.where(index < shape.obstacle_first, -FAR_M, radius), first - second,
            radius[pairs].sum(1),
            np.where(index < shape.floor_first, -FAR_M, shape.floor_m + radius),
            np.greater.outer(shape.joint, np.arange(len(placements))), np.eye(3, 4))
        return cls(*(np.asarray(value, np.float32) for value in constants))

    def posed(self, position: Array) -> Pose:
        """Return where everything is at joint positions [..., n] [rad]."""
        sine, cosine = position.sin()[..., None, None, :], position.cos()[..., None, None, :]
        count, dof = self.beyond.shape
        frame, placed = self.base, self.base @ self.points[0]
        for j in range(dof):
            moved = frame @ self.turns[j]
            frame = cosine[..., j] * moved[..., :4] + (
                sine[..., j] * moved[..., 4:8] + moved[..., 8:])
            placed = placed + frame @ self.points[j + 1]
        return Pose(placed[..., :count], placed[..., count:-dof], placed[..., -dof:])

    def own(self, centre: Array, margin: Array) -> tuple[Array, Array]:
        """Return the cost of self and floor, and its slope.

        Args:
            centre: Of the spheres, shape [..., 3, K] [m].
            margin: Distance below which the cost begins [m].

        Returns:
            Cost [...] [m^2] and slope [..., 3, K] [m].
        """
        apart = centre @ self.between
        distance = (apart * apart).sum(-2).clip(min=TINY_M2).sqrt()
        pair = (margin + self.both - distance).clip(min=0.0)
        low = (margin + self.floor - centre[..., 2, :]).clip(min=0.0)
        slope = -2.0 * ((pair / distance)[..., None, :] * apart) @ self.between.T
        cost = (pair * pair).sum(-1) + (low * low).sum(-1)
        return cost, slope - 2.0 * low[..., None, :] * self.base[:, 2:3]

    def turned(self, pose: Pose, slope: Array) -> Array:
        """Return the slope over joints [..., n] of a slope over centres [..., 3, K]."""
        force, moment = slope @ self.beyond, pose.centre.cross(slope, dim=-2) @ self.beyond
        return (pose.axis * (moment - pose.origin.cross(force, dim=-2))).sum(-2)


def _turns(placements: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return C_j | S_j | Z_j of placements (p, R row-major) [n, 12]."""
    turns = np.zeros((len(placements), 4, 12))
    rotation = placements[:, 3:].reshape(-1, 3, 3)
    turns[:, :3, :2] = rotation[..., :2]
    turns[:, :3, 4], turns[:, :3, 5] = rotation[..., 1], -rotation[..., 0]
    turns[:, :3, 10], turns[:, :3, 11] = rotation[..., 2], placements[:, :3]
    turns[:, 3, 11] = 1.0
    return turns


def _points(shape: Any, dof: int) -> NDArray[np.float64]:
    """Return `ArmBody.points` of a collision model."""
    count, joints = len(shape.joint), np.arange(dof)
    points = np.zeros((dof + 1, 4, count + 2 * dof))
    points[shape.joint, :3, np.arange(count)] = shape.spheres[:, :3]
    points[shape.joint, 3, np.arange(count)] = 1.0
    points[joints + 1, 3, count + joints] = 1.0
    points[joints + 1, 2, count + dof + joints] = 1.0
    return points
