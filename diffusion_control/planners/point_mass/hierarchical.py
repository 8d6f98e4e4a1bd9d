# SPDX-License-Identifier: Apache-2.0
"""Two diffusion models, one above the other: sub-goals, and the motion between them.

The upper model draws windows of few knots that lie far apart in time: its places and speeds are
the sub-goals. The lower one, the usual planner's, starts its windows from the cubics through them:
these are noised to `fill_level` and denoised in `num_fill_steps` evaluations. Where none of the
motions that come out is free, the lower model goes on from noise. Both see the same map and the
same value network; nothing is searched. A previous plan that still leads to the goal is the lower
model's alone, so that sub-goals are drawn at a lower rate.

C. Chen, F. Deng, K. Kawaguchi, C. Gulcehre, S. Ahn, "Simple Hierarchical Planning with Diffusion",
ICLR 2024 (a sparse diffuser gives the sub-goals of a dense one).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.point_mass.diffuser import (
    PointDiffuser,
    PointDiffuserParameters,
)
from diffusion_control.planners.point_mass.map_sampler import Ground, MapSampler
from diffusion_control.planners.point_mass.wall_push import halved
from diffusion_control.planners.point_mass.window_planner import Lead, WindowPlanner
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.robots.point_mass import PointMass

Array = NDArray[np.float64]
SUB_GOALS = 'sub-goals'


@dataclass(frozen=True)
class PointHierarchicalParameters(PointDiffuserParameters):
    """Settings of both models; `num_inference_steps` is of the sub-goals, too."""

    num_fill_steps: int = parameter(2, 1, 500, 'network evaluations between the sub-goals')
    fill_level: float = parameter(
        0.4, 0.05, 1.0, 'noise put on the cubics through the sub-goals: share of the schedule')


class SubGoals(WindowPlanner):
    """Draws sub-goals, which are let on as motions are, but may touch walls.

    Args:
        below: The planner of the motions between them.
        network: The upper model.

    Raises:
        ConfigurationError: The knots of the upper model are not 2, 4, 8, ... of the lower one's.
    """

    def __init__(self, below: PointDiffuser, network: MapSampler) -> None:
        self.below, self.network = below, network
        self.robot = below.robot
        ratio = math.log2(network.knot_s / below.network.knot_s)
        self.halvings = round(ratio)
        if self.halvings < 1 or abs(ratio - self.halvings) > 1e-6:
            raise ConfigurationError(
                'the sub-goals do not fit the motion between them', where='sub_goal_model',
                value=network.knot_s,
                allowed=f'2, 4, 8, ... times {below.network.knot_s} s between knots',
                remedy='planner.model (--model) is the model of the motions between sub-goals')

    def told(self) -> None:
        """Take over what the planner of the motions has been told."""
        observer = self.below.observer
        self.generator, self.observer = self.below.generator, None if observer is None else (
            lambda step: observer(dataclasses.replace(step, part=SUB_GOALS)))
        self.values = dataclasses.replace(self.below.values, num_rounds=1)
        self.clock, self.until_s = self.below.clock, self.below.until_s

    def lead(self, problem: PlanningProblem, ground: Ground) -> tuple[Lead, int]:
        """Return the cubics through new sub-goals, and what these cost in evaluations.

        Where some lead to the goal through free space, they stand in for the others.
        """
        self.told()
        ground = self.network.ground(ground.known, ground.metres(ground.goal)[:2])
        knots, step, evaluations = self.windows(problem, ground)
        fit = self._arrived(knots[:, -1], ground) & (
            self.lack(knots, step, problem, ground) == 0.0)
        if fit.any():
            knots[~fit] = knots[self.generator.choice(np.flatnonzero(fit), int((~fit).sum()))]
        return Lead(knots[:, ::2], self.values.num_fill_steps, self.values.fill_level,
                    ends=True), evaluations

    def guided(self, knots: Array, ground: Ground, scale: float) -> Array:
        """Return sub-goals that are ahead by as much time as the motions between them are."""
        return super().guided(knots, ground, scale / 2**self.halvings)

    def finished(
        self, drawn: Array, problem: PlanningProblem, ground: Ground
    ) -> tuple[Array, float]:
        """Return the cubics through sub-goals [B, H, 4], put right as motions are."""
        step = self.network.knot_s
        for _ in range(self.halvings):
            drawn, step = halved(drawn, step), 0.5 * step
        return self.below.finished(drawn, problem, ground)

    def lack(
        self, knots: Array, knot_s: float, problem: PlanningProblem, ground: Ground
    ) -> Array:
        """Return what sub-goals overlap with walls beyond the radius of the mass, shape [B].

        A corner that they cut is the lower model's to go round; a wall between them is not.
        """
        del problem
        found = self.overlaps(knots, knot_s, ground) - self.robot.radius_m
        return np.asarray(np.maximum(found, 0.0).sum(axis=1))


class PointHierarchical(PointDiffuser):
    """Plans with two trained networks; arguments as for `PointDiffuser`, and one more.

    Args:
        robot: The point mass.
        sub_goal_model: Folder, name in `models/`, or None: the shipped one.
        **params: As for `PointDiffuser`.
    """

    name = 'hierarchical'
    options: tuple[str, ...] = (*PointDiffuser.options, 'sub_goal_model')
    parameters_type: type[PointDiffuserParameters] = PointHierarchicalParameters

    def __init__(self, robot: PointMass, *, sub_goal_model: Any = None, **params: Any) -> None:
        super().__init__(robot, **params)
        self.upper = SubGoals(self, MapSampler(
            robot, sub_goal_model, planner=self.name, backend=params.get('backend', 'onnx'),
            require_gpu=params.get('backend_require_gpu', False), clock=self.clock))

    def info(self) -> dict[str, Any]:
        """Return name, parameters, and the models that are run."""
        return {**super().info(), 'sub_goals': self.upper.network.chain.sampler.info()}

    def windows(
        self, problem: PlanningProblem, ground: Ground, lead: Lead | None = None, *,
        strict: bool = False,
    ) -> tuple[Array, float, int]:
        """Return whole motions; see `WindowPlanner.windows`. Without a lead, new sub-goals are."""
        above = 0
        if lead is None:
            lead, above = self.upper.lead(problem, ground)
        knots, step, spent = super().windows(problem, ground, lead, strict=strict)
        return knots, step, above + spent
