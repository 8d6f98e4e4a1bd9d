# SPDX-License-Identifier: Apache-2.0
"""How fast the fastest point of the robot moves."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from diffusion_control.simulation.model import PlantModel

Array = NDArray[np.float64]


class PointSpeed:
    """Upper bound of the speed of every point of the moving links.

    For a link with angular velocity w and the velocity v of its origin, a point at r has the
    velocity v + w x r. Its norm is convex in r, so over the box around the link's shapes it is
    largest in one of the eight corners. The boxes contain the shapes, hence an upper bound.

    Args:
        plant: The model, whose shapes give the boxes in the frames of the links.
    """

    def __init__(self, plant: PlantModel) -> None:
        model = plant.model
        self.bodies = plant.link_bodies
        self.roots = np.array(model.body_rootid)[self.bodies]
        corners = np.stack([_corners(plant, body) for body in self.bodies])
        self._lever = _skew(corners).reshape(len(self.bodies), 24, 3)

    def __call__(self, data: Any) -> float:
        """Return the bound [m/s] for the state that the kinematics of `data` belong to."""
        velocity = data.cvel[self.bodies]
        frame = data.xmat[self.bodies].reshape(-1, 3, 3)
        angular = velocity[:, None, :3]
        to_centre = data.subtree_com[self.roots] - data.xpos[self.bodies]
        origin = velocity[:, None, 3:] + np.matmul(angular, _skew(to_centre))
        points = np.matmul(self._lever, np.matmul(angular, frame).transpose(0, 2, 1))
        points = points.reshape(-1, 8, 3)
        points += np.matmul(origin, frame)
        return float(np.sqrt(np.einsum('lpi,lpi->lp', points, points).max()))


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


def _skew(levers: Array) -> Array:
    """Return matrices S [..., 3, 3] with S w = w x lever for levers [..., 3]."""
    out = np.zeros((*levers.shape, 3))
    x, y, z = levers[..., 0], levers[..., 1], levers[..., 2]
    out[..., 0, 1], out[..., 0, 2] = z, -y
    out[..., 1, 0], out[..., 1, 2] = -z, x
    out[..., 2, 0], out[..., 2, 1] = y, -x
    return out
