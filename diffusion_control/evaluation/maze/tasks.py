# SPDX-License-Identifier: Apache-2.0
"""One episode's question: a maze, where to start, where to go, and for how long."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.maze.demonstrations import (
    SPEED_NOISE_M_S,
    noisy_place,
    solved,
)
from diffusion_control.evaluation.maze.goal_file import goals_in
from diffusion_control.evaluation.maze.gym_world import gym_maze
from diffusion_control.evaluation.maze.layouts import MAZES, Maze, random_maze, read_maze
from diffusion_control.evaluation.maze.options import POINTMAZE, RANDOM_LAYOUT, MazeOptions
from diffusion_control.planners.point_mass.specification import SPECIFICATIONS

Array = NDArray[np.float64]
Cell = NDArray[np.int64]
RADIUS_M, GYM_RADIUS_M = 0.5, 0.45
EXPERT_TIMES = 4
SAMPLED = 20


@dataclass(frozen=True)
class MazeTask:
    """One episode.

    Attributes:
        layout: As in `MazeOptions.layouts`.
        maze: Its walls.
        episode: Number in its layout.
        seed: Of everything random in it.
        start: x, y, vx, vy, shape [4].
        goal: x, y, shape [2].
        start_cell: Row and column.
        goal_cell: Row and column.
        later_goal: Where the goal moves to, if it does, shape [2].
        steps: Length of the episode.
        radius_m: How near counts as there [m].
    """

    layout: str
    maze: Maze
    episode: int
    seed: int
    start: Array
    goal: Array
    start_cell: Cell
    goal_cell: Cell
    later_goal: Array
    steps: int = 0
    radius_m: float = RADIUS_M


def draw_task(options: MazeOptions, layout: str, episode: int) -> MazeTask:
    """Return the task of an episode, the same for every planner.

    Raises:
        ConfigurationError: No cell leads to the goal.
    """
    seed = options.seed + episode
    generator = np.random.default_rng([seed, zlib.crc32(layout.encode())])
    maze = maze_named(options, layout, generator)
    goal_cell = _goal_cell(options, maze, episode, generator)
    regions = maze.regions()
    cells = np.argwhere(regions == regions[tuple(goal_cell)])
    others = cells[(cells != goal_cell).any(axis=1)]
    if len(others) == 0:
        raise ConfigurationError(
            'no other cell leads to the goal', where=layout, value=goal_cell.tolist(),
            allowed='a goal in a free cell with a free neighbour')
    apart = layout not in MAZES or options.task == POINTMAZE
    start_cell = _one_of(others if apart else cells, generator)
    later_cell = _one_of(others, generator)
    exact = maze.goal_cell is not None and not options.multi and options.goals is None
    goal = maze.place_of(goal_cell) if exact else noisy_place(maze, goal_cell, generator)
    start = np.concatenate([
        noisy_place(maze, start_cell, generator), generator.normal(0.0, SPEED_NOISE_M_S, 2)])
    later = noisy_place(maze, later_cell, generator)
    if options.specification:
        asked = SPECIFICATIONS[options.specification]
        start[:2], goal = asked.start, np.array(asked.goal)
    radius = GYM_RADIUS_M if options.task == POINTMAZE else RADIUS_M
    return MazeTask(layout, maze, episode, seed, start, goal, start_cell, goal_cell, later,
                    radius_m=radius)


def with_length(options: MazeOptions, tasks: list[MazeTask]) -> list[MazeTask]:
    """Return the tasks of one layout with their length in steps, however many they are."""
    steps = options.horizon_steps or tasks[0].maze.steps
    if steps is None:
        drawn = [*tasks[:SAMPLED], *(draw_task(options, tasks[0].layout, episode)
                                     for episode in range(len(tasks), SAMPLED))]
        times = [solved(task.maze, task.start, task.goal) for task in drawn]
        steps = max(EXPERT_TIMES * round(float(np.mean(times)) * 100.0), 10)
    return [replace(task, steps=steps) for task in tasks]


def maze_named(options: MazeOptions, layout: str, generator: np.random.Generator) -> Maze:
    """Return the maze of a layout; a random one is drawn."""
    found = RANDOM_LAYOUT.fullmatch(layout)
    if found:
        return random_maze(generator, *(int(number) for number in found.groups()))
    if options.task == POINTMAZE:
        return gym_maze(layout)
    known = MAZES[layout] if layout in MAZES else read_maze(layout)
    if options.ref_min is None:
        return known
    return replace(known, ref_min=options.ref_min, ref_max=options.ref_max)


def _goal_cell(
    options: MazeOptions, maze: Maze, episode: int, generator: np.random.Generator
) -> Cell:
    if options.goals is None:
        if maze.goal_cell is not None and not options.multi:
            return maze.goal_cell
        return _one_of(maze.free, generator)
    cells = goals_in(options.goals, maze)
    cell: Cell = cells[episode % len(cells)]
    return cell


def _one_of(cells: NDArray[np.int64], generator: np.random.Generator) -> Cell:
    found: Cell = cells[int(generator.integers(len(cells)))]
    return found
