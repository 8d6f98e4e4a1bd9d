# SPDX-License-Identifier: Apache-2.0
"""How fast the fastest point of the robot moves."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.jit import kernel
from diffusion_control.simulation.model import PlantModel

Array = NDArray[np.float64]


class PointSpeed:
    """Upper bound of the speed of every point of the moving links.

    For a link with angular velocity w and the velocity v of its origin, a point at r has the
    velocity v + w x r. Its norm is convex in r, so over the box around the link's shapes it is
    largest in one of the eight corners. The boxes contain the shapes, hence an upper bound.

    Args:
        plant: The model, whose shapes give the boxes in the frames of the links.
        data: Its state, mujoco.MjData.
    """

    def __init__(self, plant: PlantModel, data: Any) -> None:
        bodies = plant.link_bodies
        self._arrays = (
            data.cvel, data.xmat, data.xpos, data.subtree_com, bodies,
            np.array(plant.model.body_rootid)[bodies],
            np.stack([_corners(plant, body) for body in bodies]))

    def __call__(self) -> float:
        """Return the bound [m/s] for the state that the kinematics belong to."""
        return _fastest(*self._arrays)


@kernel()
def _fastest(
    cvel: Array, xmat: Array, xpos: Array, centres: Array, bodies: NDArray[np.int64],
    roots: NDArray[np.int64], corners: Array,
) -> float:
    """Return the largest speed of a corner [m/s].

    Args:
        cvel: Angular velocity, and velocity of the tree's centre of mass, shape [bodies, 6].
        xmat: Orientation of each body, row by row, shape [bodies, 9].
        xpos: Origin of each body [m], shape [bodies, 3].
        centres: Centre of mass of the tree below each body [m], shape [bodies, 3].
        bodies: The moving links, shape [l].
        roots: The root of each one's tree, shape [l].
        corners: In the link's frame [m], shape [l, 8, 3].
    """
    most = 0.0
    for k in range(bodies.shape[0]):
        body, root = bodies[k], roots[k]
        a, b, c = cvel[body, 0], cvel[body, 1], cvel[body, 2]
        turn = xmat[body]
        for i in range(corners.shape[1]):
            u, v, w = corners[k, i, 0], corners[k, i, 1], corners[k, i, 2]
            x = turn[0] * u + turn[1] * v + turn[2] * w + xpos[body, 0] - centres[root, 0]
            y = turn[3] * u + turn[4] * v + turn[5] * w + xpos[body, 1] - centres[root, 1]
            z = turn[6] * u + turn[7] * v + turn[8] * w + xpos[body, 2] - centres[root, 2]
            x, y, z = (cvel[body, 3] + b * z - c * y, cvel[body, 4] + c * x - a * z,
                       cvel[body, 5] + a * y - b * x)
            most = max(most, x * x + y * y + z * z)
    return float(np.sqrt(most))


def _corners(plant: PlantModel, body: int) -> Array:
    """Return the corners [8, 3] of the box around all shapes that are fixed to a link."""
    model = plant.model
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    frame, origin = data.xmat[body].reshape(3, 3), data.xpos[body]
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, 8).T
    points = [np.zeros((1, 3))]
    for geom in plant.robot_geoms:
        if model.body_weldid[model.geom_bodyid[geom]] == body:
            centre, half = model.geom_aabb[geom][:3], model.geom_aabb[geom][3:]
            world = (centre + signs * half) @ data.geom_xmat[geom].reshape(3, 3).T
            points.append((world + data.geom_xpos[geom] - origin) @ frame)
    every = np.concatenate(points)
    low, high = every.min(axis=0), every.max(axis=0)
    return np.asarray((low + high) / 2 + signs * (high - low) / 2)
