# SPDX-License-Identifier: Apache-2.0
"""What the spline planners share: limits, goals, the kept plan, the answer."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.planners.carry_over import carry_over
from diffusion_control.planners.deadline import Clock, Deadline
from diffusion_control.planners.goal_configurations import GoalConfigurations
from diffusion_control.planners.parameters import parameter, read_parameters, refuse_model
from diffusion_control.planners.problem import PlanningProblem, PlanSet
from diffusion_control.planners.selection import Candidate, Pool, candidates, plan_set
from diffusion_control.planners.spline_problem import SplineProblem
from diffusion_control.planners.trace import USUAL, CostWeights, Observer
from diffusion_control.planners.world import World
from diffusion_control.trajectory.spline import fit, head
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
KEPT_TOLERANCE = 0.5
AT_GOAL_RAD = 0.02
FORGET = 0.8


@dataclass(frozen=True)
class SplineParameters:
    """What all spline planners can be told."""

    num_candidates: int = parameter(6, 1, 64, 'candidates that are checked and returned')
    margin_m: float = parameter(0.015, 0.0, 0.2, 'least clearance to obstacles [m]')
    speed_scale: float = parameter(0.65, 0.05, 0.95, 'share of the limits to plan with')
    keep_ratio: float = parameter(
        0.95, 0.1, 1.0, 'a new plan must be shorter than this share of the kept one')


class Request:
    """One question, made ready: world, goals, splines, and the plan that is followed.

    `round` counts the proposals that were asked for, from 1; `network_evaluations` those of a
    network, each for many motions at once.
    """

    round = 1
    network_evaluations = 0

    def __init__(
        self, robot: Any, problem: PlanningProblem, goals: GoalConfigurations,
        values: SplineParameters, guidance: float, weights: CostWeights = USUAL,
    ) -> None:
        self.problem, self.start = problem, problem.start
        self.world = World(robot, problem.obstacles, margin_m=values.margin_m)
        previous = problem.previous
        end = None if previous is None else previous.position[-1]
        self.goals = goals.find(problem.goal, self.start.position, self.world, end)
        limits = robot.limits.scaled(values.speed_scale)
        self.splines = SplineProblem(
            self.world, self.start, limits, guidance=guidance, weights=weights)
        self._keep_ratio = values.keep_ratio
        self._followed: Trajectory | None = None
        if previous is not None and np.abs(
                self.goals - previous.position[-1]).max(1).min() < 1e-2:
            self._followed = previous

    @cached_property
    def kept(self) -> Candidate | None:
        """The previous plan, continued to the nearest goal configuration and judged; or None."""
        motion = None if self._followed is None else carry_over(self._followed, self.start)
        return None if motion is None else Candidate(
            motion, self.splines.judge(motion, tolerance=KEPT_TOLERANCE), self._keep_ratio)

    @property
    def kept_free(self) -> bool:
        """Whether the plan that is followed can still be followed."""
        return self.kept is not None and self.kept.judgement.free

    @property
    def at_goal(self) -> bool:
        """Whether the robot is at the nearest goal, but for the last bit."""
        return bool(np.abs(self.goals[0] - self.start.position).max() < AT_GOAL_RAD)

    def kept_spline(self) -> Pool | None:
        """Return what is left of the kept plan as a spline, or None."""
        return None if self.kept is None else self.spline_of(self.kept.motion)

    def spline_of(self, motion: Trajectory) -> Pool:
        """Return a motion from the start as a spline."""
        start, left = self.start, float(motion.times_s[-1] - motion.times_s[0])
        position, _, _ = motion.sample_many(np.linspace(0.0, left, 65) + motion.start_s)
        first = head(start.position, start.velocity, start.acceleration, left)
        last = np.repeat(motion.position[-1:], 3, axis=0)
        free = self.splines.clip(fit(position, first, last))
        return Pool(free[None], motion.position[-1:], np.array([left]))

    def lines(self, count: int) -> Pool:
        """Return the straight motions to the nearest `count` goals, with their durations."""
        goal = self.goals[:count]
        free = self.splines.clip(self.splines.line(goal))
        return self.timed(free, goal)

    def timed(self, free: Array, goal: Array) -> Pool:
        """Return motions with the shortest durations found inside the limits."""
        distance = np.abs(goal - self.start.position) / self.splines.speed
        points, duration = self.splines.fit_duration(free, goal, 0.3 + 1.8 * distance.max(1))
        del points
        return Pool(free, goal, duration)


class SplinePlanner:
    """Base of the planners whose motions are splines.

    `sources` names the origins of a pool; '' is the planner itself. `searched` is when the search
    of the running plan ended, `finishing_s` how long polishing and judging took of late [s]: what
    a search that keeps a deadline has to leave of it. `due` is when the running plan is due.
    `observer` and `weights` serve explanations, see `trace`.

    Args:
        robot: The arm.
        model: Not used: these planners have no trained model.
        seed: Seed of the random numbers.
        clock: Monotonic clock [s].
        **params: Fields of `parameters_type`.
    """

    name = ''
    observer: Observer | None = None
    weights: CostWeights = USUAL
    sources: tuple[str, ...] = ('',)
    rounds = 1
    parameters_type: type[SplineParameters] = SplineParameters

    def __init__(
        self, robot: Any, *, model: Any = None, seed: int = 0, clock: Clock = time.perf_counter,
        **params: Any,
    ) -> None:
        refuse_model(self.name, model)
        if robot.kind != 'arm':
            raise ConfigurationError(
                f'planner {self.name} plans for arms', where='planner.type', value=robot.kind,
                allowed='a robot of kind arm')
        self.robot, self.clock = robot, clock
        self.due = Deadline(clock)
        self.values: Any = read_parameters(self.parameters_type, self.name, params)
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Forget goals and restart the random numbers."""
        self.seed = seed
        self.generator = np.random.default_rng(seed)
        self.searched, self.finishing_s = 0.0, 0.0
        self._source = ''
        self.goals = GoalConfigurations(self.robot, seed=seed)

    def info(self) -> dict[str, Any]:
        """Return name and parameters."""
        return {'name': self.name, 'seed': self.seed, **dataclasses.asdict(self.values)}

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return candidate motions, the best first; see `Planner.plan`.

        Where nothing is free and time is left, a planner of several `rounds` proposes again.
        """
        begin = self.clock()
        until = float('inf') if deadline_s is None else begin + deadline_s
        self.due.until_s = until
        request = self.request(problem)
        found = [] if request.kept is None else [
            dataclasses.replace(request.kept, source=self._source)]
        self.searched = begin
        rounds = self.rounds if self.weights.usual else 1  # what a lesser cost finds is shown
        for number in range(1, rounds + 1):
            request.round = number
            found += candidates(
                request.splines, self.propose(request, until), problem,
                count=self.values.num_candidates, sources=self.sources, due=self.due)
            now = self.clock()
            self.finishing_s = max(now - self.searched, FORGET * self.finishing_s)
            if any(c.judgement.free for c in found) or until - now < (now - begin) / number:
                break
        found.sort(key=lambda c: -c.score)
        if found and found[0].judgement.free:
            self._source = found[0].source
        return plan_set(
            found[:self.values.num_candidates], evaluations=self.evaluations(request),
            latency_s=self.clock() - begin, source=self.name, seed=self.seed)

    def request(self, problem: PlanningProblem) -> Request:
        """Return a question made ready."""
        return Request(
            self.robot, problem, self.goals, self.values,
            getattr(self.values, 'guidance_scale', 1.0), self.weights)

    def evaluations(self, request: Request) -> int:
        """Return what a plan counts: motions that were tried; of a network its evaluations."""
        return request.splines.evaluations

    def search_until(self, until: float, least_s: float) -> float:
        """Return when a search must end that leaves time to polish and judge what it found.

        That is as long as it took of late, at least `least_s`, at most half of the time left.
        """
        return until - min(max(least_s, self.finishing_s), (until - self.clock()) / 2)

    def propose(self, request: Request, until: float) -> Pool:
        """Return the motions to choose from; overridden by each planner.

        Args:
            request: Start, goals, world.
            until: Time on the clock by which the answer should be out [s].
        """
        raise NotImplementedError(f'{type(self).__name__}.propose')
