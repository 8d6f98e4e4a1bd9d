# SPDX-License-Identifier: Apache-2.0
"""From a pool of spline motions to checked, scored candidates."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.deadline import JUDGE, RANK, Deadline
from diffusion_control.planners.problem import PlanningProblem, PlanSet
from diffusion_control.planners.spline_problem import FREE, SMOOTH_WEIGHT, SplineProblem
from diffusion_control.planners.world import Judgement
from diffusion_control.trajectory.spline import to_trajectory
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
LATE_CONFLICT_S = 2.0
STAGES = ((0.005, 4.0, 0.02), (0.1, 3.0, 0.01), (0.3, 3.0, 0.01), (1.0, 3.0, 0.01))
SHORTENED = 12
MOVED_S_PER_RAD = 100.0
NOT_FREE, LONG_S = -1e3, 500.0


@dataclass(frozen=True)
class Pool:
    """N spline motions.

    Attributes:
        free: Free control points, shape [N, F, n].
        goal: Shape [N, n].
        duration: Shape [N] [s].
        origin: Which of the planner's `sources` each is from, shape [N]; by default the first.
        extra_s: What a motion counts for beside its duration where motions are compared, shape
            [N] [s]; by default nothing.
    """

    free: Array
    goal: Array
    duration: Array
    origin: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    extra_s: Array = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        """Fill in the defaults."""
        count = len(self.free)
        if len(self.origin) != count:
            object.__setattr__(self, 'origin', np.zeros(count, dtype=np.int64))
        if len(self.extra_s) != count:
            object.__setattr__(self, 'extra_s', np.zeros(count))

    def take(self, index: NDArray[np.int64]) -> Pool:
        """Return the motions of the given indices."""
        return Pool(*(getattr(self, part.name)[index] for part in fields(self)))

    def join(self, other: Pool) -> Pool:
        """Return the motions of both."""
        return Pool(*(
            np.concatenate([getattr(self, part.name), getattr(other, part.name)])
            for part in fields(self)))


def by_cost(splines: SplineProblem, pool: Pool) -> NDArray[np.int64]:
    """Return the indices of a pool's motions, the cheapest first; equal ones in their order."""
    points = splines.assemble(pool.free, pool.goal, pool.duration)
    return np.argsort(splines.cost(points, pool.duration), kind='stable')


def rank(splines: SplineProblem, pool: Pool) -> tuple[Pool, Array]:
    """Return the pool with its shortest durations, best first, and its keys.

    The key is T + 200 s/m * (root of the summed squared shortfalls of clearance at 48 points),
    1000 s more where a motion penetrates, and what it counts for beside.
    """
    points, duration = splines.fit_duration(pool.free, pool.goal, pool.duration)
    short, near = splines.clearance(points, duration, 48)
    key = duration + 200.0 * np.sqrt(short) + 1000.0 * (near < 0)
    weights = splines.weights
    if not weights.usual:
        key = weights.duration * duration + weights.collision * (key - duration)
        if not weights.duration:  # among equally clear ones the rest of the cost decides
            key = key + 1e-3 * splines.cost(points, duration)
    key = key + pool.extra_s
    order = np.argsort(key, kind='stable')
    ranked = replace(pool, free=points[:, FREE], duration=duration).take(order)
    return ranked, key[order]


