# SPDX-License-Identifier: Apache-2.0
"""A scene: obstacles, where the robot starts and where it shall go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError, moved
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.occupancy_map import layout_walls
from diffusion_control.robots.protocol import Robot
from diffusion_control.simulation.layout import check_layout, check_size

Array = NDArray[np.float64]
Tier = Literal['easy', 'hard']
TIERS: tuple[Tier, ...] = ('easy', 'hard')
MAX_OBSTACLE_SPEED_M_S = 0.5


@dataclass(frozen=True)
class Scene:
    """Obstacles, a start and goals, in the base frame of an arm, in the map of a base.

    Attributes:
        seed: The seed that the scene was drawn with (0 for a written one).
        obstacles: In file order; their poses are those at activation.
        start_rad: Start configuration (a base: x, y, yaw [m, m, rad]), shape [n].
        goals: In the order in which they are to be reached.
        tier: `easy`, `hard` or None.
        layout: Walls around a base: rows of `#` (wall), `O`, `G`, `.` and blanks (free), the
            first with the largest y; empty for none.
        layout_cell_m: Edge of a cell of the layout [m].
        layout_origin_m: Its lower left corner [m].
        extra: Keys of the file that nothing here reads, kept as they are.
    """

    seed: int
    obstacles: tuple[Obstacle, ...]
    start_rad: Array
    goals: tuple[Goal, ...]
    tier: Tier | None = None
    layout: tuple[str, ...] = ()
    layout_cell_m: float = 1.0
    layout_origin_m: tuple[float, float] = (0.0, 0.0)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse obstacles faster than the bound that all safety claims rest on."""
        for index, obstacle in enumerate(self.obstacles):
            speed = float(np.linalg.norm(obstacle.velocity_m_s))
            if speed > MAX_OBSTACLE_SPEED_M_S + 1e-9:
                raise ConfigurationError(
                    'an obstacle is too fast', where=f'obstacles[{index}].velocity_m_s',
                    value=obstacle.velocity_m_s.tolist(),
                    allowed=f'at most {MAX_OBSTACLE_SPEED_M_S} m/s')
        if self.layout:
            check_size(self.layout, self.layout_cell_m)
            layout_walls(self.layout)

    @classmethod
    def empty(cls, robot: Robot) -> Scene:
        """Return a scene without obstacles and goals that starts at the robot's home."""
        return cls(0, (), np.array(robot.home_rad, dtype=float), ())

    def require_goal(self, where: str) -> None:
        """Raise a ConfigurationError if there is no goal, where one has to be reached."""
        if not self.goals:
            raise ConfigurationError(
                'a scene has no goal', where=f'{where}: goals', allowed='at least one goal')

    def check(self, robot: Robot, where: str = 'scene') -> None:
        """Refuse a start or a goal that this robot cannot take.

        Raises:
            ConfigurationError: Wrong number of joints, outside the limits, out of reach.
        """
        start = np.asarray(self.start_rad, dtype=float)
        if start.shape != (robot.dof,) or not np.isfinite(start).all():
            raise ConfigurationError(
                f'the start does not fit {robot.name}', where=f'{where}: start_rad',
                value=start.tolist(), allowed=f'{robot.dof} finite numbers')
        lower, upper = robot.limits.lower_rad, robot.limits.upper_rad
        outside = np.flatnonzero((start < lower) | (start > upper))
        if len(outside):
            joint = int(outside[0])
            raise ConfigurationError(
                f'the start of {robot.joint_names[joint]} is outside its limits',
                where=f'{where}: start_rad[{joint}]', value=float(start[joint]),
                allowed=f'{lower[joint]:.4f} .. {upper[joint]:.4f}')
        for index, goal in enumerate(self.goals):
            try:
                goal.check(robot)
            except ConfigurationError as error:
                raise moved(error, f'{where}: goals[{index}]') from error
        check_layout(self, robot, where)
