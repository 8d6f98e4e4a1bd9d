# SPDX-License-Identifier: Apache-2.0
"""A base among obstacles as MuJoCo sees it, moved about by its pose."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.command_geometry import Scenery
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.model import add_obstacle

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PlanarScenery(Scenery):
    """A rigid robot on a plane: its geoms move with its pose.

    Attributes:
        places_m: Of the robot's geoms on the body, shape [g, 3] [m].
        turns: Of the robot's geoms on the body, shape [g, 3, 3].
    """

    places_m: Array
    turns: Array

    def place(self, data: mujoco.MjData, positions: Array) -> tuple[Array, Array]:
        """Return positions [L, g, 3] and rotations [L, g, 9] of the geoms at poses [L, 3]."""
        del data
        cosine, sine = np.cos(positions[:, 2]), np.sin(positions[:, 2])
        turn = np.zeros((len(positions), 3, 3))
        turn[:, 0, 0] = turn[:, 1, 1] = cosine
        turn[:, 0, 1], turn[:, 1, 0], turn[:, 2, 2] = -sine, sine, 1.0
        places = np.einsum('lij,gj->lgi', turn, self.places_m)
        places[:, :, :2] += positions[:, None, :2]
        turns = np.einsum('lij,gjk->lgik', turn, self.turns)
        return places, turns.reshape(len(positions), -1, 9)


def base_scenery(robot: Base, obstacles: tuple[Obstacle, ...]) -> PlanarScenery:
    """Return a base's outline, as high as it is, among obstacles."""
    spec = mujoco.MjSpec()
    height, corners = robot.collision.height_m, robot.config.outline
    if len(robot.collision.discs) == 1:
        spec.worldbody.add_geom(
            name='base', type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[float(robot.collision.discs[0, 2]), height / 2, 0.0],
            pos=[*robot.collision.discs[0, :2], height / 2])
    else:
        vertices = np.concatenate([
            np.column_stack([corners, np.full(len(corners), z)]) for z in (0.0, height)])
        spec.add_mesh(name='base', uservert=vertices.ravel())
        spec.worldbody.add_geom(
            name='base', type=mujoco.mjtGeom.mjGEOM_MESH, meshname='base')
    for index, obstacle in enumerate(obstacles):
        add_obstacle(spec, index, obstacle)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    own = np.array([model.geom('base').id], dtype=np.intp)
    others = [model.geom(f'obstacle {k}').id for k in range(len(obstacles))]
    return PlanarScenery(
        model, np.zeros(0, dtype=np.intp), own, np.array(others, dtype=np.intp),
        np.array(data.geom_xpos[own]), np.array(data.geom_xmat[own]).reshape(-1, 3, 3))
