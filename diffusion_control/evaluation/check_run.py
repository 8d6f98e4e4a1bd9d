# SPDX-License-Identifier: Apache-2.0
"""Judge a run from `truth.npz` and `run.mcap` alone.

Nothing of the controllers is imported here: limits come from the robot's file, geometry from the
simulator, everything else from the two files. Rates and violations of `summary.json` are these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation import arm_run
from diffusion_control.evaluation.base import measures
from diffusion_control.evaluation.goal_times import goal_statistics
from diffusion_control.evaluation.host import host_information
from diffusion_control.evaluation.plan_checks import mode_flips, plan_statistics, switch_jumps
from diffusion_control.evaluation.rates import rate_statistics
from diffusion_control.evaluation.run_data import RunData, load_run
from diffusion_control.evaluation.run_folder import finite
from diffusion_control.evaluation.statistics import Check, failed_names

Array = NDArray[np.float64]
SCHEMA_VERSION = 1
COMMAND_RATE_HZ = 100.0
RATE_TOLERANCE_HZ = 0.5
LEAST_P99_S = 0.015
LOOP_FACTOR = 1.3
SAME_STEP_S = 0.1
VIOLATIONS = ('position', 'velocity', 'acceleration', 'torque', 'self_or_wall', 'contact_moving',
              'contacts_at_rest', 'unverified_command')
RATE_TOPICS = {'planner': 'planner/plan', 'tracker': 'tracker/motion',
               'safety': 'safety/committed'}
REQUIRED = ('recording_complete', *VIOLATIONS, 'command_rate_mean_hz', 'command_gaps_over_50ms',
            'command_period_p99_s')


def check_run(
    path: str | Path, *, robot: str | None = None, commit: str = '', command: str = '',
    empty_loop_p99_s: float | None = None,
) -> dict[str, Any]:
    """Return the contract's result of `diffusion_control check-run DIR`.

    Args:
        path: The run's folder.
        robot: Name or file of the robot; None takes what the recording says.
        commit: Version of the code, for the result.
        command: Command line, for the result.
        empty_loop_p99_s: p99 of an empty loop run beside [s]; it only widens the bound of
            `command_period_p99_s`. None takes it from the folder's `summary.json`, if any.

    Raises:
        ConfigurationError: The folder or one of its two files is missing or damaged.
    """
    run = load_run(path, robot)
    loop = _empty_loop(run) if empty_loop_p99_s is None else empty_loop_p99_s
    return result_of(run, measure(run), commit=commit, command=command, empty_loop_p99_s=loop)


def result_of(
    run: RunData, row: Mapping[str, Any], *, commit: str, command: str,
    empty_loop_p99_s: float | None,
) -> dict[str, Any]:
    """Return the contract's result of a run that was measured (see `check_run`)."""
    checks = judge(row, run.recording.metadata, empty_loop_p99_s)
    return dict(finite({
        'schema_version': SCHEMA_VERSION, 'commit': commit, 'command': command,
        'host': host_information(), 'rows': [row], 'checks': [check.row() for check in checks],
        'failed': failed_names(checks, REQUIRED)}))


def measure(run: RunData) -> dict[str, Any]:
    """Return rates, violations, plan, tracking, goals and details of a run."""
    kind = _kind(run)
    verdicts, truth = kind.judge_commands(run), run.truth
    steps = kind.unexplained_steps(run, verdicts)
    violations = kind.violations(run, verdicts, steps)
    stream = run.command_stream
    topics = {**RATE_TOPICS, 'joint_states': kind.STATES}
    return {
        'rates': {**{name: rate_statistics(run.recording.stream(topic).log_ns)
                     for name, topic in topics.items()},
                  'command': rate_statistics(stream.log_ns, _end_ns(run))},
        'violations': {name: violations[name] for name in VIOLATIONS},
        'plan': _plan(run),
        'tracking': kind.tracking(run),
        'goals': goal_statistics(run.goals(), truth, run.robot, run.states()),
        'clearance_min_m': truth.clearance_min_m,
        'duration_s': float(truth.t_s[-1] - truth.t_s[0]),
        'commands': {
            'count': len(run.commands), 'set_point_steps': len(steps),
            'by_reason': {name: int(flags.sum()) for name, flags in verdicts.flags.items()},
            'start_error_max_rad': _largest(verdicts.start_error_rad)},
        'contacts': [{'pair': c.pair, 'start_s': c.start_s} for c in truth.contacts],
        'recording_complete': run.recording.complete and bool(run.commands)
        and _covered(run)}


