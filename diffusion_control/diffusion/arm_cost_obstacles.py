# SPDX-License-Identifier: Apache-2.0
"""Spheres of an arm against spheres, boxes and cylinders: one formula for the three shapes.

With p = R'(x - c) the point in the frame of the obstacle, half sizes h and

                u                         v             w
    sphere      |p| - h_x                 none          none
    box         |p_x| - h_x               |p_y| - h_y   |p_z| - h_z
    cylinder    |(p_x, p_y)| - h_x        none          |p_z| - h_z

the distance is |max((u, v, w), 0)| + min(max(u, v, w), 0): outside to the nearest point, inside
to the nearest face. An exact zero in p is taken to be a little below, so that every slope exists.
The slope is continuous through a face; that of `robots.lane_slopes`, else the same, is too short
within a millimetre outside of the faces of boxes and cylinders.

Original: I. Quilez, "Distance functions", https://iquilezles.org/articles/distfunctions.
"""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.diffusion.arm_cost_body import FAR_M, Array

TINY_M = 1e-9


@dataclass(frozen=True)
class ArmObstacles:
    """Obstacles at S instants, in O places.

    Attributes:
        code: 1 sphere, 2 box, 3 cylinder along its z, 0 an empty place, shape [O].
        centre: Shape [S, O, 3] [m].
        rotation: Base from local, shape [O, 3, 3].
        half: sphere [r, any, any], box half edges, cylinder [r, any, half height], [O, 3] [m].
    """

    code: Array
    centre: Array
    rotation: Array
    half: Array

    def cost(self, centre: Array, reach: Array, margin: Array) -> tuple[Array, Array]:
        """Return sum max(0, margin - d)^2 over spheres and obstacles, and its slope.

        Args:
            centre: Of the spheres, shape [B, S, 3, K] [m].
            reach: Their radius, shape [K] [m].
            margin: Distance below which the cost begins [m].

        Returns:
            Cost [B, S] [m^2] and slope [B, S, 3, K] [m].
        """
        distance, normal = self._distance(self._local(centre.transpose(-1, -2)))
        margins = margin.where(self.code > 0.5, -FAR_M)
        hinge = (margins + reach[:, None] - distance).clip(min=0.0)
        pull = sum((hinge * part) @ self.rotation[:, :, k] for k, part in enumerate(normal))
        return (hinge * hinge).sum(-1).sum(-1), -2.0 * pull.transpose(-1, -2)

    def _local(self, point: Array) -> tuple[Array, Array, Array]:
        """Return points [B, S, K, 3] in the frames of the obstacles, three of [B, S, K, O]."""
        def along(k: int) -> Array:
            axis = self.rotation[:, :, k]
            p = point @ axis.T - (self.centre * axis).sum(-1)[:, None, :]
            return p.where(abs(p) >= TINY_M, -TINY_M)
        return along(0), along(1), along(2)

    def _distance(
        self, local: tuple[Array, Array, Array]
    ) -> tuple[Array, tuple[Array, Array, Array]]:
        """Return the distance of the centres and its slope in the frames of the obstacles."""
        x, y, z = local
        ball, box = self.code < 1.5, abs(self.code - 2.0) < 0.5
        y_round, z_round = y.where(~box, 0.0), z.where(ball, 0.0)
        wide = (x * x + y_round * y_round + z_round * z_round).sqrt()
        u = wide - self.half[:, 0]
        v = abs(y) - self.half[:, 1].where(box, FAR_M)
        w = abs(z) - self.half[:, 2].where(~ball, FAR_M)
        top = u.maximum(v).maximum(w)
        out = [side.clip(min=0.0) for side in (u, v, w)]
        outer = (out[0] * out[0] + out[1] * out[1] + out[2] * out[2]).sqrt()
        share_u, share_v, share_w = (
            (far / outer.clip(min=TINY_M)).where(top > 0.0, (side >= top).to(x.dtype))
            for side, far in zip((u, v, w), out, strict=True))
        inward = share_u / wide
        return outer + top.clip(max=0.0), (
            inward * x, inward * y_round + share_v * y.sign(),
            inward * z_round + share_w * z.sign())
