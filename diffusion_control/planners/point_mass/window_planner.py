# SPDX-License-Identifier: Apache-2.0
"""Motions window by window out of a trained network: what the diffusion planners share.

A window of H knots begins exactly where the one before ends. The network sees walls and what its
value iteration network says around the window's start. A window that comes near the goal is drawn
again with the goal inpainted as its last knot; where that is refused, it goes on as it was. Each
window is put right, checked at once, and only free ones go on (`windows`); where none is free and
goes on, all are drawn again from noise.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.deadline import Clock
from diffusion_control.planners.point_mass.map_sampler import Draw, Ground, MapSampler
from diffusion_control.planners.point_mass.steadying import (
    ending,
    followed,
    slowed,
    steadied,
)
from diffusion_control.planners.point_mass.wall_check import line_clearances
from diffusion_control.planners.point_mass.wall_push import halved, pushed
from diffusion_control.planners.point_mass.windows import Windows, hidden, stuck
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.planners.trace import Observer
from diffusion_control.robots.point_mass import PointMass

Array = NDArray[np.float64]
NEAR_CELLS, THERE_CELLS, SAME_GOAL_M = 0.7, 0.5, 0.1
ENDING_LEVEL = 0.5
MOST_WINDOWS = 12
AT_REST_M_S = 0.02
FITTINGS, CLEAR_M = 3, 0.02
"""What plans keep from walls, for the tracker."""
TRIALS = ((1.0, 1.0), (1.25, 0.6), (1.6, 0.4), (2.0, 0.2))
"""How much slower, and the share of the margin."""


@dataclass(frozen=True)
class Lead:
    """Motions that windows start from, instead of noise.

    Attributes:
        knots: From the start on, as far apart as the network's, shape [B, K, 4] [m], [m/s].
        evaluations: Of the network for each window.
        level: Noise that is put on them, in (0, 1].
        ends: Windows whose last knot is in the goal are drawn as ones that end there, at once.
    """

    knots: Array
    evaluations: int
    level: float
    ends: bool = False

    def of(self, candidates: NDArray[np.int64]) -> Lead:
        """Return those of candidates [B]."""
        return dataclasses.replace(self, knots=self.knots[candidates])


class WindowPlanner:
    """Draws whole motions; a planner made of it has the attributes below.

    Attributes:
        robot: The point mass.
        values: Parameters, at least `num_candidates`, `num_inference_steps`, `num_warm_steps`,
            `num_rounds`, `guidance_scale` and `margin_m`.
        network: The trained network.
        generator: Random numbers.
        observer: Is told of every evaluation, see `planners.trace`.
        clock: Monotonic clock [s].
        until_s: Time on it from which no window is begun or drawn again [s].
    """

    robot: PointMass
    values: Any
    network: MapSampler
    generator: np.random.Generator
    observer: Observer | None = None
    clock: Clock
    until_s: float = math.inf

    def windows(
        self, problem: PlanningProblem, ground: Ground, lead: Lead | None = None, *,
        strict: bool = False,
    ) -> tuple[Array, float, int]:
        """Return whole motions [B, K, 4], the time between their knots, and the evaluations.

        Args:
            problem: The question.
            ground: Its map, with the goal.
            lead: Motions to start from; None = from noise.
            strict: Break off at a window of which none is free.
        """
        start = np.concatenate([problem.start.position, problem.start.velocity])
        whole = np.repeat(start[None, None], self.values.num_candidates, 0)
        step, evaluations = self.network.knot_s, 0
        least = [float(ground.to_go(start[:2]))]
        for index in range(MOST_WINDOWS):
            part, spent, kept = self._let_on(problem, ground, whole[:, -1], lead, index)
            whole = np.concatenate([whole, part.knots[:, 1:]], axis=1)
            step, evaluations = part.step, evaluations + spent
            lead = lead if kept else None
            least.append(part.least())
            if (strict and part.lack.min() > 0.0) or self.clock() > self.until_s:
                break
            arrived = self._arrived(whole[:, -1], ground) & (part.lack == 0.0)
            if arrived.any() or (stuck(least) and least[-1] > THERE_CELLS):
                break
            going_on = part.going_on(self.generator)
            whole, lead = whole[going_on], lead and lead.of(going_on)
        whole[:, -1, 2:] = 0.0
        return whole, step, evaluations

    def _let_on(
        self, problem: PlanningProblem, ground: Ground, states: Array, lead: Lead | None,
        index: int,
    ) -> tuple[Windows, int, bool]:
        """Return windows, drawn again until one is free and goes on; whether the first draw did.

        The network is no longer shown where the refused ones came out beyond walls.
        """
        here, shown, best = ground.to_go(states[:, :2]), ground, None
        evaluations = 0
        for draw in range(self.values.num_rounds):
            how = self._how(problem, ground, lead if draw == 0 else None, index)
            drawn, spent = self._window(shown, states, how)
            parts = [self._checked(one, problem, ground) for one in drawn]
            part = parts[0] if len(parts) == 1 else parts[0].better(parts[1])
            best, evaluations = part if best is None else best.better(part), evaluations + spent
            if best.good(here).any() or self.clock() > self.until_s:
                break
            over = self.overlaps(part.knots, part.step, ground)
            shown = hidden(shown, halved(part.knots, part.step)[..., :2], over > 0.0)
        assert best is not None
        return best, evaluations, draw == 0

    def _checked(self, drawn: Array, problem: PlanningProblem, ground: Ground) -> Windows:
        """Return drawn windows, put right and checked."""
        knots, step = self.finished(drawn, problem, ground)
        return Windows(knots, self.lack(knots, step, problem, ground),
                       ground.to_go(knots[:, -1, :2]), step)

    def _how(
        self, problem: PlanningProblem, ground: Ground, lead: Lead | None, index: int
    ) -> Draw:
        """Return how a window is drawn: from noise, or from motions to start from."""
        how = Draw(self.values.num_inference_steps, correct=self.corrected(problem, ground),
                   move=self.moved(problem, ground), observer=self.observer)
        if lead is None:
            return how
        first = index * (self.network.horizon - 1)
        at = np.minimum(first + np.arange(self.network.horizon), lead.knots.shape[1] - 1)
        plan = lead.knots[:, at]
        return dataclasses.replace(
            how, evaluations=lead.evaluations, start=lead.level, plan=plan,
            ends=self._arrived(plan[:, -1], ground) if lead.ends else None)

    def _window(
        self, ground: Ground, states: Array, how: Draw
    ) -> tuple[list[Array], int]:
        """Return a window [B, H, 4], before it the one that ends in the goal, if it is near.

        Those that `how` lets end there already are not drawn again.
        """
        drawn = self.network.draw(ground, states, self.generator, how)
        away = np.linalg.norm(drawn[:, -1, :2] - ground.metres(ground.goal)[:2], axis=1)
        ends = away < NEAR_CELLS * ground.known.resolution_m
        if how.ends is not None:
            ends &= ~how.ends
        if not ends.any():
            return [drawn], how.evaluations
        again = dataclasses.replace(
            how, evaluations=self.values.num_warm_steps, start=ENDING_LEVEL, plan=drawn[ends],
            ends=np.ones(int(ends.sum()), dtype=bool))
        ended = drawn.copy()
        ended[ends] = self.network.draw(ground, states[ends], self.generator, again)
        return [ended, drawn], how.evaluations + again.evaluations

    def _arrived(self, states: Array, ground: Ground) -> NDArray[np.bool_]:
        """Say which states x, y, vx, vy [B, 4] are in the goal, at rest."""
        away = np.linalg.norm(states[:, :2] - ground.metres(ground.goal)[:2], axis=1)
        found: NDArray[np.bool_] = (away < SAME_GOAL_M) & (
            np.abs(states[:, 2:]).max(axis=1) < AT_REST_M_S)
        return found

    def corrected(self, problem: PlanningProblem, ground: Ground) -> Any:
        """Return what improves clean estimates [B, H, 4]: off the walls, along the value."""
        del problem
        keep, step = self.robot.radius_m + self.values.margin_m, self.network.knot_s
        scale = self.values.guidance_scale

        def improve(knots: Array) -> Array:
            if scale > 0.0:
                knots = self.guided(knots, ground, scale)
            return pushed(knots, ground.known, keep, step)

        return improve

    def moved(self, problem: PlanningProblem, ground: Ground) -> Any:
        """Return what acts on the moves of noised knots: nothing."""
        del problem, ground

    def guided(self, knots: Array, ground: Ground, scale: float) -> Array:
        """Return clean estimates that are further on their way: x0(t) <- x0(t + s f(t)).

        The slope of the return sum_k V(p_k) along a motion is its own velocity, as V rises along
        it; the step is taken along the motion, so that it leads into no wall.
        """
        del ground
        lead = scale * np.linspace(0.0, 1.0, knots.shape[1])
        at = np.minimum(np.arange(knots.shape[1]) + lead, knots.shape[1] - 1.0)
        low = np.minimum(at.astype(int), knots.shape[1] - 2)
        share = (at - low)[None, :, None]
        found: Array = (1.0 - share) * knots[:, low] + share * knots[:, low + 1]
        return found

    def finished(
        self, drawn: Array, problem: PlanningProblem, ground: Ground
    ) -> tuple[Array, float]:
        """Return motions [B, 2 K - 1, 4] that the mass can follow, and the time between knots.

        They are kept off the walls (`fitted`) and followed; those that then lack something, but
        go through no wall, are tried again slower and closer to the walls.
        """
        step, ends = 0.5 * self.network.knot_s, at_rest(drawn)
        source = halved(drawn, self.network.knot_s)
        found, left = source.copy(), np.full(len(source), np.inf)
        todo = np.arange(len(source))
        through = self.overlaps(source, step, ground).max(axis=1) >= self.robot.radius_m
        for slower, nearer in TRIALS:
            stop = ends[todo] & (slower == 1.0)
            tried = slowed(source[todo], slower, step)
            for _ in range(self.fittings(problem)):
                tried = self.fitted(tried, nearer, step, problem, ground)
                tried = followed(steadied(tried, step, stop), step, self.robot)
            tried[stop] = ending(tried[stop], drawn[todo[stop], -1, :2], step)
            lack = self.lack(tried, step, problem, ground)
            better = lack < left[todo]
            found[todo[better]], left[todo[better]] = tried[better], lack[better]
            todo = todo[(lack > 0.0) & ~through[todo]]
            if len(todo) == 0:
                break
        return found, step

    def fittings(self, problem: PlanningProblem) -> int:
        """Return how often motions are fitted and followed, each time they are tried."""
        del problem
        return FITTINGS

    def fitted(
        self, knots: Array, share: float, step: float, problem: PlanningProblem, ground: Ground
    ) -> Array:
        """Return motions [B, K, 4] pushed off the walls, by a share of the margin."""
        del problem
        keep = self.robot.radius_m + CLEAR_M + share * (self.values.margin_m - CLEAR_M)
        return pushed(knots, ground.known, keep, step)

    def overlaps(self, knots: Array, knot_s: float, ground: Ground) -> Array:
        """Return what lines of motions [B, K, 4] lack to `CLEAR_M` from walls, [B, 2 K - 2] [m].

        They are the chords of the halves between knots; what lacks at the start is forgiven.
        """
        clear = line_clearances(halved(knots, knot_s)[..., :2], ground.known)
        clear -= self.robot.radius_m + CLEAR_M
        begin = self.robot.clearance(knots[:, 0, :2], ground.known) - CLEAR_M
        found: Array = np.maximum(np.minimum(begin, 0.0)[:, None] - clear, 0.0)
        return found

    def lack(
        self, knots: Array, knot_s: float, problem: PlanningProblem, ground: Ground
    ) -> Array:
        """Return what keeps motions [B, K, 4] from being let on, shape [B]; 0 = nothing."""
        del problem
        found: Array = self.overlaps(knots, knot_s, ground).sum(axis=1)
        return found


def at_rest(drawn: Array) -> NDArray[np.bool_]:
    """Say which windows [B, H, 4] end at rest exactly: those that end in the goal."""
    return np.asarray((drawn[:, -1, 2:] == 0.0).all(axis=1))
