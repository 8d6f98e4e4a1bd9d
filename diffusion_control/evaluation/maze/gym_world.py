# SPDX-License-Identifier: Apache-2.0
"""PointMaze of Gymnasium-Robotics as a world; the package is optional.

R. de Lazcano et al., "Gymnasium Robotics", 2023: PointMaze-v3. Goal radius 0.45, noise of start
and goal 0.25 of a cell, no end at the goal.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError, MissingDependencyError
from diffusion_control.evaluation.maze.layouts import Maze
from diffusion_control.evaluation.maze.worlds import MOST_GAP_M, Steps
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.point_mass import PointMass
from diffusion_control.tracking.point_mass import point_control

Array = NDArray[np.float64]
PACKAGE = 'gymnasium_robotics'
LAYOUTS = {'umaze': ('U_MAZE', 300), 'medium': ('MEDIUM_MAZE', 600), 'large': ('LARGE_MAZE', 800)}


def _module(name: str) -> Any:
    """Return a module of the package, or say how to install it."""
    try:
        return import_module(f'{PACKAGE}.{name}')
    except ImportError as error:
        raise MissingDependencyError(
            'evaluate pointmaze needs Gymnasium-Robotics', where='evaluate pointmaze',
            value=str(error), allowed='gymnasium-robotics 1.4 and mujoco',
            remedy="pip install 'gymnasium-robotics>=1.4,<2'") from error


def gym_maze(name: str) -> Maze:
    """Return a layout of the package: `umaze`, `medium` or `large`.

    Raises:
        MissingDependencyError: Gymnasium-Robotics is not installed.
    """
    attribute, steps = LAYOUTS[name]
    cells = getattr(_module('envs.maze.maps'), attribute)
    rows = tuple(''.join('#' if cell == 1 else 'O' for cell in row) for row in cells)
    return Maze(name, rows, steps, upright=True)


class GymWorld:
    """One episode of PointMaze.

    Args:
        robot: The mass, for the tracker and the gaps.
        maze: Its layout.
        start_cell: Row and column.
        goal_cell: Row and column.
        seed: Draws where in the cells start and goal are.

    Raises:
        MissingDependencyError: Gymnasium-Robotics is not installed.
    """

    def __init__(
        self, robot: PointMass, maze: Maze, start_cell: NDArray[np.int64],
        goal_cell: NDArray[np.int64], seed: int,
    ) -> None:
        cells = [[1 if mark == '#' else 0 for mark in row] for row in maze.rows]
        self.robot, self._map = robot, maze.map
        self._env = _module('envs.maze.point_maze').PointMazeEnv(
            maze_map=cells, continuing_task=True, reset_target=False)
        seen, _ = self._env.reset(
            seed=seed, options={'reset_cell': start_cell, 'goal_cell': goal_cell})
        self.state = np.array(seen['observation'], dtype=float)
        self.goal = np.array(seen['desired_goal'], dtype=float)

    def follow(self, wanted: Array) -> Steps:
        """Track a reference, see `World.follow`."""
        control, constants = np.empty(2), self.robot.constants
        found = []
        for row in wanted[:-1]:
            point_control(self.state, row, constants, control)
            found.append(self._step(control))
        return self._steps(found)

    def push(self, controls: Array) -> Steps:
        """Apply controls, see `World.push`."""
        return self._steps([self._step(control) for control in controls])

    def block(self, known: OccupancyMap) -> None:
        """Refuse: walls of this environment stand where they are.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            'walls of PointMaze cannot be put up in an episode', where='--block-cell-at',
            value='pointmaze', allowed='evaluate maze2d')

    def close(self) -> None:
        """Free the environment."""
        self._env.close()

    def _step(self, control: Array) -> tuple[Array, Array]:
        before = self.state[:2].copy()
        seen = self._env.step(control)[0]
        self.state = np.array(seen['observation'], dtype=float)
        return before, self.state.copy()

    def _steps(self, found: list[tuple[Array, Array]]) -> Steps:
        before, states = (np.array(part) for part in zip(*found, strict=True))
        return Steps(states, np.minimum(self.robot.clearance(before, self._map), MOST_GAP_M))
