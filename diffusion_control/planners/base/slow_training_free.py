# SPDX-License-Identifier: Apache-2.0
"""The training-free planner of a base at conservative speed, as a fallback without search."""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.planners.base.training_free import (
    BaseTrainingFree,
    BaseTrainingFreeParameters,
)
from diffusion_control.planners.parameters import parameter


@dataclass(frozen=True)
class BaseSlowParameters(BaseTrainingFreeParameters):
    """Slower than the planner of the same kind."""

    speed_scale: float = parameter(0.5, 0.05, 0.95, 'share of the limits to plan with')


class BaseSlowTrainingFree(BaseTrainingFree):
    """Model-based diffusion with a small share of the limits."""

    parameters_type = BaseSlowParameters
