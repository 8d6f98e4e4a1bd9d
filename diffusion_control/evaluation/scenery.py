# SPDX-License-Identifier: Apache-2.0
"""MuJoCo models of the robot among published obstacles, one for each set of shapes."""

from __future__ import annotations

import numpy as np

from diffusion_control.evaluation.base.scenery import base_scenery
from diffusion_control.evaluation.command_geometry import CommandGeometry, Scenery
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.model import build_model
from diffusion_control.simulation.plant import Plant

MOST = 32


class SceneryCache:
    """Geometry for sets of obstacles; sets of equal shapes and sizes share a model.

    Args:
        robot: The robot.
    """

    def __init__(self, robot: Arm | Base) -> None:
        """Begin without a model."""
        self._robot = robot
        self._known: dict[tuple[tuple[str, tuple[float, ...]], ...], CommandGeometry] = {}

    def geometry(self, obstacles: tuple[Obstacle, ...]) -> CommandGeometry:
        """Return the geometry for obstacles of these shapes and sizes, in this order."""
        key = tuple((o.shape, tuple(round(edge, 6) for edge in o.size_m)) for o in obstacles)
        if key not in self._known:
            if len(self._known) >= MOST:
                self._known.pop(next(iter(self._known)))
            self._known[key] = CommandGeometry(scenery(self._robot, obstacles))
        return self._known[key]


def scenery(robot: Arm | Base, obstacles: tuple[Obstacle, ...]) -> Scenery:
    """Return the simulator's model of a robot and obstacles; masses play no part."""
    if isinstance(robot, Base):
        return base_scenery(robot, obstacles)
    plant = build_model(robot, obstacles, Plant.nominal())
    qpos = [int(plant.model.joint(name).qposadr[0]) for name in robot.joint_names]
    return Scenery(plant.model, np.array(qpos, dtype=np.intp),
                   plant.robot_geoms.astype(np.intp), plant.obstacle_geoms.astype(np.intp))
