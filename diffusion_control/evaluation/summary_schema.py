# SPDX-License-Identifier: Apache-2.0
"""The keys of `summary.json`, schema version 1, and a check that none is missing or extra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCHEMA_VERSION = 1
_RATE = dict.fromkeys(('mean_hz', 'period_std_s', 'period_min_s', 'period_max_s',
                       'period_p99_s', 'gaps_over_50ms'))
OPEN: dict[str, Any] = {'*': None}
SCHEMA: dict[str, Any] = {
    'schema_version': None,
    **dict.fromkeys(('commit', 'command', 'exit_code', 'robot', 'planner', 'seed', 'duration_s',
                     'real_time_factor', 'first_motion_s')),
    'host': dict.fromkeys(('cpu', 'cores', 'python', 'fifo', 'load_mean', 'empty_loop_p99_s')),
    'plant': dict.fromkeys(('mass_scale', 'friction_scale', 'delay_s', 'payload_kg', 'noise_rad',
                            'drop_rate')),
    'goals': dict.fromkeys(('reached', 'reached_by_planner', 'attempted', 'time_mean_s')),
    'rates': {name: dict(_RATE)
              for name in ('planner', 'tracker', 'safety', 'command', 'joint_states')},
    'plan': {
        **dict.fromkeys(('count', 'latency_p50_s', 'latency_p99_s', 'evaluations_mean')),
        'source_fraction': dict.fromkeys(('diffusion', 'training_free', 'library', 'classical',
                                          'other')),
        'rejected': OPEN,
        **dict.fromkeys(('mode_flips', 'switch_jump_max', 'switch_velocity_jump_max')),
    },
    'tracking': dict.fromkeys(('rms_q_rad', 'rms_tool_m', 'p99_tool_m')),
    'tracker': {
        **dict.fromkeys(('cpu_p50_s', 'cpu_p99_s', 'wall_p99_s', 'iterations_mean')),
        'warm_start_fraction': dict.fromkeys(('plan', 'shifted', 'cold')),
        'missed_ticks': dict.fromkeys(('receive', 'state', 'reference', 'build', 'solve',
                                       'check', 'publish')),
    },
    'safety': {
        **dict.fromkeys(('cpu_p50_s', 'cpu_p99_s', 'interventions', 'fallback_ticks',
                         'final_state')),
        'time_in_state_s': OPEN,
        **dict.fromkeys(('h_min', 'clearance_min_m', 'slack_max')),
    },
    'violations': dict.fromkeys(('position', 'velocity', 'acceleration', 'torque', 'self_or_wall',
                                 'contact_moving', 'contacts_at_rest', 'unverified_command')),
    'faults': [dict.fromkeys(('name', 't_s', 'speed_at_fault', 'detection_s', 'first_brake_s',
                              'rest_s', 'state_path', 'expected_state', 'ok'))],
    'deaths': [dict.fromkeys(('node', 'expected'))],
    'memory_mb': OPEN,
}


def validate_summary(summary: Mapping[str, Any]) -> list[str]:
    """Return one line for each key that is missing or extra, [] for a summary as it must be."""
    return _compare(summary, SCHEMA, '')


def fill(values: Mapping[str, Any] | None, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return exactly the keys of a schema's object, null where `values` has none."""
    known = values or {}
    if schema is OPEN:
        return dict(known)
    result: dict[str, Any] = {}
    for key, part in schema.items():
        value = known.get(key)
        if isinstance(part, dict):
            result[key] = fill(value if isinstance(value, Mapping) else None, part)
        elif isinstance(part, list):
            rows = value if isinstance(value, list | tuple) else []
            result[key] = [fill(row, part[0]) for row in rows]
        else:
            result[key] = value
    return result


def unjudged(exit_code: int) -> dict[str, Any]:
    """Return the summary of a run that nobody could judge: all null but its exit code."""
    return fill({'schema_version': SCHEMA_VERSION, 'exit_code': exit_code}, SCHEMA)


def _compare(value: Any, schema: Any, where: str) -> list[str]:
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f'{where} is no list']
        return [line for k, row in enumerate(value)
                for line in _compare(row, schema[0], f'{where}[{k}]')]
    if not isinstance(schema, dict):
        return []
    if not isinstance(value, Mapping):
        return [f'{where or "summary"} is no object']
    if schema is OPEN:
        return []
    prefix = f'{where}.' if where else ''
    lines = [f'{prefix}{key} is missing' for key in schema if key not in value]
    lines += [f'{prefix}{key} is extra' for key in value if key not in schema]
    for key, part in schema.items():
        if key in value:
            lines += _compare(value[key], part, prefix + key)
    return lines