def judge(
    row: Mapping[str, Any], notes: Mapping[str, Any], empty_loop_p99_s: float | None
) -> list[Check]:
    """Return the checks of a measured run.

    Violations must be 0 (contacts at rest are only counted). Rates are judged where no fault was
    injected: a fault may silence the command.
    """
    count = int(row['commands']['count'])
    checks = [Check('recording_complete', float(row['recording_complete']), 1.0,
                    bool(row['recording_complete']), count, None)]
    for name in VIOLATIONS:
        value = row['violations'][name]
        judged = name != 'contacts_at_rest' and value is not None
        checks.append(Check(name, value, 0.0 if judged else None,
                            value == 0 if judged else None, count, None))
    rate = row['rates']['command']
    wanted = COMMAND_RATE_HZ
    judged = not notes.get('inject') and rate['mean_hz'] is not None
    p99 = max(LEAST_P99_S, LOOP_FACTOR * (empty_loop_p99_s or 0.0))
    for name, key, bound, least in (
        ('command_rate_mean_hz', 'mean_hz', wanted, wanted - RATE_TOLERANCE_HZ),
        ('command_gaps_over_50ms', 'gaps_over_50ms', 0.0, 0.0),
        ('command_period_p99_s', 'period_p99_s', p99, 0.0),
    ):
        most = wanted + RATE_TOLERANCE_HZ if key == 'mean_hz' else bound
        ok = bool(least <= rate[key] <= most) if judged else None
        checks.append(Check(name, rate[key], bound, ok, count, None))
    for name in ('switch_jump_max', 'switch_velocity_jump_max'):
        checks.append(Check(name, row['plan'][name], None, None, count, None))
    return checks


def _kind(run: RunData) -> ModuleType:
    """Return what measures a robot of this kind."""
    return measures if run.robot.kind == 'base' else arm_run


def _plan(run: RunData) -> dict[str, Any]:
    """Return the `plan` block of the summary."""
    recording = run.recording
    plans = run.trajectories('planner/plan')
    sent = [p.sent_s for p in (*plans, *run.trajectories('fallback/plan'))]
    motions = _kind(run).switched(run)
    position, velocity = (None, None) if motions is None else switch_jumps(
        motions, np.sort(np.array(sent)))
    return {
        'count': len(recording.stream('planner/plan')),
        **plan_statistics(recording.stream('planner/report').reports,
                          recording.stream('tracker/report').reports),
        'mode_flips': mode_flips(
            plans, np.array([goal.set_s for goal in run.goals()]), _kind(run).FLIP_COLUMNS),
        'switch_jump_max': position, 'switch_velocity_jump_max': velocity}


def _end_ns(run: RunData) -> int:
    """Return when the last message of all was received [ns]."""
    return max((int(stream.log_ns[-1]) for stream in run.recording.streams.values()
                if len(stream.log_ns)), default=0)


def _covered(run: RunData) -> bool:
    """Say whether the ground truth reaches from the first to the last command."""
    sent = [command.sent_s for command in run.commands]
    return bool(run.truth.t_s[0] <= sent[0] + SAME_STEP_S
                and run.truth.t_s[-1] >= sent[-1] - 1.0)


def _largest(values: Array) -> float | None:
    """Return the largest number, None without one."""
    return float(np.nanmax(values)) if np.isfinite(values).any() else None


def _empty_loop(run: RunData) -> float | None:
    """Return `host.empty_loop_p99_s` of the folder's summary, None if there is none."""
    try:
        value = json.loads(run.folder.summary_json.read_text())['host']['empty_loop_p99_s']
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(value) if isinstance(value, int | float) else None
