# SPDX-License-Identifier: Apache-2.0
"""A base that is where its motion says, so that a planner can be judged without tracker and plant.

Contacts with obstacles and walls are sensed as ever; `odom` is the world.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base import Base
from diffusion_control.robots.planar import turned
from diffusion_control.robots.state import RobotState
from diffusion_control.simulation.base.simulation import BaseSimulation, put_body
from diffusion_control.simulation.model import PERIOD_S
from diffusion_control.simulation.plant import Plant
from diffusion_control.simulation.robot_simulation import DISTANCE_TICKS
from diffusion_control.simulation.scene import Scene
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]


class IdealBase(BaseSimulation):
    """One base without physics, see `BaseSimulation`; it takes whole motions.

    Args:
        robot: The base.
        scene: Walls, obstacles and start.
    """

    def __init__(self, robot: Base, scene: Scene) -> None:
        """Stand at the scene's start."""
        self._motions: list[Trajectory] = []
        super().__init__(
            robot, scene=scene, plant=Plant.nominal(), seed=scene.seed, record=True)

    def receive(self, command: Any) -> bool:
        """Follow a motion from its beginning on; until then, the one before."""
        self._motions.append(command)
        return True

    def measure(self) -> RobotState:
        """Return the true state."""
        return self.true_state()

    def map_to_odom(self) -> Array:
        """Return that `odom` is the world."""
        return np.zeros(3)

    def _tick(self) -> None:
        """Advance by one period: the motion becomes the state, without any physics."""
        self._ticks += 1
        before = self._velocity.copy()
        while len(self._motions) > 1 and self._motions[1].start_s <= self.time_s:
            self._motions.pop(0)
        if self._motions:
            sample = self._motions[0].sample(self.time_s)
            self._position[:], self._velocity[:] = sample.position, sample.velocity
        self._acceleration[:] = (self._velocity - before) / PERIOD_S
        twist = turned(np.array([0.0, 0.0, -self._position[2]]), self._velocity)
        self._command[0], self._command[-1] = twist[0], twist[2]
        self._odometry.pose[:] = self._position
        put_body(self.data, self._position)
        self.data.qvel[:] = 0.0
        self.data.qvel[:2], self.data.qvel[5] = self._velocity[:2], self._velocity[2]
        if self._obstacles.advance(self.time_s):
            self._move_obstacles()
        self._observe(measure_distance=self._ticks % DISTANCE_TICKS == 0)
        if self.recorder is not None:
            self._record(self.recorder)
