# SPDX-License-Identifier: Apache-2.0
"""The scripted expert as a teacher: RRT-Connect, then a spline that is as short as it gets.

Paths are searched (J. Kuffner, S. LaValle, ICRA 2000) and clamped cubic B-splines fitted to them.
They and smooth random ones descend the cost of `planners.spline_problem` (M. Zucker et al., CHOMP,
IJRR 2013); the shortest free ones are what is taught. Unlike a planner the teacher has time.

Where a rule is to be kept, random motions are drawn about the straight line bent until it keeps
it: so like questions have like answers, which is what a network can learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.learning.demonstration import Demonstration, Question
from diffusion_control.learning.habit_rules import Rule, RuledWorld
from diffusion_control.planners.path_checks import PathChecks
from diffusion_control.planners.path_search import find_path
from diffusion_control.planners.problem import PlanningProblem, Start
from diffusion_control.planners.selection import Pool, by_cost, candidates, polish
from diffusion_control.planners.spline_problem import SplineProblem
from diffusion_control.planners.world import World
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.state import RobotState
from diffusion_control.trajectory.spline import fit_at_rest

Array = NDArray[np.float64]
MARGIN_M, OWN_MARGIN_M = 0.015, 0.005
SPEED_SCALE = 0.65
SEARCH_CHECKS = 50_000
SEARCHES = 3
DRAWN, KEPT = 512, 48
POLISHED, STEPS = 48, 30
SAMPLES = 65
LONG_S = 3.0
BENDING_STEPS, BENDING_SMOOTH = 150, 0.002


def demonstrate(
    robot: Any, question: Question, obstacles: tuple[Obstacle, ...], *, count: int, seed: int,
    rule: Rule | None = None,
) -> list[Demonstration]:
    """Return up to `count` distinct free motions that answer a question, the shortest first.

    None where no search finds a path. The searches do not know the rule, all that follows does.

    Args:
        robot: The arm.
        question: What is asked.
        obstacles: Those of the question.
        count: Largest number of motions.
        seed: Of the searches and draws.
        rule: What the motions have to keep beside.
    """
    world = World(
        robot, obstacles, margin_m=MARGIN_M, own_margin_m=OWN_MARGIN_M) if rule is None else (
        RuledWorld(robot, obstacles, rule, margin_m=MARGIN_M, own_margin_m=OWN_MARGIN_M))
    rest = np.zeros(robot.dof)
    begin = Start(0.0, question.start, rest, rest)
    splines = SplineProblem(world, begin, robot.limits.scaled(SPEED_SCALE))
    problem = PlanningProblem(
        RobotState(question.start, rest), Goal(joints_rad=question.goal), obstacles)
    searched = [_searched(world, obstacles, question, seed + k) for k in range(SEARCHES)]
    ways = np.array([free for free in searched if free is not None])
    if not len(ways):
        return []
    goal = np.repeat(question.goal[None], len(ways), 0)
    first = Pool(splines.clip(ways), goal, np.full(len(ways), LONG_S))
    middle = splines.line(question.goal[None])
    if rule is not None:
        middle = _bent(splines, middle, question.goal[None])
        first = first.join(Pool(middle, question.goal[None], np.array([LONG_S])))
    pool = first.join(_drawn(splines, question, middle, np.random.default_rng(seed)))
    pool = first.join(polish(splines, pool, count=POLISHED, steps=STEPS))
    best = candidates(splines, pool, problem, count=3 * count)
    free = [found for found in best if found.judgement.free][:count]
    return [Demonstration(question, fit_at_rest(found.motion.position), found.duration_s)
            for found in free]


def _bent(splines: SplineProblem, line: Array, goal: Array) -> Array:
    """Return the free points [1, F, n] of a line that was pushed until it keeps the rule."""
    return splines.descend(
        splines.clip(line), goal, np.array([LONG_S]), steps=BENDING_STEPS, smooth=BENDING_SMOOTH)


def _drawn(
    splines: SplineProblem, question: Question, middle: Array, generator: np.random.Generator
) -> Pool:
    """Return the cheapest of many smooth random motions about a middle one [1, F, n]."""
    goal = np.repeat(question.goal[None], DRAWN, 0)
    free = splines.clip(middle + splines.noise(generator, (DRAWN,)))
    _, duration = splines.fit_duration(free, goal, np.full(DRAWN, LONG_S))
    pool = Pool(free, goal, duration)
    return pool.take(by_cost(splines, pool)[:KEPT])


def _searched(
    world: World, obstacles: tuple[Obstacle, ...], question: Question, seed: int
) -> Array | None:
    """Return the free points of a spline along a path that was searched, or None."""
    checks = PathChecks(world, obstacles, question.start)
    path = find_path(
        world.robot.limits, question.start, question.goal[None], checks.valid(question.goal),
        seed=seed, until=lambda: checks.count >= SEARCH_CHECKS)
    if path is None:
        return None
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    even = np.linspace(0.0, way[-1], SAMPLES)
    return fit_at_rest(np.stack([np.interp(even, way, column) for column in path.T], axis=1))
