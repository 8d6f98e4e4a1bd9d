# SPDX-License-Identifier: Apache-2.0
"""The training-free planner at conservative speed, as a fallback without search."""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.planners.parameters import parameter
from diffusion_control.planners.training_free import (
    TrainingFreeParameters,
    TrainingFreePlanner,
)


@dataclass(frozen=True)
class SlowParameters(TrainingFreeParameters):
    """Slower than the planner of the same kind."""

    speed_scale: float = parameter(0.35, 0.05, 0.95, 'share of the limits to plan with')


class SlowTrainingFreeFallback(TrainingFreePlanner):
    """Model-based diffusion with a small share of the limits."""

    parameters_type = SlowParameters
