# SPDX-License-Identifier: Apache-2.0
"""What becomes of the plan under other guidance, without a cost term, without an obstacle.

Two plans a, b are compared at equal shares of their durations, s in [0, 1]:

    moved = max_s max_i |q_a,i(s) - q_b,i(s)|,                        joints, or the yaw, wrapped
    path  = max(max_p min_r |p - r|, max_r min_p |p - r|),                 p, r on the tool's paths

the latter (the Hausdorff distance) regardless of time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from diffusion_control.explain.question import GUIDANCE, Question, chosen, obstacle_name
from diffusion_control.planners.problem import PlanSet
from diffusion_control.planners.trace import TERMS, CostWeights
from diffusion_control.robots.planar import wrapped
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
COMPARED = 129
NEAREST_OBSTACLES = 3
BASE_TERMS = ('collision', 'duration')
SAME_M, SAME_S = 5e-4, 5e-3


@dataclass(frozen=True)
class Variant:
    """One plan and how it differs from the explained one.

    Attributes:
        name: What was changed.
        motion: The plan, free or not.
        numbers: Its measures, see `measures`.
        obstacle: Which one was taken away; None = none.
    """

    name: str
    motion: Trajectory
    numbers: dict[str, Any]
    obstacle: int | None = None


def measures(question: Question, answer: PlanSet, base: Trajectory | None = None
             ) -> dict[str, Any]:
    """Return duration, clearance and score of an answer's best plan, and its way from `base`."""
    motion = chosen(answer)
    clearance_m, judged = _clearance_m(question, motion), question.judge(motion)
    numbers: dict[str, Any] = {
        'free': judged.free, 'duration_s': float(motion.end_s - motion.start_s),
        'score': float(answer.scores[answer.best or 0]), 'clearance_m': clearance_m,
        'own_clearance_m': judged.own_clearance_m, 'evaluations': answer.evaluations,
        'source': answer.source}
    if base is None:
        return numbers
    return numbers | {
        'moved_max_rad': _moved_rad(question, base, motion),
        'path_moved_max_m': _hausdorff(question.path(base), question.path(motion)),
        'duration_change_s': numbers['duration_s'] - float(base.end_s - base.start_s),
        'clearance_change_m': clearance_m - _clearance_m(question, base)}


def sweep(question: Question, base: Trajectory) -> list[Variant]:
    """Return the plans of the question's strengths of guidance."""
    found = []
    for scale in question.scales:
        answer = question.plan(guidance_scale=scale)
        found.append(Variant(
            f'{GUIDANCE}={scale:g}', chosen(answer),
            {GUIDANCE: scale, **measures(question, answer, base)}))
    return found


def counterfactuals(question: Question, base: Trajectory) -> list[Variant]:
    """Return the plans without each cost term, without the refinement, without near obstacles.

    A plan without a term is the one that the remaining cost puts first.
    """
    found = []
    if question.watched:
        terms = BASE_TERMS if question.robot.kind == 'base' else TERMS
        for term in terms:
            answer = question.plan(weights=CostWeights(**{term: 0.0}), num_candidates=1)
            found.append(_without(question, f'cost term {term}', answer, base))
    refinement = next(
        (name for name in ('polish_count', 'polish_steps') if name in question.values), None)
    if refinement is not None:
        off: dict[str, Any] = {refinement: 0}
        found.append(_without(question, 'refinement', question.plan(**off), base))
    for index in _nearest(question, base):
        obstacles = question.problem.obstacles
        problem = replace(question.problem, obstacles=obstacles[:index] + obstacles[index + 1:])
        name = f'obstacle {obstacle_name(question.problem, index)}'
        found.append(replace(
            _without(question, name, question.plan(problem=problem), base), obstacle=index))
    return found


def _without(question: Question, name: str, answer: PlanSet, base: Trajectory) -> Variant:
    """Return the variant, with a sentence that says what changes."""
    numbers = measures(question, answer, base)
    return Variant(name, chosen(answer), {
        'without': name, **numbers, 'text': _sentence(name, numbers)})


def _sentence(name: str, numbers: dict[str, Any]) -> str:
    """Return the difference in words."""
    moved_m, later_s = numbers['path_moved_max_m'], numbers['duration_change_s']
    lasting = abs(later_s) > SAME_S
    if moved_m < SAME_M and not lasting:
        return f'without {name} the plan would be the same'
    text = f'without {name} the plan would be elsewhere by up to {moved_m:.3f} m'
    if lasting:
        text += f', {abs(later_s):.2f} s {"longer" if later_s > 0 else "shorter"}'
    text += (f', its clearance {numbers["clearance_m"]:.3f} m '
             f'({numbers["clearance_change_m"]:+.3f} m)')
    return text if numbers['free'] else f'{text}: not free in this scene'


def _clearance_m(question: Question, motion: Trajectory) -> float:
    """Return the least distance to obstacles, and of a base to walls [m]."""
    judged = question.judge(motion)
    if question.robot.kind == 'base':
        return min(judged.clearance_m, judged.own_clearance_m)
    return judged.clearance_m


def _moved_rad(question: Question, a: Trajectory, b: Trajectory) -> float:
    """Return the largest difference of angles at equal shares of the durations [rad]."""
    rows = [motion.sample_many(np.linspace(motion.start_s, motion.end_s, COMPARED))[0]
            for motion in (a, b)]
    apart = rows[0] - rows[1]
    if question.robot.kind == 'base':
        apart = np.array([wrapped(angle) for angle in apart[:, 2]])
    return float(np.abs(apart).max())


def _hausdorff(a: Array, b: Array) -> float:
    """Return the largest distance of a point of one path from the other path [m]."""
    apart = cdist(a, b)
    return float(max(apart.min(0).max(), apart.min(1).max()))


def _nearest(question: Question, base: Trajectory) -> list[int]:
    """Return the obstacles that the plan passes nearest, where they are seen."""
    robot, problem = question.robot, question.problem
    rows = base.sample_many(np.linspace(base.start_s, base.end_s, COMPARED))[0]
    distances = [
        min(robot.collision.clearance(row, robot.pack((obstacle,)))[0] for row in rows[::4])
        for obstacle in problem.obstacles]
    return [int(k) for k in np.argsort(distances, kind='stable')[:NEAREST_OBSTACLES]]
