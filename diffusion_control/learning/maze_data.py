# SPDX-License-Identifier: Apache-2.0
"""Demonstrations in mazes: drives of the near-time-optimal expert, and maps with cells to go.

    DIR/maze.npz     walls [M, N, N], maze [E], goal [E, 2], first [E + 1], knots [K, 4],
                     made [2]: how many drives were asked for, and their seed

Drives are stored one after the other, a row x, y, vx, vy each 0.02 s in cells of the map; the file
is written whole or not at all and read without pickle.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.maze.demonstrations import random_place, random_start
from diffusion_control.evaluation.maze.expert import MazeExpert
from diffusion_control.evaluation.maze.layouts import MAZES, Maze, random_maze
from diffusion_control.evaluation.workers import run_tasks
from diffusion_control.learning.data_set import DAMAGES
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.point_mass import PointMass
from diffusion_control.robots.state import RobotState
from diffusion_control.whole_file import written_whole

Array = NDArray[np.float64]
ROW_S = 0.02
SIDE = 16
"""Of the array that holds a map; what is outside a map is wall."""
SMALLEST, LARGEST = 5, 13
HELD_OUT = ((7, 11), (10, 10), (12, 6))
"""Rows and columns that no training sees, besides all that are larger than `LARGEST`."""
PER_MAZE, NAMED_SHARE, PART = 4, 0.25, 250
BLOCKED_SHARE, MOST_BLOCKED = 0.5, 3
"""Share of named mazes in which cells are walled up, and how many at most."""
FAST_SHARE, FASTEST_M_S = 0.3, 3.0
"""Share of drives that begin in motion, as where the goal has just moved; their speed."""
DATA_FILE = 'maze.npz'


@dataclass(frozen=True)
class MazeData:
    """All drives; see the head of the file."""

    walls: NDArray[np.bool_]
    maze: NDArray[np.int64]
    goal: Array
    first: NDArray[np.int64]
    knots: NDArray[np.float32]


def generate(drives: int, seed: int, jobs: int = 1) -> MazeData:
    """Return drives in random mazes, a quarter of them in umaze, medium and large.

    Args:
        drives: How many, rounded up to whole parts.
        seed: Of everything random; the drives do not depend on the number of jobs.
        jobs: Processes.
    """
    tasks = [(seed, part) for part in range(-(-drives // PART))]
    found = dict(run_tasks(_numbered_part, tasks, jobs, 'maze drives', 'parts'))
    return joined([found[part] for part in range(len(tasks))])


def _numbered_part(task: tuple[int, int]) -> tuple[int, MazeData]:
    """Return the number and the drives of a part; parts end in any order."""
    seed, part = task
    return part, generate_part(seed, part)


def joined(parts: list[MazeData]) -> MazeData:
    """Return several sets of drives as one."""
    mazes = np.cumsum([0, *(len(part.walls) for part in parts)])
    rows = np.cumsum([0, *(len(part.knots) for part in parts)])
    return MazeData(
        np.concatenate([part.walls for part in parts]),
        np.concatenate([part.maze + k for part, k in zip(parts, mazes, strict=False)]),
        np.concatenate([part.goal for part in parts]),
        np.concatenate([[0], *(part.first[1:] + k for part, k in zip(
            parts, rows, strict=False))]),
        np.concatenate([part.knots for part in parts]))


def generate_part(seed: int, part: int) -> MazeData:
    """Return `PART` drives or a few more."""
    generator = np.random.default_rng([seed, 77, part])
    planner, named = MazeExpert(PointMass()), list(MAZES.values())
    walls: list[NDArray[np.bool_]] = []
    rows: dict[str, list[Any]] = {'maze': [], 'goal': [], 'knots': []}
    while len(rows['maze']) < PART:
        pick = generator.random() < NAMED_SHARE
        maze = drawn_named(named, generator) if pick else drawn_maze(generator)
        walls.append(framed(maze.map.occupied.T))
        for _ in range(PER_MAZE):
            goal, knots = _shown(planner, maze, generator)
            if knots is not None:
                rows['maze'].append(len(walls) - 1)
                rows['goal'].append(in_cells(maze, goal))
                rows['knots'].append(knots)
    lengths = [len(knots) for knots in rows['knots']]
    return MazeData(
        np.stack(walls), np.array(rows['maze']), np.stack(rows['goal']),
        np.concatenate([[0], np.cumsum(lengths)]), np.concatenate(rows['knots']))


def _shown(
    planner: MazeExpert, maze: Maze, generator: np.random.Generator
) -> tuple[Array, NDArray[np.float32] | None]:
    """Return a random goal and a drive there, None if the expert finds none."""
    goal = random_place(maze, generator)
    if maze.goal_cell is not None and generator.random() < 0.5:
        goal = maze.goal_cell.astype(float) + generator.uniform(-0.1, 0.1, 2)
    start = random_start(maze, generator)
    if generator.random() < FAST_SHARE:
        start[2:] = generator.uniform(-FASTEST_M_S, FASTEST_M_S, 2)
    return goal, drive(planner, maze, start, goal)


def drawn_named(named: list[Maze], generator: np.random.Generator) -> Maze:
    """Return one of the named mazes, some with cells walled up, so that none is known by heart."""
    maze = named[int(generator.integers(len(named)))]
    if generator.random() < BLOCKED_SHARE:
        count = int(generator.integers(1, MOST_BLOCKED + 1))
        for row, column in generator.choice(maze.free, count):
            maze = maze.with_wall((int(row), int(column)))
    return maze


def drawn_maze(generator: np.random.Generator) -> Maze:
    """Return a random maze of a size that is not held out."""
    while True:
        rows, columns = (int(k) for k in generator.integers(SMALLEST, LARGEST + 1, 2))
        if (rows, columns) not in HELD_OUT:
            maze = random_maze(generator, rows, columns, loops=float(generator.uniform(0.0, 0.5)))
            if len(maze.free) >= 2:
                return maze


def drive(
    planner: MazeExpert, maze: Maze, start: Array, goal: Array
) -> NDArray[np.float32] | None:
    """Return the expert's rows x, y, vx, vy in cells; None if it finds no drive."""
    problem = PlanningProblem(
        RobotState(start[:2].copy(), start[2:].copy()), Goal(position_m=np.append(goal, 0.0)),
        map=maze.map)
    try:
        plan = planner.plan(problem)
    except PlanningError:
        return None
    if plan.best is None:
        return None
    motion = plan.candidates[0]
    at = motion.stamp_s + np.arange(0.0, motion.times_s[-1] + ROW_S, ROW_S)
    position, velocity, _ = motion.sample_many(at)
    return np.concatenate(
        [in_cells(maze, position), velocity / maze.map.resolution_m], axis=1).astype(np.float32)


