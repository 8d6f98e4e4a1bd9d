# SPDX-License-Identifier: Apache-2.0
"""Planners: one file each, behind `Planner.plan(problem) -> PlanSet`, in a registry by name."""

from diffusion_control.planners.problem import PlanningError, PlanningProblem, PlanSet
from diffusion_control.planners.protocol import Planner
from diffusion_control.planners.registry import (
    available,
    available_fallbacks,
    make,
    make_fallback,
    parameters_of,
    settings_for,
)

__all__ = [
    'PlanSet', 'Planner', 'PlanningError', 'PlanningProblem', 'available', 'available_fallbacks',
    'make', 'make_fallback', 'parameters_of', 'settings_for']
