# SPDX-License-Identifier: Apache-2.0
"""A planar laser: rays of the physics engine against walls and obstacles."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base_config import ScanConfig
from diffusion_control.robots.planar import compose
from diffusion_control.robots.scan import Scan
from diffusion_control.simulation.base.model import SEEN_GROUP
from diffusion_control.simulation.plant_base import BaseDeviations

Array = NDArray[np.float64]


class Laser:
    """Measure ranges in the horizontal plane at the sensor's height.

    Noise is white per ray; a share of the rays returns nothing. Own parts are never seen.

    Args:
        config: Rays, ranges and place of the sensor.
        deviations: Noise and losses.
        seed: Seed of both.
    """

    def __init__(self, config: ScanConfig, deviations: BaseDeviations, seed: int) -> None:
        self._config, self._seed = config, seed
        self._noise_m, self._losses = deviations.scan_noise_m, deviations.scan_drop_rate
        self._mount = np.array([*config.position_m, config.yaw_rad])
        self._step_rad = 2.0 * np.pi / config.rays
        self._angles = -np.pi + self._step_rad * np.arange(config.rays)
        self._groups = np.zeros(6, dtype=np.uint8)
        self._groups[SEEN_GROUP] = 1
        self._rays = np.zeros((config.rays, 3))
        self._hit = np.zeros(config.rays, dtype=np.int32)
        self._found = np.zeros(config.rays)
        self.reset()

    def reset(self) -> None:
        """Start the noise anew."""
        self._random = np.random.default_rng([self._seed, 0x1A5E])

    def scan(self, model: Any, data: Any, pose: Array, believed: Array, time_s: float) -> Scan:
        """Return a sweep.

        Args:
            model: mujoco.MjModel.
            data: Its state, with kinematics.
            pose: True pose of the body, shape [3].
            believed: Pose of the body in `odom`, shape [3].
            time_s: ROS time [s].
        """
        config = self._config
        x, y, yaw = compose(pose, self._mount)
        self._rays[:, 0], self._rays[:, 1] = np.cos(yaw + self._angles), np.sin(yaw + self._angles)
        mujoco.mj_multiRay(
            model, data, np.array([x, y, config.height_m]), self._rays.ravel(), self._groups, 1,
            -1, self._hit, self._found, None, config.rays, config.range_max_m)
        ranges = np.where(self._hit < 0, np.inf, self._found)
        ranges += self._noise_m * self._random.standard_normal(config.rays)
        ranges[self._random.random(config.rays) < self._losses] = np.inf
        ranges[(ranges < config.range_min_m) | (ranges > config.range_max_m)] = np.inf
        return Scan(time_s, -np.pi, self._step_rad, ranges, config.range_min_m,
                    config.range_max_m, compose(believed, self._mount))
