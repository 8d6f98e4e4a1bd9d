# SPDX-License-Identifier: Apache-2.0
"""Parameters of the fallback."""

from __future__ import annotations

from diffusion_control.parameters.common import AUTOSTART, COMMON, SURROUNDINGS, real_time
from diffusion_control.parameters.table import Parameter

FALLBACK: tuple[Parameter, ...] = (
    *COMMON,
    *SURROUNDINGS,
    AUTOSTART,
    Parameter(
        'type', 'string', 'classical',
        'What drives when the planner is lost: search and timing, the way back that was come, '
        'the planner without training at a slow pace, or nothing (stop and stand).',
        choices=('classical', 'training_free', 'retreat', 'hold')),
    Parameter(
        'rate_hz', 'float', 10.0,
        'How often it is looked at whether a plan is wanted and whether the running one still '
        'holds.', 'Hz', 1.0, 50.0),
    Parameter(
        'deadline_s', 'float', 0.5, 'Time that one search may take.', 's', 0.05, 5.0,
        read_only=False),
    Parameter('seed', 'int', 0, 'Seed of the search.', minimum=0, maximum=2**31 - 1),
    *real_time(nice=10),
)
