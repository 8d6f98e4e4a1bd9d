# SPDX-License-Identifier: Apache-2.0
"""The scripted expert: classical search with ground truth, which says what can be solved.

It searches among the standing obstacles (RRT-Connect: J. Kuffner, S. LaValle, ICRA 2000; timing by
TOPP-RA: H. Pham, Q.-C. Pham, T-RO 2018) and, because it knows how every mover will travel,
chooses the earliest departure at which the whole timed motion stays clear of all of them. While
it waits it stands at a posture that the scene keeps free of the movers for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.scene_geometry import (
    is_mover,
    signed_distance,
    standing,
    swept,
)
from diffusion_control.planners import registry
from diffusion_control.planners.problem import PlanningError, PlanningProblem, PlanSet
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.movers import Mover
from diffusion_control.simulation.scene import Scene
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
PLANNING_S = 5.0
MARGIN_M = 0.01
LONGEST_WAIT_S = 10.0
WAIT_STEP_S = 0.1
WAY_STRIDE = 3
AGAIN_S = 1.5
CHECK_STEP_S = 0.02


class ScriptedExpert:
    """A planner that knows the scene's truth; it needs a start at rest.

    Args:
        robot: The arm.
        scene: The scene; its movers start at ROS time `activation_s`.
        seed: Seed of the search.
        planning_s: Time that it may plan for one goal [s].
        activation_s: ROS time at which the movers start [s].
        clock: Steady time [s].
    """

    def __init__(
        self, robot: Arm, scene: Scene, *, seed: int = 0, planning_s: float = PLANNING_S,
        activation_s: float = 0.0, clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prepare the search."""
        self._robot, self._scene, self._clock = robot, scene, clock
        self._planning_s, self._activation_s = planning_s, activation_s
        self._search = registry.make(
            'rrt_connect', robot=robot, seed=seed, margin_m=MARGIN_M,
            search_s=planning_s)
        self._answered: tuple[bytes, PlanSet] | None = None
        self._spent_s: dict[bytes, float] = {}
        self._seed = seed

    def reset(self, seed: int) -> None:
        """Forget everything and restart the random numbers."""
        self._seed, self._answered = seed, None
        self._spent_s.clear()
        self._search.reset(seed)

    def info(self) -> dict[str, Any]:
        """Return name and source."""
        return {'name': 'expert', 'source': 'classical', 'planning_s': self._planning_s}

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return the first motion that is clear at all times; the same one until the goal changes.

        Args:
            problem: Start at rest and goal; its obstacles are ignored for the truth.
            deadline_s: Less planning time than the expert's own [s].

        Raises:
            PlanningError: The goal is unreachable or in collision, or its planning time is spent.
        """
        goal = problem.goal
        target = goal.joints_rad if goal.joints_rad is not None else goal.position_m
        key = b'' if target is None else target.tobytes()
        if self._answered is not None and self._answered[0] == key:
            return self._answered[1]
        left = self._planning_s - self._spent_s.get(key, 0.0)
        if left <= 0.0:
            raise PlanningError(
                'no_path', 'the expert found no way to the goal', where='expert.planning_s',
                value=self._planning_s)
        answer = self._solve(problem, min(left, deadline_s or left))
        self._spent_s[key] = self._spent_s.get(key, 0.0) + answer.latency_s
        if answer.best is not None:
            self._answered = (key, answer)
        return answer

    def _solve(self, problem: PlanningProblem, planning_s: float) -> PlanSet:
        """Search until a path has a departure that is clear of all movers, or time is up."""
        began = self._clock()
        rng = np.random.default_rng(self._seed)
        answer = PlanSet((), np.zeros(0), None, source='classical', seed=self._seed)
        tries = 0
        while (left := planning_s - (self._clock() - began)) > 0:
            searched = replace(problem, obstacles=self._imagined(tries, rng), previous=None)
            answer = self._search.plan(searched, min(left, AGAIN_S) if tries else left)
            tries += 1
            motion = None if answer.trajectory is None else self._departing(answer.trajectory)
            if motion is not None:
                spent = self._clock() - began
                return PlanSet(
                    (motion,), np.array([-(motion.end_s - problem.start.stamp_s)]), 0,
                    evaluations=tries, latency_s=spent, source='classical', seed=self._seed)
        return replace(answer, best=None, latency_s=self._clock() - began)

    def _imagined(self, tries: int, rng: np.random.Generator) -> tuple[Obstacle, ...]:
        """Return the obstacles of one search, all standing, so that the ways found differ.

        First without the movers; then with all of their ways filled; then in turn with each mover
        somewhere on its way, and without again.
        """
        still = standing(self._scene.obstacles)
        ways = [swept(item) for item in self._scene.obstacles if is_mover(item)]
        if tries == 1:
            return still + tuple(copy for way in ways for copy in way[::WAY_STRIDE])
        if tries % 2 == 0 and tries > 0:
            return still + tuple(way[int(rng.integers(len(way)))] for way in ways)
        return still

    def _departing(self, motion: Trajectory) -> Trajectory | None:
        """Return the motion at its earliest departure that is clear of the movers, or None."""
        movers = [obstacle for obstacle in self._scene.obstacles if is_mover(obstacle)]
        if not movers:
            return motion
        times = np.arange(motion.start_s, motion.end_s + CHECK_STEP_S, CHECK_STEP_S)
        positions, _, _ = motion.sample_many(times)
        collision = self._robot.collision
        centres = np.array([collision.centres(joints) for joints in positions])
        ways = [(obstacle, Mover.of(obstacle)) for obstacle in movers]
        for wait in np.arange(0.0, LONGEST_WAIT_S, WAIT_STEP_S):
            since = times + wait - self._activation_s
            if all(_clear(obstacle, way, centres, collision.radius, since)
                   for obstacle, way in ways):
                return replace(motion, stamp_s=motion.stamp_s + float(wait))
        return None


def _clear(obstacle: Obstacle, way: Mover, centres: Array, radius: Array, times_s: Array) -> bool:
    """Say whether spheres [L, S, 3] keep the margin to a mover at L times after activation."""
    moved = np.array([way.at(float(at))[0] - way.origin_m for at in times_s])
    relative = (centres - moved[:, None, :]).reshape(-1, 3)
    distance = signed_distance(obstacle, relative).reshape(len(times_s), -1) - radius
    return bool(distance.min() >= MARGIN_M)
