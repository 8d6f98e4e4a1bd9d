# SPDX-License-Identifier: Apache-2.0
"""Noise schedules by name."""

from __future__ import annotations

from typing import Any

from diffusion_control.diffusion.levels import Schedule
from diffusion_control.diffusion.schedules.discrete import cosine_schedule, linear_schedule
from diffusion_control.diffusion.schedules.edm import EdmSchedule
from diffusion_control.diffusion.schedules.flow import FlowSchedule
from diffusion_control.errors import require_known

SCHEDULES: dict[str, Any] = {
    'linear': linear_schedule,
    'cosine': cosine_schedule,
    'edm': EdmSchedule,
    'flow': FlowSchedule,
}


def make_schedule(name: str, **options: Any) -> Schedule:
    """Return the schedule of that name.

    Raises:
        ConfigurationError: An unknown name.
    """
    require_known('Unknown noise schedule.', 'schedule', name, SCHEDULES)
    schedule: Schedule = SCHEDULES[name](**options)
    return schedule
