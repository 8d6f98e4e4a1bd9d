# SPDX-License-Identifier: Apache-2.0
"""Two diffusion models, one above the other: sub-goals, and the motion between them.

The upper model draws windows of few knots that lie far apart in time; its places and speeds are
sub-goals. The lower one, the usual planner's, starts its windows from the cubics through them:
they are noised to `fill_level` and denoised in `num_fill_steps` evaluations. Both see the same map
and the same value network; nothing is searched.

C. Chen, F. Deng, K. Kawaguchi, C. Gulcehre, S. Ahn, "Simple Hierarchical Planning with Diffusion",
ICLR 2024 (a sparse diffuser gives the sub-goals of a dense one).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class PointHierarchicalParameters(PointDiffuserParameters):
    """Settings of the two models; `num_inference_steps` is of the sub-goals."""

    num_fill_steps: int = parameter(3, 1, 500, 'network evaluations between the sub-goals')
    fill_level: float = parameter(
        0.6, 0.05, 1.0, 'noise put on the cubics through the sub-goals: share of the schedule')


class SubGoals(WindowPlanner):
    """Draws the sub-goals; arguments are the attributes of `WindowPlanner`."""

    def __init__(
        self, robot: PointMass, network: MapSampler, values: PointHierarchicalParameters
    ) -> None:
        self.robot, self.network, self.values = robot, network, values


class PointHierarchical(PointDiffuser):
    """Plans with two trained networks; arguments as for `PointDiffuser`, and `upper_model`.

    Args:
        robot: The point mass.
        upper_model: Folder, name in `models/`, or None: the shipped one.
        **params: As for `PointDiffuser`.
    """

    name = 'hierarchical'
    options: tuple[str, ...] = (*PointDiffuser.options, 'upper_model')
    parameters_type: type[PointDiffuserParameters] = PointHierarchicalParameters

    def __init__(self, robot: PointMass, *, upper_model: Any = None, **params: Any) -> None:
        super().__init__(robot, **params)
        self.upper = SubGoals(robot, MapSampler(
            robot, upper_model, planner=self.name, backend=params.get('backend', 'onnx'),
            require_gpu=params.get('backend_require_gpu', False), clock=self.clock), self.values)
        ratio = math.log2(self.upper.network.knot_s / self.network.knot_s)
        if ratio <= 0.0 or abs(ratio - round(ratio)) > 1e-6:
            raise ConfigurationError(
                'the sub-goals do not fit the motion between them', where='upper_model',
                value=self.upper.network.knot_s,
                allowed=f'2, 4, 8, ... times {self.network.knot_s} s between knots')

    def info(self) -> dict[str, Any]:
        """Return name, parameters, and the models that are run."""
        return {**super().info(), 'upper': self.upper.network.chain.sampler.info()}

    def fresh(self, problem: PlanningProblem, ground: Ground) -> tuple[Lead | None, int]:
        """Return the cubics through new sub-goals, and what they cost in evaluations."""
        self.upper.generator = self.generator
        knots, step, evaluations = self.upper.windows(problem, ground)
        while step > 1.5 * self.network.knot_s:
            knots, step = halved(knots, step), 0.5 * step
        return Lead(knots, self.values.num_fill_steps, self.values.fill_level), evaluations
