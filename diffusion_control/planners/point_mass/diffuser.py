# SPDX-License-Identifier: Apache-2.0
"""The trained diffusion planner of a point mass: windows of motion, drawn one after the other.

M. Janner, Y. Du, J. Tenenbaum, S. Levine, "Planning with Diffusion for Flexible Behavior
Synthesis", ICML 2022 (start and goal are inpainted, values guide, the best of several candidates
is taken, warm start from the previous plan).

A window of H knots begins exactly where the one before ends. The network sees walls and what its
value iteration network says around the window's start. A window that comes near the goal is drawn
again with the goal inpainted as its last knot. The candidates are rated by their time to the goal
and by how far they are in walls; the best one is published.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.planners.deadline import Clock
from diffusion_control.planners.models import TRAINED
from diffusion_control.planners.parameters import parameter, read_parameters
from diffusion_control.planners.point_mass.map_sampler import Draw, Ground, MapSampler
from diffusion_control.planners.point_mass.planner import map_in, place_in
from diffusion_control.planners.point_mass.wall_push import halved, pushed
from diffusion_control.planners.problem import PlanningProblem, PlanSet
from diffusion_control.robots.point_mass import PointMass
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
DIFFUSION = 'diffusion'
NEAR_CELLS, SAME_GOAL_M = 0.7, 0.1
ENDING_LEVEL = 0.5
WALL_COST, UNREACHED_COST, BLOCKED_M, GOOD_COST = 20.0, 0.3, 0.02, 0.2
MOST_WINDOWS, DONE_SHARE = 12, 0.5
AT_REST_M_S = 0.02


@dataclass(frozen=True)
class PointDiffuserParameters:
    """Settings of the trained planner of a point mass."""

    num_candidates: int = parameter(8, 1, 4096, 'motions drawn at once')
    num_inference_steps: int = parameter(6, 1, 500, 'network evaluations from noise')
    num_warm_steps: int = parameter(2, 1, 500, 'network evaluations from the previous plan')
    warm_start_level: float = parameter(
        0.4, 0.05, 1.0, 'noise put on the previous plan: share of the schedule that is run')
    num_rounds: int = parameter(
        3, 1, 100, 'rounds of candidates, where none is free and reaches the goal')
    guidance_scale: float = parameter(
        1.0, 0.0, 100.0, 'step along the slope of the value of clean estimates [cells]')
    margin_m: float = parameter(
        0.02, 0.0, 0.3, 'clearance to walls that clean estimates are pushed to [m]')


class PointDiffuser:
    """Plans with a trained network.

    Args:
        robot: The point mass.
        model: Folder, name in `models/`, or None: the shipped one.
        seed: Seed of the random numbers.
        clock: Monotonic clock [s].
        backend: What runs the network, see `inference.available_backends()`.
        backend_require_gpu: Refuse a CPU.
        **params: Fields of `parameters_type`.
    """

    name = TRAINED
    options = ('model', 'backend', 'backend_require_gpu')
    parameters_type: type[PointDiffuserParameters] = PointDiffuserParameters

    def __init__(
        self, robot: PointMass, *, model: Any = None, seed: int = 0,
        clock: Clock = time.perf_counter, backend: str = 'onnx',
        backend_require_gpu: bool = False, **params: Any,
    ) -> None:
        self.robot, self.clock = robot, clock
        self.values: Any = read_parameters(self.parameters_type, self.name, params)
        self.network = MapSampler(
            robot, model, planner=TRAINED, backend=backend, require_gpu=backend_require_gpu,
            clock=clock)
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Begin the random numbers anew."""
        self.seed, self.generator = seed, np.random.default_rng(seed)

    def info(self) -> dict[str, Any]:
        """Return name, parameters, and the model that is run."""
        return {'name': self.name, 'seed': self.seed, **dataclasses.asdict(self.values),
                'inference': self.network.chain.sampler.info()}

    def plan(self, problem: PlanningProblem, deadline_s: float | None = None) -> PlanSet:
        """Return the candidates, best first; see `Planner.plan`."""
        del deadline_s
        begin = self.clock()
        ground = self.network.ground(map_in(problem), place_in(problem))
        previous, evaluations = self.kept(problem, ground), 0
        motions: list[Trajectory] = []
        rated: list[dict[str, Array]] = []
        for _ in range(self.values.num_rounds):
            knots, spent = self.windows(problem, ground, previous)
            knots, knot_s = self.finished(knots, problem, ground)
            evaluations, previous = evaluations + spent, None
            motions += [
                self._motion(motion, knot_s, problem.start.stamp_s) for motion in knots]
            rated.append(self.rated(knots, knot_s, ground))
            if (rated[-1]['walls'] + rated[-1]['unreached']).min() < GOOD_COST:
                break
        costs = {name: np.concatenate([part[name] for part in rated]) for name in rated[0]}
        total = np.sum(list(costs.values()), axis=0)
        order = np.argsort(total, kind='stable')
        return PlanSet(
            tuple(motions[k] for k in order), -total[order], 0,
            {name: values[order] for name, values in costs.items()}, evaluations=evaluations,
            latency_s=self.clock() - begin, source=DIFFUSION, seed=self.seed)

    def windows(
        self, problem: PlanningProblem, ground: Ground, previous: Trajectory | None = None
    ) -> tuple[Array, int]:
        """Return whole motions [B, K, 4] and the network evaluations of each.

        Args:
            problem: The question.
            ground: Its map, with the goal.
            previous: Plan to start from; None = from noise.
        """
        count, evaluations = self.values.num_candidates, 0
        start = np.concatenate([problem.start.position, problem.start.velocity])
        whole = np.repeat(start[None, None], count, 0)
        for index in range(MOST_WINDOWS):
            how = Draw(self.values.num_inference_steps, correct=self.corrected(problem, ground),
                       move=self.moved(problem, ground))
            if previous is not None:
                how = dataclasses.replace(
                    how, evaluations=self.values.num_warm_steps,
                    start=self.values.warm_start_level,
                    plan=self._ahead(previous, problem, index, count))
            drawn, spent = self._window(ground, whole[:, -1], how)
            evaluations += spent
            whole = np.concatenate([whole, drawn[:, 1:]], axis=1)
            if self._arrived(whole[:, -1], ground).mean() >= DONE_SHARE:
                break
        return whole, evaluations

    def _window(self, ground: Ground, states: Array, how: Draw) -> tuple[Array, int]:
        """Return one window [B, H, 4]; with the goal at its end where it came near to it."""
        drawn = self.network.draw(ground, states, self.generator, how)
        away = np.linalg.norm(drawn[:, -1, :2] - ground.metres(ground.goal)[:2], axis=1)
        ends = away < NEAR_CELLS * ground.known.resolution_m
        if not ends.any():
            return drawn, how.evaluations
        again = dataclasses.replace(
            how, evaluations=self.values.num_warm_steps, start=ENDING_LEVEL, plan=drawn[ends],
            ends=np.ones(int(ends.sum()), dtype=bool))
        drawn[ends] = self.network.draw(ground, states[ends], self.generator, again)
        return drawn, how.evaluations + again.evaluations

    def kept(self, problem: PlanningProblem, ground: Ground) -> Trajectory | None:
        """Return the previous plan if it still leads to the goal through free space."""
        previous = problem.previous
        if previous is None or previous.end_s <= problem.start.stamp_s:
            return None
        away = np.linalg.norm(previous.position[-1] - ground.metres(ground.goal)[:2])
        ahead, _, _ = previous.sample_many(np.arange(
            problem.start.stamp_s, previous.end_s, 0.5 * self.network.knot_s))
        free = (self.robot.clearance(ahead, ground.known) >= -BLOCKED_M).all()
        return previous if away <= SAME_GOAL_M and free else None

    def _ahead(
        self, previous: Trajectory, problem: PlanningProblem, index: int, count: int
    ) -> Array:
        """Return the previous plan at the knots of a window, shape [B, H, 4]."""
        first = problem.start.stamp_s + index * (self.network.horizon - 1) * self.network.knot_s
        position, velocity, _ = previous.sample_many(
            first + self.network.knot_s * np.arange(self.network.horizon, dtype=float))
        return np.repeat(np.concatenate([position, velocity], axis=1)[None], count, 0)

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
        self, whole: Array, problem: PlanningProblem, ground: Ground
    ) -> tuple[Array, float]:
        """Return motions [B, 2 K - 1, 4] off the walls, at rest at the end, and their spacing."""
        del problem
        keep, step = self.robot.radius_m + self.values.margin_m, 0.5 * self.network.knot_s
        found = pushed(halved(whole, self.network.knot_s), ground.known, keep, step)
        found[:, -1, 2:] = 0.0
        return found, step

    def rated(self, knots: Array, knot_s: float, ground: Ground) -> dict[str, Array]:
        """Return the costs of motions [B, K, 4]: seconds to the goal, and metres in walls."""
        count, length, _ = knots.shape
        goal = ground.metres(ground.goal)[:2]
        near = np.linalg.norm(knots[..., :2] - goal, axis=2) < 0.5 * ground.known.resolution_m
        first = np.where(near.any(axis=1), near.argmax(axis=1), length)
        left = np.where(near.any(axis=1), 0.0, -ground.value_at(knots[:, -1, :2]))
        points = halved(knots, knot_s)[..., :2].reshape(-1, 2)
        clear = self.robot.clearance(points, ground.known).reshape(count, -1)
        return {'time': knot_s * first, 'unreached': UNREACHED_COST * left,
                'walls': WALL_COST * np.maximum(-clear, 0.0).sum(axis=1)}

    def _motion(self, knots: Array, knot_s: float, stamp_s: float) -> Trajectory:
        """Return a motion as a trajectory."""
        times = knot_s * np.arange(len(knots), dtype=float)
        return Trajectory(
            stamp_s, times, knots[:, :2].copy(), knots[:, 2:].copy(),
            np.gradient(knots[:, 2:], knot_s, axis=0), self.robot.joint_names,
            self.robot.base_frame)
