# SPDX-License-Identifier: Apache-2.0
"""The end of a run: text files, judgement, picture, tables, and the exit code of the contract."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from rich.console import Console

from diffusion_control.demo.fault_table import FaultSpecification
from diffusion_control.demo.outcome import Conditions, outcome
from diffusion_control.demo.setup import Setup
from diffusion_control.errors import DiffusionControlError
from diffusion_control.evaluation.host import host_information
from diffusion_control.evaluation.judgement import Judgement, judge_run
from diffusion_control.evaluation.run_data import load_run
from diffusion_control.evaluation.tables import closing_table
from diffusion_control.nodes.demo_monitor import Seen

if TYPE_CHECKING:
    from diffusion_control.demo.runner import RunRecord

FINE, VIOLATION, UNREACHED, INTERRUPTED = 0, 1, 4, 130
STANDING_ENDS = ('EMERGENCY', 'HOLD', 'AT_REST')


def close_run(
    setup: Setup, record: RunRecord, table: dict[str, FaultSpecification], seen: Seen,
    console: Console,
) -> tuple[int, dict[str, Any] | None, tuple[str, ...]]:
    """Write and judge everything; return exit code, summary, and what was wrong."""
    folder = setup.folder
    for plan in seen.plans:
        folder.append_plan(plan)
    for event in seen.events:
        folder.append_event(
            event['node'], event['event'], from_state=event['from'], to_state=event['to'],
            cause=event['cause'], action=event['action'], t_steady_s=event['t_steady_s'])
    if record.first_motion_steady_s is None:
        _say_nothing_moved(setup, record, console)
        code = INTERRUPTED if record.interrupted else VIOLATION
        return code, None, ('the robot did not move',)
    if not setup.options.record:
        console.print('not recorded, so not judged (--no-record)')
        return (INTERRUPTED if record.interrupted else _unjudged_code(record)), None, ()
    faults = _faults(setup, record, table, seen)
    notes = _notes(setup, record, seen, faults)
    judged = judge_run(folder.path, notes)
    reasons = _reasons(setup, record, table, faults, judged)
    code = exit_code(record, reasons, setup, table, judged.summary)
    summary = {**judged.summary, 'exit_code': code}
    folder.write_summary(summary)
    folder.make_latest()
    console.print(closing_table(summary))
    for reason in reasons:
        console.print(f'[red]{reason}[/red]')
    console.print(f'{folder.summary_json}\n{folder.summary_png}\nexit code {code}')
    return code, summary, tuple(reasons)


def exit_code(
    record: RunRecord, reasons: list[str], setup: Setup, table: dict[str, FaultSpecification],
    summary: dict[str, Any],
) -> int:
    """Return 130 interrupted, 1 anything wrong, 4 goals not reached, else 0."""
    if record.interrupted:
        return INTERRUPTED
    if reasons:
        return VIOLATION
    ends = [table[fired.name].end for fired in record.fired]
    goals = summary['goals']
    missed = not goals['reached'] or goals['reached'] < goals['attempted']
    asked = not (ends and ends[-1] in STANDING_ENDS) and _has_goals(summary)
    return UNREACHED if asked and missed else FINE


def _has_goals(summary: dict[str, Any]) -> bool:
    return summary['goals']['attempted'] is not None


def _unjudged_code(record: RunRecord) -> int:
    return VIOLATION if any(not expected for _, expected in record.deaths) else FINE


def _say_nothing_moved(setup: Setup, record: RunRecord, console: Console) -> None:
    if record.interrupted:
        console.print('interrupted before the robot moved')
        return
    error = DiffusionControlError(
        'the robot did not move', where=str(setup.folder.log_txt),
        value=record.final_state or 'no safety/state', allowed='a first motion within 60 s',
        remedy='read the log, and run diffusion_control doctor')
    console.print(str(error), markup=False)


def _faults(
    setup: Setup, record: RunRecord, table: dict[str, FaultSpecification], seen: Seen
) -> list[dict[str, Any]]:
    if not record.fired:
        return []
    run = load_run(setup.folder.path)
    safety = setup.settings['safety']
    ends = [*(later.steady_s for later in record.fired[1:]), record.ended_steady_s]
    return [
        outcome(fired, table[fired.name], run, seen, Conditions(
            setup.robot.limits, safety['braking_fraction'], safety['command_delay_s'], end_s))
        for fired, end_s in zip(record.fired, ends, strict=True)]


def _notes(
    setup: Setup, record: RunRecord, seen: Seen, faults: list[dict[str, Any]]
) -> dict[str, Any]:
    options = setup.options
    assert record.first_motion_steady_s is not None
    loop = {}
    file = setup.folder.path / 'empty_loop.json'
    if file.is_file():
        loop = json.loads(file.read_text(encoding='utf-8'))
        file.unlink()
    load = record.load
    priority = setup.settings['safety']['real_time.fifo_priority']
    return {
        'commit': setup.commit, 'command': setup.command, 'exit_code': None,
        'planner': options.planner, 'seed': options.seed,
        'real_time_factor': options.real_time_factor,
        'first_motion_s': record.first_motion_steady_s - record.started_steady_s,
        'host': {
            **host_information(), 'fifo': priority > 0,
            'load_mean': sum(load) / len(load) if load else os.getloadavg()[0],
            'empty_loop_p99_s': loop.get('period_p99_s')},
        'plant': setup.plant.summary(), 'faults': faults, 'goals': _goals(seen),
        'deaths': [{'node': name, 'expected': expected} for name, expected in record.deaths],
        'memory_mb': record.memory_mb}


def _goals(seen: Seen) -> dict[str, Any]:
    """Return the simulator's own count of goals: it sets them and it knows the truth."""
    goals = seen.simulator.get('goals') or {}
    return {name: goals.get(name)
            for name in ('reached', 'reached_by_planner', 'attempted', 'time_mean_s')}


def _reasons(
    setup: Setup, record: RunRecord, table: dict[str, FaultSpecification],
    faults: list[dict[str, Any]], judged: Judgement,
) -> list[str]:
    """Return everything that makes the run a failed one."""
    reasons = [f'check-run: {name}' for name in judged.result['failed']]
    reasons += [f'{name} died unexpectedly' for name, expected in record.deaths if not expected]
    reasons += [f'{row["name"]}: {row["reason"]}' for row in faults if not row['ok']]
    reasons += [f'{name} was not injected' for name in record.pending]
    if not faults and record.final_state not in ('NOMINAL', 'DEGRADED') and not record.interrupted:
        reasons.append(f'the run ended in {record.final_state}')
    return reasons
