# SPDX-License-Identifier: Apache-2.0
"""Collision cost of an arm that follows a code, with a gradient by hand: guidance in the graph.

A code z [B, H, n] stands for positions at S instants of a motion,

    q = offset + matrix (z * scale),

and costs what `robots.collision.CollisionModel.cost` says of them,

    cost(z) = SCALE / S sum_s ( sum max(0, margin - d)^2 over spheres and obstacles
                              + sum max(0, own - d)^2 over pairs of spheres, and above the floor ),

so that a weight of 1 is the collision term of `planners.spline_problem` with guidance 1. Its
slope is scale * matrix' (d cost / d q). For a spline with basis M over the free control points
line + mean + (L z) * deviation: matrix = M L, scale = deviation, offset = M (line + mean) plus
the part of the fixed control points.

Original: M. Zucker et al., "CHOMP: Covariant Hamiltonian Optimization for Motion Planning",
International Journal of Robotics Research 32(9-10), 2013 (section 3: the Jacobian transposed
carries the slope at the bodies to the joints).
"""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.diffusion.arm_cost_body import ArmBody, Array, Pose
from diffusion_control.diffusion.arm_cost_obstacles import ArmObstacles

SCALE = 960.0
"""20 * 48, weight and factor of the collision term of `planners.spline_problem`."""


@dataclass(frozen=True)
class ArmSpheres:
    """Squared hinges of the distances of an arm to obstacles, to itself and to the floor.

    Attributes:
        body: The arm.
        obstacles: At the same instants as the positions.
        offset: Positions of the code 0, shape [S, n] [rad], or [B, S, n].
        matrix: From knots to instants, shape [S, H].
        scale: Of each joint, shape [n] [rad].
        margins: Distance below which the cost begins, to obstacles and to self, shape [2] [m].
    """

    body: ArmBody
    obstacles: ArmObstacles
    offset: Array
    matrix: Array
    scale: Array
    margins: Array

    def _measured(self, x: Array) -> tuple[Array, Array, Pose]:
        """Return cost [B, S] and slope over centres [B, S, 3, K] at each instant, and the pose."""
        pose = self.body.posed(self.offset + self.matrix @ (x * self.scale))
        near, push = self.obstacles.cost(pose.centre, self.body.reach, self.margins[0])
        own, part = self.body.own(pose.centre, self.margins[1])
        return near + own, push + part, pose

    def value(self, x: Array) -> Array:
        """Return the mean over the instants, times `SCALE`."""
        cost, _, _ = self._measured(x)
        return SCALE * cost.mean(-1)

    def gradient(self, x: Array) -> Array:
        """Return the transposed Jacobian applied to the slope at the spheres."""
        _, slope, pose = self._measured(x)
        turned = self.body.turned(pose, slope)
        return SCALE / len(self.matrix) * (self.matrix.T @ turned) * self.scale
