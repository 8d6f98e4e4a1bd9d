# SPDX-License-Identifier: Apache-2.0
"""The trained diffusion planner of a point mass: windows of motion, drawn one after the other.

M. Janner, Y. Du, J. Tenenbaum, S. Levine, "Planning with Diffusion for Flexible Behavior
Synthesis", ICML 2022 (start and goal are inpainted, values guide, the best of several candidates
is taken, warm start from the previous plan).

Motions are drawn window by window (`window_planner`). The whole motions are rated by their time to
the goal; one that goes through a wall is refused.
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
from diffusion_control.planners.point_mass.map_sampler import Ground, MapSampler
from diffusion_control.planners.point_mass.planner import map_in, place_in
from diffusion_control.planners.point_mass.window_planner import (
    CLEAR_M,
    SAME_GOAL_M,
    Lead,
    WindowPlanner,
)
from diffusion_control.planners.problem import PlanningProblem, PlanSet
from diffusion_control.robots.point_mass import PointMass
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
DIFFUSION = 'diffusion'
BLOCKED_COST, REFUSED_COST, UNREACHED_COST, BLOCKED_M, GOOD_COST = 20.0, 1e3, 0.3, 0.03, 0.2
PLANS = 4


@dataclass(frozen=True)
class PointDiffuserParameters:
    """Settings of the trained planner of a point mass."""

    num_candidates: int = parameter(8, 1, 4096, 'motions drawn at once')
    num_inference_steps: int = parameter(6, 1, 500, 'network evaluations from noise')
    num_warm_steps: int = parameter(2, 1, 500, 'network evaluations from the previous plan')
    warm_start_level: float = parameter(
        0.4, 0.05, 1.0, 'noise put on the previous plan: share of the schedule that is run')
    num_rounds: int = parameter(
        4, 1, 100, 'draws of a window, where no candidate is free and goes on')
    guidance_scale: float = parameter(
        1.0, 0.0, 100.0, 'step along the slope of the value of clean estimates [cells]')
    margin_m: float = parameter(
        0.07, 0.0, 0.3, 'clearance to walls that clean estimates are pushed to [m]')


class PointDiffuser(WindowPlanner):
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
    options: tuple[str, ...] = ('model', 'backend', 'backend_require_gpu')
    parameters_type: type[PointDiffuserParameters] = PointDiffuserParameters
    refuses = True
    """Whether no plan is given where the best one goes through a wall."""

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
        lead, evaluations = self.lead(problem, ground), 0
        motions: list[Trajectory] = []
        rated: list[dict[str, Array]] = []
        for count in range(PLANS):
            knots, knot_s, spent = self.windows(
                problem, ground, lead, strict=self.refuses and count < PLANS - 1)
            evaluations, lead = evaluations + spent, None
            motions += [
                self._motion(motion, knot_s, problem.start.stamp_s) for motion in knots]
            rated.append(self.rated(knots, knot_s, problem, ground))
            if (rated[-1]['blocked'] + rated[-1]['unreached']).min() < GOOD_COST:
                break
        costs = {name: np.concatenate([part[name] for part in rated]) for name in rated[0]}
        total = np.sum(list(costs.values()), axis=0)
        order = np.argsort(total, kind='stable')
        return PlanSet(
            tuple(motions[k] for k in order), -total[order],
            0 if total[order[0]] < REFUSED_COST or not self.refuses else None,
            {name: values[order] for name, values in costs.items()}, evaluations=evaluations,
            latency_s=self.clock() - begin, source=DIFFUSION, seed=self.seed)

    def lead(self, problem: PlanningProblem, ground: Ground) -> Lead | None:
        """Return the previous plan if it still leads to the goal through free space."""
        previous = problem.previous
        if previous is None or previous.end_s <= problem.start.stamp_s:
            return None
        away = np.linalg.norm(previous.position[-1] - ground.metres(ground.goal)[:2])
        step = self.network.knot_s
        ahead, velocity, _ = previous.sample_many(np.arange(
            problem.start.stamp_s, previous.end_s + step, step))
        knots = np.concatenate([ahead, velocity], axis=1)[None]
        if away > SAME_GOAL_M or self.overlaps(knots, step, ground).max() > BLOCKED_M:
            return None
        return Lead(np.repeat(knots, self.values.num_candidates, 0),
                    self.values.num_warm_steps, self.values.warm_start_level)

    def rated(
        self, knots: Array, knot_s: float, problem: PlanningProblem, ground: Ground
    ) -> dict[str, Array]:
        """Return the costs of motions [B, K, 4]: seconds to the goal, cells left, overlaps.

        A motion whose middle enters a wall is refused.
        """
        length = knots.shape[1]
        goal = ground.metres(ground.goal)[:2]
        near = np.linalg.norm(knots[..., :2] - goal, axis=2) < 0.5 * ground.known.resolution_m
        first = np.where(near.any(axis=1), near.argmax(axis=1), length)
        left = np.where(near.any(axis=1), 0.0, ground.to_go(knots[:, -1, :2]))
        away = np.linalg.norm(knots[:, -1, :2] - goal, axis=1) > SAME_GOAL_M
        deepest = self.overlaps(knots, knot_s, ground).max(axis=1)
        return {'time': knot_s * first, 'unreached': UNREACHED_COST * (left + away),
                'blocked': BLOCKED_COST * self.lack(knots, knot_s, problem, ground)
                + REFUSED_COST * (deepest >= self.robot.radius_m + CLEAR_M)}

    def _motion(self, knots: Array, knot_s: float, stamp_s: float) -> Trajectory:
        """Return a motion as a trajectory."""
        times = knot_s * np.arange(len(knots), dtype=float)
        return Trajectory(
            stamp_s, times, knots[:, :2].copy(), knots[:, 2:].copy(),
            np.gradient(knots[:, 2:], knot_s, axis=0), self.robot.joint_names,
            self.robot.base_frame)
