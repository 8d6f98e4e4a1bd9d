# SPDX-License-Identifier: Apache-2.0
"""Limits that may be tightened while the robot runs, and never loosened.

A live change is one more way to be wrong in the dangerous direction, so only the safe one exists:
loosening needs a restart of the node, with the robot at rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from diffusion_control.errors import ConfigurationError
from diffusion_control.safety.parameters import SafetyParameters

GREATER = ('margin_m', 'own_margin_m', 'obstacles.max_speed_m_s',
           'obstacles.max_acceleration_m_s2', 'obstacles.velocity_error_m_s', 'silence.turning_s',
           'separation.person_speed_m_s', 'separation.reaction_s', 'separation.intrusion_m',
           'settle_s')
LESS = ('class_k_gain', 'speed_scale', 'braking_fraction', 'tool_speed_max_m_s')
TIGHTENABLE = (*GREATER, *LESS)
ZERO_IS_NONE = 'tool_speed_max_m_s'


def tightened(parameters: SafetyParameters, changes: Mapping[str, Any]) -> SafetyParameters:
    """Return the parameters with tighter limits.

    Args:
        parameters: As they are.
        changes: New values by name as in the parameter table.

    Raises:
        ConfigurationError: A limit would become looser, cannot be changed live, or its value is
            outside its range; nothing is changed then.
    """
    for name, value in changes.items():
        if name not in TIGHTENABLE:
            raise ConfigurationError(
                f'{name} cannot be changed while the monitor runs', where=f'safety.{name}',
                value=value, allowed=f'live: {", ".join(TIGHTENABLE)}',
                remedy='restart the node with the robot at rest')
    fields = {name.replace('.', '_'): value for name, value in changes.items()}
    changed = replace(parameters, **fields)
    for name in changes:
        _check(name, getattr(parameters, name.replace('.', '_')),
               getattr(changed, name.replace('.', '_')))
    return changed


def _check(name: str, before: float, after: float) -> None:
    """Refuse a looser limit."""
    looser = after < before if name in GREATER else after > before
    if name == ZERO_IS_NONE:
        looser = after == 0.0 < before or after > before > 0.0
    if looser:
        raise ConfigurationError(
            f'{name} would be loosened', where=f'safety.{name}', value=after,
            allowed=f'{"at least" if name in GREATER else "at most"} {before:g} while it runs',
            remedy='restart the node with the robot at rest')
