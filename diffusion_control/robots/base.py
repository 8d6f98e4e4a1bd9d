# SPDX-License-Identifier: Apache-2.0
"""A mobile base: limits, footprint and what surrounds it, from one robot file.

Its configuration is x, y, yaw in `odom` (yaw unwrapped), its velocity x', y', yaw' there. A
differential drive moves as  x' = v cos yaw, y' = v sin yaw, yaw' = omega  (the unicycle).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base_collision import BaseCollision
from diffusion_control.robots.base_config import BaseConfig
from diffusion_control.robots.distance_field import DistanceField
from diffusion_control.robots.limits import JointLimits
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.scan import Scan
from diffusion_control.robots.surround import Surround

Array = NDArray[np.float64]
FAR = 1e4
KEPT_FIELDS = 2  # one in use, and one that another thread prepares


class Base:
    """A base on a plane; methods may be called from several threads.

    Attributes:
        config: The robot file's content.
        kind: `base`.
        name: Name of the robot.
        joint_names: x, y, yaw.
        dof: 3.
        base_frame: `odom`: frame of poses, obstacles and goals in the library.
        body_frame: Frame that moves with the robot; also the `tool_frame`.
        map_frame: Frame of the map.
        limits: Of x, y and yaw: speed, acceleration, jerk; places are not limited.
        home_rad: The origin.
        drive: What the wheels can do.
        plant: Nominal physics.
        controller: Topics and type of the commands.
        receiver_timeout_s: For how long the receiver keeps the last twist [s].
        collision: Footprint and distances.
    """

    kind = 'base'
    joint_names = ('x', 'y', 'yaw')
    dof = 3
    goal_tolerance = (0.15, 0.2)
    """How near counts as there: the position [m] and the yaw [rad]."""

    def __init__(self, config: BaseConfig) -> None:
        """Take over a checked robot file."""
        self.config, self.name = config, config.name
        self.base_frame, self.body_frame = config.odom_frame, config.body_frame
        self.tool_frame, self.map_frame = config.body_frame, config.map_frame
        self.drive, self.plant, self.controller = config.drive, config.plant, config.controller
        self.receiver_timeout_s = config.receiver_timeout_s
        self.home_rad = np.zeros(3)
        self.limits = _limits(config)
        self.collision = BaseCollision(config.discs, config.height_m)
        self._fields: tuple[tuple[OccupancyMap, DistanceField], ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the robot file's content."""
        return Base, (self.config,)

    @property
    def reach_m(self) -> float:
        """Infinite: a base goes anywhere."""
        return math.inf

    def warm_up(self) -> None:
        """Compile every kernel, so that no later call waits for a compiler."""
        self.collision.warm_up()

    def tool_pose(self, position: Array) -> tuple[Array, Array]:
        """Return position [3] [m] and rotation [3, 3] of the body at x, y, yaw."""
        x, y, yaw = position
        cosine, sine = math.cos(yaw), math.sin(yaw)
        rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        return np.array([x, y, 0.0]), rotation

    def tool_positions(self, positions: Array) -> Array:
        """Return the body's places [K, 3] [m] at poses [K, 3]."""
        return np.concatenate([positions[:, :2], np.zeros((len(positions), 1))], axis=1)

    def pack(
        self, obstacles: tuple[Obstacle, ...], map: OccupancyMap | None = None,
        scan: Scan | None = None,
    ) -> Surround:
        """Return what surrounds the base: obstacles, map and scan, all in `odom`.

        The distance field of a map is computed once: a map of the same cells (the same array)
        that lies elsewhere takes over the field.
        """
        return Surround.of(obstacles, self.collision.height_m, self._field_of(map), scan)

    def prepare(self, known: OccupancyMap) -> None:
        """Compute the distance field of a map ahead of `pack`; for another thread than its."""
        self._field_of(known)

    def _field_of(self, known: OccupancyMap | None) -> DistanceField:
        if known is None:
            return DistanceField.empty()
        kept = next((pair for pair in self._fields if _same_cells(pair[0], known)), None)
        if kept is None:
            field = DistanceField.of(known)
        else:
            field = kept[1] if kept[0] is known else kept[1].moved_to(known)
        others = tuple(pair for pair in self._fields if pair is not kept)
        self._fields = ((known, field), *others)[:KEPT_FIELDS]
        return field


def _same_cells(one: OccupancyMap, other: OccupancyMap) -> bool:
    """Tell whether two maps share their cells: the same array, of the same size."""
    return one.cells is other.cells and one.resolution_m == other.resolution_m


def _limits(config: BaseConfig) -> JointLimits:
    """Return the limits of x, y and yaw; a torque is that of a wheel."""
    drive = config.drive
    speed = max(drive.speed_max_m_s, drive.reverse_max_m_s)
    rate = max(drive.acceleration_max_m_s2, drive.braking_max_m_s2)
    yaw_jerk = drive.jerk_max_m_s3 * drive.yaw_acceleration_max_rad_s2 / rate
    return JointLimits(
        np.full(3, -FAR), np.full(3, FAR), np.array([speed, speed, drive.yaw_rate_max_rad_s]),
        np.array([rate, rate, drive.yaw_acceleration_max_rad_s2]),
        np.array([drive.jerk_max_m_s3, drive.jerk_max_m_s3, yaw_jerk]),
        np.full(3, config.plant.wheel_torque_nm))
