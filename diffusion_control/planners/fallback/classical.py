# SPDX-License-Identifier: Apache-2.0
"""The conservative plan to the same goal: stop, search, and go slowly."""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.rrt_connect import RrtConnectParameters, RrtConnectPlanner


@dataclass(frozen=True)
class ClassicalParameters(RrtConnectParameters):
    """Slower and further away than the planner of the same kind."""

    search_s: float = parameter(0.6, 0.01, 60.0, 'longest time of the search [s]')
    margin_m: float = parameter(
        0.025, 0.0, 0.2, 'clearance to search with [m]; 60 % of it is what a motion must keep')
    speed_scale: float = parameter(0.35, 0.05, 0.95, 'share of the limits to plan with')


class ClassicalFallback(RrtConnectPlanner):
    """RRT-Connect and TOPP-RA at conservative speed, after a jerk-limited stop."""

    name = 'classical'
    parameters_type = ClassicalParameters