def polish(
    splines: SplineProblem, pool: Pool, *, count: int, steps: int, due: Deadline | None = None,
    shorten: bool = True,
) -> Pool:
    """Return the best motions of a pool after gradient descent, unsorted.

    The best `count` descend `steps` times with the common weights. The best `SHORTENED` of all so
    far are pushed out of what they touch, and then descend with a growing weight of smoothness,
    which shortens them. Every stage is returned; where the answer is due, those that there was
    time for. Without `shorten` the best `count` are pushed out of what they touch, that is all,
    and count for `MOVED_S_PER_RAD` beside their duration, times the mean move of their points.
    """
    due = due or Deadline()
    kept = min(count, len(pool.free))
    if not due.allows(len(pool.free) + 3 * kept):
        return pool
    first = _best(splines, pool, count, due)
    smooth = SMOOTH_WEIGHT if shorten else 0.0
    pushed = _descended(splines, first, steps, (smooth, 1.0, 0.02), 2 * kept, due)
    if not shorten:
        moved_rad = np.abs(pushed.free - first.free).mean((1, 2))
        return first.join(replace(pushed, extra_s=MOVED_S_PER_RAD * moved_rad))
    result = first.join(pushed)
    if not due.allows(2 * len(result.free) + 2 * SHORTENED):
        return result
    best = _best(splines, result, SHORTENED, due)
    for stage in STAGES:
        ranked = len(result.free) + len(best.free)
        if not due.allows(ranked + len(best.free)):
            break
        best = _descended(splines, best, steps // 2, stage, ranked, due)
        result = result.join(best)
    return result


def _descended(
    splines: SplineProblem, pool: Pool, steps: int, stage: tuple[float, float, float],
    ranked: int, due: Deadline,
) -> Pool:
    """Return a pool after gradient steps (smooth, push, extra_m), with new durations.

    The steps leave time for these durations, and for ranking `ranked` motions afterwards.
    """
    smooth, push, extra_m = stage
    free = splines.descend(
        pool.free, pool.goal, pool.duration, steps=steps, smooth=smooth, push=push,
        extra_m=extra_m, until_s=due.last_call_s(ranked + len(pool.free)), clock=due.clock)
    _, duration = splines.fit_duration(free, pool.goal, pool.duration)
    return replace(pool, free=free, duration=duration)


def _best(splines: SplineProblem, pool: Pool, count: int, due: Deadline) -> Pool:
    """Return the best `count` motions of a pool."""
    with due.timed(RANK, len(pool.free)):
        ranked, _ = rank(splines, pool)
    return ranked.take(np.arange(min(count, len(ranked.free))))


@dataclass(frozen=True)
class Candidate:
    """A motion with what the dense check said.

    Attributes:
        motion: The motion.
        judgement: What the check said.
        handicap: Multiplies its duration in the score.
        source: Where it came from; '' = the planner as a whole.
        extra_s: What it counts for beside its duration [s].
    """

    motion: Trajectory
    judgement: Judgement
    handicap: float = 1.0
    source: str = ''
    extra_s: float = 0.0

    @property
    def duration_s(self) -> float:
        """Time from its first to its last knot [s]."""
        return float(self.motion.times_s[-1] - self.motion.times_s[0])

    @property
    def score(self) -> float:
        """Minus the duration and what counts beside [s]; <= `NOT_FREE` for one that is not free.

        Beyond `LONG_S` seconds T count for 2 LONG_S - LONG_S^2 / T: however long, it is free.
        """
        judged = self.judgement
        if judged.free:
            lasting = self.duration_s * self.handicap + self.extra_s + (
                LATE_CONFLICT_S * judged.late_conflict)
            return -lasting if lasting <= LONG_S else LONG_S**2 / lasting - 2.0 * LONG_S
        excess = 10.0 * max(judged.limit_ratio - 1.0, 0.0)
        return max(NOT_FREE - 1e3 * max(judged.violation_m, 0.0) - excess, -1e6)


def candidates(
    splines: SplineProblem, pool: Pool, problem: PlanningProblem, *, count: int,
    sources: tuple[str, ...] = ('',), due: Deadline | None = None,
) -> list[Candidate]:
    """Return up to `count` densely checked, distinct motions of a pool, best first.

    `sources` are the names of the pool's origins. Where the answer is due, fewer are checked, at
    least one.
    """
    due = due or Deadline()
    with due.timed(RANK, len(pool.free)):
        ranked, _ = rank(splines, pool)
    points = splines.assemble(ranked.free, ranked.goal, ranked.duration)
    chosen: list[int] = []
    result: list[Candidate] = []
    robot, stamp = splines.world.robot, splines.start.stamp_s
    for index in range(len(points)):
        if any(np.abs(points[index] - points[other]).max() < 0.03 for other in chosen):
            continue
        chosen.append(index)
        with due.timed(JUDGE):
            motion = to_trajectory(
                points[index], min(float(ranked.duration[index]), 1e3), stamp, robot.joint_names,
                robot.base_frame)
            judged = _judge(splines, motion, problem.horizon_s)
        result.append(Candidate(
            motion, judged, source=sources[ranked.origin[index]],
            extra_s=float(ranked.extra_s[index])))
        if len(result) >= count or not due.allows(0):
            break
    return result


def _judge(splines: SplineProblem, motion: Trajectory, horizon_s: float) -> Judgement:
    """Check a motion; one that lasts longer than the horizon is not free."""
    judged = splines.judge(motion)
    if motion.times_s[-1] <= horizon_s:
        return judged
    return Judgement(
        False, judged.clearance_m, judged.own_clearance_m, judged.violation_m,
        judged.late_conflict, judged.limit_ratio)


def plan_set(
    found: list[Candidate], *, evaluations: int, latency_s: float, source: str, seed: int
) -> PlanSet:
    """Return the answer: candidates by score, the best one only if it is free.

    `source` is said of a best candidate that does not know its own.
    """
    found = sorted(found, key=lambda c: -c.score)
    best = 0 if found and found[0].judgement.free else None
    costs = {
        'duration_s': [c.duration_s for c in found],
        'clearance_m': [c.judgement.clearance_m for c in found],
        'own_clearance_m': [c.judgement.own_clearance_m for c in found],
        'violation_m': [max(c.judgement.violation_m, 0.0) for c in found],
        'limit_ratio': [min(c.judgement.limit_ratio, 1e6) for c in found],
        'smoothness': [smoothness_cost(c.motion) for c in found],
    }
    return PlanSet(
        tuple(c.motion for c in found), np.array([c.score for c in found]), best,
        {name: np.array(values) for name, values in costs.items()}, evaluations, latency_s,
        (found[0].source if found else '') or source, seed)


def smoothness_cost(motion: Trajectory) -> float:
    """Return the mean squared acceleration over the knots, times the duration [rad^2/s^3]."""
    lasting = float(motion.times_s[-1] - motion.times_s[0])
    return float((motion.acceleration**2).sum(1).mean() * lasting)
