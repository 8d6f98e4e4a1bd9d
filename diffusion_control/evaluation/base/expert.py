# SPDX-License-Identifier: Apache-2.0
"""The base's expert: A* with the truth and the fastest drive, which says what can be solved.

It searches among walls and standing obstacles, in turn without the movers, with all of their ways
filled, and with each mover somewhere on its way, and takes the way and the earliest departure
with which it arrives first, clear of all movers as they will really travel.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.base.fast_drive import curve, fast_drive
from diffusion_control.evaluation.base.ways import Ground, shortest_way
from diffusion_control.evaluation.scene_geometry import is_mover, standing, swept
from diffusion_control.planners.base.base_planner import target_of
from diffusion_control.planners.problem import PlanningError, PlanningProblem, PlanSet
from diffusion_control.robots.base import Base
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.simulation.movers import Mover
from diffusion_control.simulation.scene import Scene
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
MARGIN_M, LEAST_M = 0.05, 0.02
ROOM_M = 1.0
TRIES = 6
LONGEST_WAIT_S, WAIT_STEP_S = 12.0, 0.1
CHECK_STEP_S = 0.05
WAY_STRIDE = 6


class BaseExpert:
    """A planner that knows the scene's truth; it needs a start at rest.

    Args:
        robot: The base.
        scene: The scene, in the world.
        known: Map of its walls; None without any.
        activation_s: ROS time at which the movers start [s].
    """

    def __init__(
        self, robot: Base, scene: Scene, known: OccupancyMap | None, *, activation_s: float = 0.0
    ) -> None:
        """Remember the truth."""
        self._robot, self._scene, self._map = robot, scene, known
        self._activation_s = activation_s
        self._movers = [item for item in scene.obstacles if is_mover(item)]

    def reset(self, seed: int) -> None:
        """Do nothing: nothing is kept, and the draws are the scene's."""

    def info(self) -> dict[str, Any]:
        """Return name and source."""
        return {'name': 'expert', 'source': 'classical'}

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return the drive that arrives first of all that are clear at all times.

        Args:
            problem: Start at rest and goal; its obstacles are ignored for the truth.
            deadline_s: Ignored.

        Raises:
            PlanningError: No way leads to the goal.
        """
        began = time.perf_counter()
        start, stamp = problem.start.position, problem.start.stamp_s
        place, yaw = target_of(problem.goal)
        best: Trajectory | None = None
        random = np.random.default_rng(self._scene.seed)
        tries = TRIES if self._movers else 1
        for k in range(tries):
            ground = self._ground(start, place, k, random)
            points = shortest_way(ground, start[:2], place)
            if points is None or not replace(ground, margin_m=LEAST_M).clear(
                    curve(points)[0]).all():
                continue
            found = self._departing(fast_drive(self._robot, start, points, yaw, stamp))
            if found is not None and (best is None or found.end_s < best.end_s):
                best = found
        if best is None:
            raise PlanningError('no_path', 'the expert found no way to the goal', where='expert')
        return PlanSet(
            (best,), np.array([-(best.end_s - stamp)]), 0, evaluations=tries,
            latency_s=time.perf_counter() - began, source='classical', seed=self._scene.seed)

    def _ground(
        self, start: Array, place: Array, attempt: int, random: np.random.Generator
    ) -> Ground:
        """Return where to search: the movers away, on all of their ways, or somewhere on them."""
        still = standing(self._scene.obstacles)
        ways = [swept(item) for item in self._movers]
        if attempt == 1:
            still += tuple(copy for way in ways for copy in way[::WAY_STRIDE])
        elif attempt > 1:
            still += tuple(way[int(random.integers(len(way)))] for way in ways)
        low, high = np.minimum(start[:2], place) - ROOM_M, np.maximum(start[:2], place) + ROOM_M
        if self._map is not None:
            cells = np.array(self._map.cells.shape[::-1]) * self._map.resolution_m
            low = np.minimum(low, self._map.origin[:2])
            high = np.maximum(high, self._map.origin[:2] + cells)
        return Ground(
            self._robot, self._robot.pack(still, map=self._map), low, high, MARGIN_M)

    def _departing(self, motion: Trajectory) -> Trajectory | None:
        """Return the drive at its earliest departure that is clear of the movers, or None."""
        if not self._movers:
            return motion
        for wait in np.arange(0.0, LONGEST_WAIT_S, WAIT_STEP_S):
            moved = delayed(motion, float(wait))
            if self._clear(moved):
                return moved
        return None

    def _clear(self, motion: Trajectory) -> bool:
        """Say whether a drive keeps its margin to all movers, from now until it has ended."""
        times = np.arange(motion.start_s, motion.end_s + 0.5, CHECK_STEP_S)
        positions, _, _ = motion.sample_many(times)
        for obstacle in self._movers:
            way = Mover.of(obstacle)
            shift = np.array([
                way.at(float(at) - self._activation_s)[0] - way.origin_m for at in times])
            relative = positions.copy()
            relative[:, :2] -= shift[:, :2]
            around = self._robot.pack((obstacle,))
            distance, _ = self._robot.collision.path_clearance(
                relative, np.zeros(len(times)), around)
            if float(distance.min()) < LEAST_M:
                return False
        return True


def delayed(motion: Trajectory, wait_s: float) -> Trajectory:
    """Return a motion that stands for a time before it begins."""
    if wait_s <= 0.0:
        return motion
    position, velocity, acceleration = (np.concatenate([part[:1], part]) for part in (
        motion.position, motion.velocity, motion.acceleration))
    times = np.concatenate([[0.0], motion.times_s + wait_s])
    return Trajectory(
        motion.stamp_s, times, position, velocity, acceleration, motion.names, motion.frame_id)
