# SPDX-License-Identifier: Apache-2.0
"""Build `summary.json`: what was recomputed, what the nodes reported, what the demo knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.rates import percentile
from diffusion_control.evaluation.run_data import RunData
from diffusion_control.evaluation.run_folder import finite
from diffusion_control.evaluation.summary_schema import SCHEMA, SCHEMA_VERSION, fill

Array = NDArray[np.float64]
WARM_STARTS = ('plan', 'shifted', 'cold')


def build_summary(
    run: RunData, measured: Mapping[str, Any], notes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the summary of a run: every key of the schema, null where nothing was measured.

    Args:
        run: The run, read.
        measured: What `check_run.measure` recomputed of it.
        notes: What only the demo knows: commit, command, exit_code, planner, seed,
            real_time_factor, first_motion_s, host, plant, faults, deaths, memory_mb;
            duration_s, goals and robot override what the files say.
    """
    values = {
        'schema_version': SCHEMA_VERSION, 'robot': run.robot.kind,
        **{key: measured[key] for key in ('rates', 'violations', 'plan', 'tracking', 'goals',
                                          'duration_s')},
        **notes,
        'tracker': tracker_block(run.recording.stream('tracker/report').reports),
        'safety': safety_block(run, measured),
    }
    summary: dict[str, Any] = finite(fill(values, SCHEMA))
    return summary


def tracker_block(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the `tracker` block from the reports of ticks (`event` is `ticks`).

    Read from each, where it is there: `cpu_s`, `wall_s`, `iterations`, `warm_start` (one value,
    or a list with one a tick), and `missed` {stage: n}, counted from the start.
    """
    ticks = [report for report in reports if report.get('event') != 'verdict']
    choices = Counter(_texts(ticks, 'warm_start'))
    total = sum(choices[name] for name in WARM_STARTS)
    cpu, iterations = _numbers(ticks, 'cpu_s'), _numbers(ticks, 'iterations')
    return {
        'cpu_p50_s': percentile(cpu, 50), 'cpu_p99_s': percentile(cpu, 99),
        'wall_p99_s': percentile(_numbers(ticks, 'wall_s'), 99),
        'iterations_mean': float(iterations.mean()) if len(iterations) else None,
        'warm_start_fraction': {
            name: choices[name] / total if total else None for name in WARM_STARTS},
        'missed_ticks': _last(ticks, 'missed') or {},
    }


def safety_block(run: RunData, measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `safety` block from `safety/status`, `safety/state` and the ground truth.

    `clearance_min_m` is the ground truth's; `interventions` and `fallback_ticks` are counters
    of the status, counted from the start (at its top, or in `counters`).
    """
    status = [{**report, **(report.get('counters') or {})}
              for report in run.recording.stream('safety/status').reports]
    states = run.states()
    slack, barrier = _numbers(status, 'slack'), _numbers(status, 'h_min')
    cpu = _numbers(status, 'cpu_s')
    return {
        'cpu_p50_s': percentile(cpu, 50), 'cpu_p99_s': percentile(cpu, 99),
        'interventions': _last(status, 'interventions'),
        'fallback_ticks': _last(status, 'fallback_ticks'),
        'final_state': states[-1][1] if states else None,
        'time_in_state_s': time_in_state(states, float(run.truth.t_s[-1])),
        'h_min': float(barrier.min()) if len(barrier) else None,
        'clearance_min_m': measured.get('clearance_min_m'),
        'slack_max': float(slack.max()) if len(slack) else None,
    }


def time_in_state(states: Iterable[tuple[float, str]], end_s: float) -> dict[str, float]:
    """Return how long each state lasted in all [s], from changes (time, state) to `end_s`."""
    changes = [*states]
    total: dict[str, float] = {}
    for k, (begin, state) in enumerate(changes):
        until = changes[k + 1][0] if k + 1 < len(changes) else end_s
        total[state] = total.get(state, 0.0) + max(until - begin, 0.0)
    return total


def _values(reports: Iterable[Mapping[str, Any]], key: str) -> list[Any]:
    """Return a field of all reports; lists are joined."""
    found: list[Any] = []
    for report in reports:
        value = report.get(key)
        found.extend(value if isinstance(value, list) else [value])
    return found


def _numbers(reports: Iterable[Mapping[str, Any]], key: str) -> Array:
    values = [v for v in _values(reports, key)
              if isinstance(v, int | float) and not isinstance(v, bool)]
    array = np.array(values, dtype=float)
    result: Array = array[np.isfinite(array)]
    return result


def _texts(reports: Iterable[Mapping[str, Any]], key: str) -> list[str]:
    return [value for value in _values(reports, key) if isinstance(value, str)]


def _last(reports: list[dict[str, Any]], key: str) -> Any:
    """Return a field of the last report that has it, None if none has."""
    return next((report[key] for report in reversed(reports) if report.get(key) is not None), None)
