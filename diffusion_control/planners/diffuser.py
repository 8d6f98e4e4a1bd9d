# SPDX-License-Identifier: Apache-2.0
"""The trained diffusion planner of an arm: motions out of a network, screened and refined.

M. Janner, Y. Du, J. Tenenbaum, S. Levine, "Planning with Diffusion for Flexible Behavior
Synthesis", ICML 2022 (whole motions are denoised, warm start from the previous plan); Y. Lipman et
al., "Flow Matching for Generative Modeling", ICLR 2023 (how this network is trained); J. Carvalho
et al., "Motion Planning Diffusion", IROS 2023 (cost guidance for arms), and "Motion Planning
Diffusion: Learning and Adapting Robot Motion Planning with Diffusion Models", arXiv:2412.19948
(its control points of a B-spline in place of waypoints).

From noise, or from the previous plan re-noised to `warm_start_level`, the network draws motions
whose start and goal are exact by construction. The cheapest are kept and descend the collision
cost of `spline_problem`; between evaluations the clean estimates may descend it, too. A kept plan
is refined beside what is drawn around it, so that it gets shorter from plan to plan; its source
stays what it was when its path came up.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.planners.deadline import DRAW, Clock
from diffusion_control.planners.graph_guidance import GUIDES, KERNEL
from diffusion_control.planners.models import TRAINED
from diffusion_control.planners.motion_sampler import Barrier, Draw, MotionSampler
from diffusion_control.planners.parameters import choice, parameter
from diffusion_control.planners.problem import Start
from diffusion_control.planners.selection import Pool, by_cost, polish
from diffusion_control.planners.spline_planner import (
    AT_GOAL_RAD,
    Request,
    SplineParameters,
    SplinePlanner,
)
from diffusion_control.planners.spline_problem import SplineProblem
from diffusion_control.planners.world import World

Array = NDArray[np.float64]
DIFFUSION, STRAIGHT_LINE = 'diffusion', 'straight_line'
GOALS_AT_ONCE = 2
RESERVE_S = 0.03
BLOCKED_LEVEL = 0.7
LEAST_DRAWN, DRAWN_SHARE = 8, 0.5
SERIES, IN_A_SERIES = 3, 40


@dataclass(frozen=True)
class DiffuserParameters(SplineParameters):
    """Settings of the trained planner."""

    num_samples: int = parameter(64, 1, 4096, 'motions drawn from the network at once')
    num_warm_samples: int = parameter(16, 1, 4096, 'the same while the previous plan is free')
    num_inference_steps: int = parameter(2, 1, 500, 'network evaluations from noise')
    warm_start_level: float = parameter(
        0.2, 0.05, 1.0, 'noise put on the previous plan: share of the schedule that is run')
    keep_ratio: float = parameter(
        0.98, 0.1, 1.0, 'a new plan must be shorter than this share of the kept one')
    guidance_scale: float = parameter(
        1.0, 0.01, 100.0, 'weight of the collision cost where motions descend')
    guidance_steps: int = parameter(
        2, 0, 100, 'gradient steps on the clean estimates between evaluations')
    guide: str = choice(
        KERNEL, GUIDES, 'what takes them: the compiled kernel, or the graph of a model that can')
    num_kept: int = parameter(24, 1, 4096, 'motions, the cheapest, that are refined')
    polish_steps: int = parameter(20, 0, 200, 'gradient steps of the refinement')
    shorten: int = parameter(
        1, 0, 1, '0: motions are pushed out of what they touch, and the least moved is taken')


class DiffuserPlanner(SplinePlanner):
    """Plans with a trained network, warm-started from its previous plan.

    Args:
        robot: The arm.
        model: Folder, name in `models/`, or None: the shipped one for the robot.
        seed: Seed of the random numbers.
        clock: Monotonic clock [s].
        backend: What runs the network, see `inference.available_backends()`.
        backend_require_gpu: Refuse a CPU.
        **params: Fields of `parameters_type`.
    """

    name = TRAINED
    sources: tuple[str, ...] = (DIFFUSION, STRAIGHT_LINE)
    options = ('model', 'backend', 'backend_require_gpu')
    rounds = 2
    parameters_type = DiffuserParameters

    def __init__(
        self, robot: Any, *, model: Any = None, seed: int = 0, clock: Clock = time.perf_counter,
        backend: str = 'onnx', backend_require_gpu: bool = False, **params: Any,
    ) -> None:
        super().__init__(robot, seed=seed, clock=clock, **params)
        self.network = MotionSampler(
            robot, model, planner=DiffuserPlanner.name, backend=backend,
            require_gpu=backend_require_gpu, clock=clock, guide=self.values.guide)
        self._home = self._question()
        self.network.warm_up(*self._home, self.values.num_samples)

    def require_deadline(self, deadline_s: float) -> None:
        """Refuse a deadline of which a single evaluation takes more than half, p99.

        Measured in several series, of which the least counts: a neighbour's burst is not ours.

        Raises:
            ConfigurationError: With the time that was measured.
        """
        measured_s, count = math.inf, self.values.num_samples
        for _ in range(SERIES):
            spent_s = self.network.evaluation_s(*self._home, count, IN_A_SERIES)
            measured_s = min(measured_s, float(np.percentile(spent_s, 99.0)))
            if measured_s <= deadline_s / 2:
                return
        raise ConfigurationError(
            'the model is too slow here for this deadline', where='planner.deadline_s',
            value=deadline_s, allowed=f'>= {2 * measured_s:.4f} s: one evaluation for {count} '
                                      f'motions takes {1e3 * measured_s:.1f} ms (p99)',
            remedy='a longer planner.deadline_s, a smaller model, or planner.type: training_free')

    def info(self) -> dict[str, Any]:
        """Return name, parameters, and the model that is run."""
        return {**super().info(), 'inference': self.network.chain.sampler.info()}

    def evaluations(self, request: Request) -> int:
        """Return the evaluations of the network that a plan took."""
        return request.network_evaluations

    def propose(self, request: Request, until: float) -> Pool:
        """Draw motions, keep the cheapest, refine them."""
        if request.at_goal:
            return self._last_bit(request)
        pool = self.screen(request, self.drawn(request, self.search_until(until, RESERVE_S)))
        self.searched = self.clock()
        if self.values.polish_steps == 0:
            return pool
        return polish(
            request.splines, pool, count=self.values.num_kept, steps=self.values.polish_steps,
            due=self.due, shorten=bool(self.values.shorten))

    def _last_bit(self, request: Request) -> Pool:
        """Return the line to a goal that the robot is at.

        It holds the end of the plan that led here, and so has its source; without such a plan it
        is a straight line, because no network proposed it.
        """
        line, previous = request.lines(1), request.problem.previous
        led_here = previous is not None and bool(
            np.abs(previous.position[-1] - line.goal[0]).max() < AT_GOAL_RAD)
        source = self._source if led_here and self._source in self.sources else STRAIGHT_LINE
        return replace(line, origin=np.array([self.sources.index(source)]))

    def drawn(self, request: Request, until: float) -> Pool:
        """Return motions out of the network, with their durations, and what is kept of a plan."""
        values, warm = self.values, request.kept_spline()
        if warm is not None and request.kept_free:
            near = self._from(
                request, warm, values.num_warm_samples, values.warm_start_level, until)
            if self._source not in self.sources:
                return near
            origin = np.array([self.sources.index(self._source)])
            return near.join(replace(warm, origin=origin))
        lines = request.lines(GOALS_AT_ONCE)
        shares = np.array_split(np.arange(values.num_samples), len(lines.free))
        pools = [] if warm is None else [
            self._from(request, warm, values.num_warm_samples, BLOCKED_LEVEL, until)]
        for goal, duration, share in zip(lines.goal, lines.duration, shares, strict=True):
            if pools and self.clock() > until:
                break
            pools.append(self._draw(
                request, goal, float(duration), len(share),
                Draw(values.num_inference_steps, 1.0, values.guidance_steps, until)))
        return reduce(Pool.join, pools)

    def barrier(self, request: Request) -> Barrier | None:
        """Return what the noised motions of a run are kept by; None = nothing."""
        del request
        return None

    def screen(self, request: Request, pool: Pool) -> Pool:
        """Return the cheapest motions of a pool."""
        return pool.take(by_cost(request.splines, pool)[:self.values.num_kept])

    def _from(
        self, request: Request, warm: Pool, count: int, level: float, until: float
    ) -> Pool:
        """Return motions from the previous plan re-noised to a level."""
        steps = max(1, round(level * self.values.num_inference_steps))
        return self._draw(
            request, warm.goal[0], float(warm.duration[0]), count, Draw(steps, level, 0, until),
            plan=warm.free[0])

    def _draw(
        self, request: Request, goal: Array, duration_s: float, count: int, how: Draw,
        plan: Array | None = None,
    ) -> Pool:
        """Return motions to a goal, fewer where one evaluation for all would take too long."""
        each_s, began = self.due.each_s[DRAW], self.clock()
        if each_s > 0.0 and math.isfinite(how.until_s):
            most = int(DRAWN_SHARE * (how.until_s - began) / each_s)
            count = min(count, max(most, LEAST_DRAWN))
        free, evaluations = self.network.draw(
            request.splines, goal, duration_s, self.generator, max(count, 1), how, plan,
            self.observer, self.barrier(request))
        request.network_evaluations += evaluations
        self.due.note(DRAW, self.clock() - began, len(free) * evaluations)
        return request.timed(free, np.repeat(goal[None], len(free), 0))

    def _question(self) -> tuple[SplineProblem, Array]:
        """Return the question that the network is warmed up and timed with."""
        home = np.asarray(self.robot.home_rad, dtype=float)
        rest = np.zeros_like(home)
        splines = SplineProblem(
            World(self.robot, (), margin_m=self.values.margin_m), Start(0.0, home, rest, rest),
            self.robot.limits.scaled(self.values.speed_scale))
        return splines, home + 0.1