def in_cells(maze: Maze, places: Array) -> Array:
    """Return places [..., 2] [m] in cells from the map's corner."""
    return (places - maze.map.origin[:2]) / maze.map.resolution_m


def framed(walls: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return walls [X, Y] in an array of `SIDE` x `SIDE`."""
    whole = np.ones((SIDE, SIDE), dtype=bool)
    whole[:walls.shape[0], :walls.shape[1]] = walls
    return whole


def cells_to_go(walls: NDArray[np.bool_], goal: tuple[int, int]) -> Array:
    """Return the length of the shortest way to a cell over free cells [X, Y], inf without one.

    Ways go to the eight neighbours, not around a corner. Only the value network's loss reads it.
    """
    free, index = ~walls, np.arange(walls.size).reshape(walls.shape)
    ends: list[tuple[Any, Any, float]] = []
    for pair, far in (((1, 0), 1.0), ((0, 1), 1.0), ((1, 1), 2**0.5), ((1, -1), 2**0.5)):
        from_, to = _shifted(walls.shape, pair)
        good = free[from_] & free[to] & free[from_[0], to[1]] & free[to[0], from_[1]]
        ends.append((index[from_][good], index[to][good], far))
    graph = coo_matrix(
        (np.concatenate([np.full(len(a), far) for a, _, far in ends]),
         (np.concatenate([a for a, _, _ in ends]), np.concatenate([b for _, b, _ in ends]))),
        shape=(walls.size, walls.size)).tocsr()
    found: Array = dijkstra(graph, directed=False, indices=index[goal]).reshape(walls.shape)
    return found


def _shifted(shape: tuple[int, ...], by: tuple[int, int]) -> tuple[Any, Any]:
    """Return the slices of all cells that have a neighbour there, and of these neighbours."""
    from_ = tuple(slice(max(0, -k), n - max(0, k)) for n, k in zip(shape, by, strict=True))
    to = tuple(slice(max(0, k), n - max(0, -k)) for n, k in zip(shape, by, strict=True))
    return from_, to


def write_data(data: MazeData, folder: Path, drives: int, seed: int) -> None:
    """Write the drives that `generate` made of a number and a seed into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / DATA_FILE) as waiting, waiting.open('wb') as file:
        np.savez_compressed(
            file, made=np.array([drives, seed]),
            **{field.name: getattr(data, field.name) for field in fields(data)})


def read_data(folder: Path, drives: int, seed: int) -> MazeData:
    """Return the drives of a folder.

    Raises:
        ConfigurationError: The file is missing or damaged, or of another number or seed.
    """
    try:
        with np.load(folder / DATA_FILE, allow_pickle=False) as archive:
            data = MazeData(**{field.name: archive[field.name] for field in fields(MazeData)})
            made = [int(value) for value in archive['made']]
    except DAMAGES as error:
        raise ConfigurationError(
            'cannot read the drives', where=str(folder / DATA_FILE), value=str(error),
            allowed='a file that `diffusion_control train` wrote', remedy='delete it') from error
    if made != [drives, seed]:
        raise ConfigurationError(
            'the drives are others than the settings ask for', where=str(folder / DATA_FILE),
            value=f'drives: {made[0]}, seed: {made[1]}', allowed=f'drives: {drives}, seed: {seed}',
            remedy='name another folder in data, delete the file, or set these values')
    return data
