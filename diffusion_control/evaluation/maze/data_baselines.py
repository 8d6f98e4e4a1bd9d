# SPDX-License-Identifier: Apache-2.0
"""What the demonstrations of one maze are worth by themselves: the nearest one, and a clone.

Both get demonstrations of the near-time-optimal expert in the very maze that they are judged in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.maze.demonstrations import (
    Demonstration,
    demonstration,
    random_place,
    random_start,
)
from diffusion_control.evaluation.maze.layouts import Maze
from diffusion_control.planners.point_mass.planner import PointPlanner, place_in
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.point_mass import PointMass
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
Weights = list[NDArray[np.float32]]
DRIVES, SEED = 300, 1_000_003
WIDTH, BATCH, ROUNDS, RATE = 96, 256, 3000, 2e-3
SPEED_M_S = 5.0


@dataclass(frozen=True)
class Drive:
    """A demonstration and where it led [2] [m]."""

    done: Demonstration
    goal: Array


@lru_cache(maxsize=4)
def drives_in(maze: Maze) -> tuple[Drive, ...]:
    """Return `DRIVES` demonstrations between random places of one region of a maze."""
    generator, regions = np.random.default_rng(SEED), maze.regions()
    found: list[Drive] = []
    while len(found) < DRIVES:
        start, goal = random_start(maze, generator), random_place(maze, generator)
        if regions[maze.cell_at(start[:2])] == regions[maze.cell_at(goal)]:
            found.append(Drive(
                demonstration(maze, start, goal, generator=generator, noise=0.02), goal))
    return tuple(found)


class NearestDemonstration(PointPlanner):
    """Repeats the part of a demonstration that begins and ends nearest to start and goal."""

    name, source = 'nearest_demonstration', 'library'

    def __init__(self, maze: Maze, robot: PointMass) -> None:
        super().__init__(robot)
        self._drives = [np.concatenate([d.done.positions, d.done.velocities], axis=1)
                        for d in drives_in(maze)]

    def motion(self, problem: PlanningProblem, known: OccupancyMap) -> Trajectory:
        """Return that part, with a knot every 10 ms."""
        begin, goal, period = problem.start, place_in(problem), self.robot.period_s
        best, rows = np.inf, self._drives[0]
        for drive in self._drives:
            away = np.linalg.norm(drive[:, :2] - begin.position, axis=1)
            left = np.linalg.norm(drive[:, :2] - goal, axis=1)
            first = int(np.argmin(away))
            last = first + int(np.argmin(left[first:]))
            if away[first] + left[last] < best:
                best, rows = away[first] + left[last], drive[first:last + 1]
        rows = np.repeat(rows, 2, axis=0)[:2] if len(rows) < 2 else rows
        velocity = rows[:, 2:].copy()
        velocity[-1] = 0.0
        return Trajectory(
            begin.stamp_s, period * np.arange(len(rows), dtype=float), rows[:, :2].copy(),
            velocity, np.gradient(velocity, period, axis=0), self.robot.joint_names,
            self.robot.base_frame)


@lru_cache(maxsize=4)
def clone_in(maze: Maze) -> BehaviourClone:
    """Return the clone that was trained on the demonstrations of a maze."""
    inputs, targets = [], []
    for drive in drives_in(maze):
        done = drive.done
        goals = np.broadcast_to(drive.goal, done.positions.shape)
        inputs.append(np.concatenate([done.positions, done.velocities, goals], axis=1))
        targets.append(done.controls)
    return BehaviourClone(np.concatenate(inputs), np.concatenate(targets))


class BehaviourClone:
    """A network from state and goal to the control, by least squares (Adam).

    Three layers, tanh between: D. Pomerleau, "ALVINN: An Autonomous Land Vehicle in a Neural
    Network", NIPS 1988; D. Kingma, J. Ba, "Adam", ICLR 2015.

    Args:
        inputs: x, y, vx, vy, goal x, y, shape [N, 6].
        targets: Controls, shape [N, 2].
        rounds: Steps of training.
    """

    def __init__(self, inputs: Array, targets: Array, rounds: int = ROUNDS) -> None:
        place = inputs[:, [0, 1]]
        self._middle, self._scale = place.mean(axis=0), float(place.std())
        generator = np.random.default_rng(SEED)
        sizes = (6, WIDTH, WIDTH, 2)
        self._weights: Weights = []
        for rows, columns in zip(sizes[:-1], sizes[1:], strict=True):
            self._weights += [
                generator.normal(0.0, rows**-0.5, (rows, columns)).astype(np.float32),
                np.zeros(columns, dtype=np.float32)]
        self._train(self._scaled(inputs), targets.astype(np.float32), generator, rounds)

    def control(self, state: Array, goal: Array) -> Array:
        """Return the control [2] for x, y, vx, vy and a goal."""
        layers = self._forward(self._scaled(np.concatenate([state, goal])[None]))
        return np.asarray(np.clip(layers[-1][0], -1.0, 1.0), dtype=float)

    def _scaled(self, inputs: Array) -> NDArray[np.float32]:
        places = np.stack([inputs[:, :2], inputs[:, 4:]])
        first, last = (places - self._middle) / self._scale
        return np.concatenate(
            [first, inputs[:, 2:4] / SPEED_M_S, last], axis=1).astype(np.float32)

    def _forward(self, inputs: NDArray[np.float32]) -> Weights:
        """Return inputs, both hidden layers and the output."""
        w = self._weights
        first = np.tanh(inputs @ w[0] + w[1])
        second = np.tanh(first @ w[2] + w[3])
        return [inputs, first, second, second @ w[4] + w[5]]

    def _train(
        self, inputs: NDArray[np.float32], targets: NDArray[np.float32],
        generator: np.random.Generator, rounds: int,
    ) -> None:
        mean = [np.zeros_like(w) for w in self._weights]
        square = [np.zeros_like(w) for w in self._weights]
        for step in range(1, rounds + 1):
            picked = generator.integers(0, len(inputs), BATCH)
            rate = RATE * 0.5 * (1.0 + np.cos(np.pi * step / rounds))
            for k, slope in enumerate(self._slopes(inputs[picked], targets[picked])):
                mean[k] += 0.1 * (slope - mean[k])
                square[k] += 0.001 * (slope**2 - square[k])
                first, second = mean[k] / (1.0 - 0.9**step), square[k] / (1.0 - 0.999**step)
                self._weights[k] -= (rate * first / (np.sqrt(second) + 1e-8)).astype(np.float32)

    def _slopes(self, inputs: NDArray[np.float32], targets: NDArray[np.float32]) -> Weights:
        """Return the gradient of the mean squared error, as the weights are ordered."""
        layers, found = self._forward(inputs), []
        error = (layers[3] - targets) * np.float32(2.0 / len(inputs))
        for k in (2, 1, 0):
            found += [error.sum(axis=0), layers[k].T @ error]
            error = (error @ self._weights[2 * k].T) * (1.0 - layers[k]**2)
        return found[::-1]
