# SPDX-License-Identifier: Apache-2.0
"""The conservative plan of a base to the same goal: A* with more room, at low speed."""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.planners.base.astar import BaseAstar
from diffusion_control.planners.base.base_planner import BaseParameters
from diffusion_control.planners.parameters import parameter


@dataclass(frozen=True)
class BaseClassicalParameters(BaseParameters):
    """Slower and further away than the planner of the same kind."""

    margin_m: float = parameter(0.05, 0.0, 0.5, 'least clearance to obstacles and walls [m]')
    speed_scale: float = parameter(0.5, 0.05, 0.95, 'share of the limits to plan with')


class BaseClassicalFallback(BaseAstar):
    """A* at conservative speed."""

    name = 'classical'
    parameters_type = BaseClassicalParameters
