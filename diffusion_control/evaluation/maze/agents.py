# SPDX-License-Identifier: Apache-2.0
"""Who drives an episode: a planner with the tracker, or a policy that names the control."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.maze.data_baselines import BehaviourClone
from diffusion_control.evaluation.maze.drive import follow
from diffusion_control.evaluation.maze.judgement import PlanReport, judge_plan
from diffusion_control.evaluation.maze.worlds import Steps, World, joined
from diffusion_control.planners.point_mass.specification import SPECIFICATIONS
from diffusion_control.planners.problem import PlanningError, PlanningProblem, PlanSet
from diffusion_control.planners.protocol import Planner
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.point_mass import PointMass, frame_of
from diffusion_control.robots.state import RobotState
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
SETTLED_M = 0.25


@dataclass(frozen=True)
class Scene:
    """What an agent is told: the map, the goal [2] and how near counts as there [m]."""

    known: OccupancyMap
    goal: Array
    radius_m: float
    specification: str = ''


class Agent(Protocol):
    """Drives a mass."""

    def told(self, scene: Scene) -> None:
        """Take notice of a scene, at the beginning and when something has changed."""
        ...

    def advance(self, world: World, step: int, until: int) -> Steps:
        """Drive from a step on, to `until` at the latest, and return at least one step."""
        ...

    def ahead(self, step: int) -> Array:
        """Return the places [K, 2] where it intends to be from a step on; K = 0: unknown."""
        ...


@dataclass(frozen=True)
class PlanTimes:
    """When plans are made, in steps of the simulation.

    Attributes:
        every: From one question to the next, when all goes well; 0 = only when something has
            changed.
        again: From a question without a plan to the next.
        latency: From a question to the plan's arrival; the first plan is there at once.
        total: Length of the episode.
    """

    every: int
    again: int
    latency: int
    total: int


@dataclass
class PlanLog:
    """What a planner did in an episode.

    Attributes:
        latency_s: Processor latency of each plan [s].
        evaluations: Of each plan.
        reports: Of each plan that was followed.
        failures: Questions without a plan to follow.
    """

    latency_s: list[float] = field(default_factory=list)
    evaluations: list[int] = field(default_factory=list)
    reports: list[PlanReport] = field(default_factory=list)
    failures: int = 0


class PlanningAgent:
    """Asks a planner, waits for its latency, and tracks the newest plan.

    Until the first plan it holds the place where it is. A plan that does not come (no way, or
    none that the planner stands for) leaves the one before.

    Args:
        planner: Proposes plans.
        robot: The mass.
        times: When to ask.
        ideal: The mass is where its plan says.
    """

    def __init__(
        self, planner: Planner, robot: PointMass, times: PlanTimes, *, ideal: bool = False
    ) -> None:
        self.log = PlanLog()
        self._planner, self._robot, self._times, self._ideal = planner, robot, times, ideal
        self._plan: Trajectory | None = None
        self._waiting: tuple[int, Trajectory | None] | None = None
        self._ask = 0
        self._held = np.zeros(6)
        self._scene: Scene | None = None

    def told(self, scene: Scene) -> None:
        """Ask again at once: what was asked before is of no use any more."""
        self._scene, self._waiting, self._ask = scene, None, 0

    def ahead(self, step: int) -> Array:
        """Return the rest of the plan, a place every step."""
        if self._plan is None:
            return np.zeros((0, 2))
        last = max(int((self._plan.end_s - step * self._robot.period_s) / self._robot.period_s), 0)
        return self._wanted(step, step + last)[:, :2]

    def advance(self, world: World, step: int, until: int) -> Steps:
        """Track the plan until the next question or answer."""
        if self._waiting is None and step >= self._ask:
            self._question(world, step)
        if self._waiting is not None and self._waiting[0] <= step:
            self._plan, self._waiting = self._waiting[1] or self._plan, None
        if self._plan is None and step == 0:
            self._held[:2] = world.state[:2]
        nexts = [until, self._ask if self._waiting is None else self._waiting[0]]
        end = min(value for value in nexts if value > step)
        return world.follow(self._wanted(step, end))

    def _question(self, world: World, step: int) -> None:
        """Ask for a plan that begins when it arrives, where the tracker will be then."""
        scene, period = self._scene, self._robot.period_s
        assert scene is not None
        self._ask = step + self._times.every if self._times.every else self._times.total
        if self._settled(world.state, step, scene):
            return
        arrival = step if step == 0 else step + self._times.latency
        begin = self._predicted(world.state, step, arrival)
        found = self._answer(PlanningProblem(
            RobotState(begin[:2], begin[2:], period * arrival),
            Goal(position_m=np.append(scene.goal, 0.0)), map=scene.known, dt_s=period,
            horizon_s=period * max(self._times.total - arrival, 1), previous=self._plan,
            condition={'specification': scene.specification} if scene.specification else None))
        self._waiting = (arrival, found)
        if found is None:
            self._ask = step + self._times.again
        self._ask = max(self._ask, arrival + 1)

    def _answer(self, problem: PlanningProblem) -> Trajectory | None:
        """Return the planner's best motion, and note what it is like."""
        scene = self._scene
        assert scene is not None
        try:
            found: PlanSet = self._planner.plan(problem)
        except PlanningError:
            self.log.failures += 1
            return None
        self.log.latency_s.append(found.latency_s)
        self.log.evaluations.append(found.evaluations)
        if found.trajectory is None:
            self.log.failures += 1
            return None
        self.log.reports.append(judge_plan(
            self._robot, found.trajectory, scene.known, scene.goal, scene.radius_m,
            SPECIFICATIONS.get(scene.specification)))
        return found.trajectory

    def _settled(self, state: Array, step: int, scene: Scene) -> bool:
        """Say whether the plan has ended at the goal, and the mass with it."""
        return (self._plan is not None and self._plan.end_s <= step * self._robot.period_s
                and float(np.linalg.norm(state[:2] - scene.goal)) <= SETTLED_M)

    def _wanted(self, first: int, last: int) -> Array:
        """Return the reference at the steps first .. last, shape [last - first + 1, 6]."""
        if self._plan is None:
            return np.repeat(self._held[None], last - first + 1, axis=0)
        times = self._robot.period_s * np.arange(first, last + 1, dtype=float)
        return np.concatenate(self._plan.sample_many(times), axis=1)

    def _predicted(self, state: Array, step: int, arrival: int) -> Array:
        """Return where the mass will be, by the tracker's model of it, shape [4]."""
        if arrival <= step:
            return state.copy()
        wanted = self._wanted(step, arrival)
        if self._ideal:
            return wanted[-1, :4].copy()
        assert self._scene is not None
        known, later = self._scene.known, state.copy()
        follow(later, wanted[:-1], known.occupied, frame_of(known), self._robot.constants)
        return later


class RandomAgent:
    """Uniform controls: what the tasks call a score of 0."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def told(self, scene: Scene) -> None:
        """Take no notice."""

    def ahead(self, step: int) -> Array:
        """Return nothing: it has no intention."""
        return np.zeros((0, 2))

    def advance(self, world: World, step: int, until: int) -> Steps:
        """Push at random."""
        return world.push(self._generator.uniform(-1.0, 1.0, (until - step, 2)))


class CloningAgent:
    """A clone's control in every step."""

    def __init__(self, clone: BehaviourClone) -> None:
        self._clone, self._goal = clone, np.zeros(2)

    def told(self, scene: Scene) -> None:
        """Take over the goal."""
        self._goal = scene.goal

    def ahead(self, step: int) -> Array:
        """Return nothing: it has no intention."""
        return np.zeros((0, 2))

    def advance(self, world: World, step: int, until: int) -> Steps:
        """Ask the clone in every step."""
        return joined([world.push(self._clone.control(world.state, self._goal)[None])
                       for _ in range(until - step)])
