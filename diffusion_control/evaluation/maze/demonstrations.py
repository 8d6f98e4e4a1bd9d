# SPDX-License-Identifier: Apache-2.0
"""Demonstrations of the scripted experts in a maze, driven through its physics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import require_known
from diffusion_control.evaluation.maze.drive import follow
from diffusion_control.evaluation.maze.expert import MazeExpert
from diffusion_control.evaluation.maze.layouts import Maze
from diffusion_control.planners.point_mass.astar import PointAstar
from diffusion_control.planners.point_mass.planner import PointPlanner
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.point_mass import PointMass, frame_of
from diffusion_control.robots.state import RobotState
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
PLACE_NOISE_M, SPEED_NOISE_M_S = 0.1, 0.1
REST_S = 0.3
EXPERTS: dict[str, type[PointPlanner]] = {'expert': MazeExpert, 'stop_and_go': PointAstar}


@dataclass(frozen=True)
class Demonstration:
    """One drive, a row every 0.01 s.

    Attributes:
        positions: Before each step, shape [T, 2] [m].
        velocities: Before each step, shape [T, 2] [m/s].
        controls: In each step, in [-1, 1], shape [T, 2].
        gaps: To the nearest cube at the beginning of each step, at most 2 mm, shape [T] [m].
        plan: What was followed.
    """

    positions: Array
    velocities: Array
    controls: Array
    gaps: Array
    plan: Trajectory


def random_place(maze: Maze, generator: np.random.Generator) -> Array:
    """Return a place in a free cell, all equally likely, as at the start of a task, [2] [m].

    A cell stands for its place (`Maze.place_of`) +- 0.1 m, as in the tasks of D4RL.
    """
    cell = maze.free[int(generator.integers(len(maze.free)))]
    return noisy_place(maze, cell, generator)


def noisy_place(maze: Maze, cell: NDArray[np.int64], generator: np.random.Generator) -> Array:
    """Return the place of a cell (row, column) +- 0.1 m, shape [2] [m]."""
    return maze.place_of(cell) + generator.uniform(-PLACE_NOISE_M, PLACE_NOISE_M, 2)


def random_start(maze: Maze, generator: np.random.Generator) -> Array:
    """Return x, y, vx, vy in a free cell: velocity N(0, 0.1^2), shape [4]."""
    return np.concatenate([
        random_place(maze, generator), generator.normal(0.0, SPEED_NOISE_M_S, 2)])


def demonstration(
    maze: Maze, start: Array, goal: Array, kind: str = 'expert', *,
    generator: np.random.Generator | None = None, noise: float = 0.0, steps: int | None = None,
) -> Demonstration:
    """Return a drive of an expert from a start to a goal.

    Args:
        maze: Where.
        start: x, y, vx, vy, shape [4].
        goal: x, y, shape [2].
        kind: `expert` (near-time-optimal) or `stop_and_go`.
        generator: Random numbers of the noise; None = without noise.
        noise: Standard deviation of what is added to the followed positions, white in steps of
            0.1 s and linear between [m].
        steps: Length; None = until 0.3 s after the plan's end.

    Raises:
        ConfigurationError: An unknown kind.
        PlanningError: No way leads to the goal.
    """
    require_known('unknown expert', 'demonstration', kind, tuple(EXPERTS))
    robot = PointMass()
    plan = _plan(maze, start, goal, kind)
    count = int((plan.times_s[-1] + REST_S) / robot.period_s) if steps is None else steps
    wanted = np.concatenate(plan.sample_many(
        np.arange(count, dtype=float) * robot.period_s), axis=1)
    if generator is not None and noise > 0.0:
        wanted[:, :2] += _wander(generator, noise, count)
    begin = np.array(start, dtype=float)
    states, controls, gaps = follow(
        begin.copy(), wanted, maze.map.occupied, frame_of(maze.map), robot.constants)
    before = np.concatenate([begin[None], states[:-1]])
    return Demonstration(before[:, :2].copy(), before[:, 2:].copy(), controls, gaps, plan)


def solved(maze: Maze, start: Array, goal: Array, kind: str = 'expert') -> float:
    """Return the duration of an expert's plan from a start to a goal [s]."""
    return float(_plan(maze, start, goal, kind).times_s[-1])


def _plan(maze: Maze, start: Array, goal: Array, kind: str) -> Trajectory:
    problem = PlanningProblem(
        RobotState(start[:2].copy(), start[2:].copy()), Goal(position_m=np.append(goal, 0.0)),
        map=maze.map)
    return EXPERTS[kind](PointMass()).plan(problem).candidates[0]


def _wander(generator: np.random.Generator, noise: float, count: int) -> Array:
    """Return noise that is linear between knots 10 steps apart, shape [count, 2]."""
    knots = np.arange(0, count + 11, 10)
    values = generator.normal(0.0, noise, (len(knots), 2))
    return np.stack([np.interp(np.arange(count), knots, values[:, i]) for i in range(2)], axis=1)
