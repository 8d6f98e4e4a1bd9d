# SPDX-License-Identifier: Apache-2.0
"""Every fault of the table over many seeds, with real signals to real processes, in one table."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from diffusion_control.demo.closing import INTERRUPTED
from diffusion_control.demo.options import DemoOptions, FaultsOptions, Injection
from diffusion_control.demo.runner import run_demo
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.host import command_line, commit_of_code, host_information
from diffusion_control.evaluation.row_store import RowFile
from diffusion_control.evaluation.run_folder import finite
from diffusion_control.evaluation.statistics import Check, failed_names
from diffusion_control.evaluation.tables import fault_table

FAULT_AT_S = 2.5
SHORT_S = 5.0
LONG_S = {'arm': 22.0, 'base': 35.0}
NEEDS_GOALS = ('planner_kill', 'planner_hang', 'fallback_kill')
ROWS = 'faults.jsonl'
SCHEMA_VERSION = 1


def run(options: FaultsOptions) -> dict[str, Any]:
    """Run every fault with every seed, one after the other, and judge the shares.

    Args:
        options: Which faults and seeds; `resume` keeps the rows that are in `out` already.

    Returns:
        The contract's result: one row a run, one check a fault (share of runs that were ok).
    """
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f'the folder of the runs cannot be made: {error.strerror}', where='--out',
            value=str(options.out), allowed='a folder that may be written') from error
    file = options.out / (ROWS if options.robot == 'arm' else f'{options.robot}_{ROWS}')
    if not options.resume:
        file.unlink(missing_ok=True)
    kept = RowFile(file, {'robot_config': options.robot_config, 'planner': options.planner})
    console = Console(stderr=True)
    done = {(row['name'], row['seed']) for row in kept.rows}
    for seed in range(*options.seeds):
        for name in options.names:
            if (name, seed) in done:
                continue
            row = one_run(name, seed, options)
            kept.add([row])
            mark = 'ok' if row['ok'] else f'FAILED: {row["reason"]}'
            console.print(f'{name} seed {seed}: {mark}', markup=False, highlight=False)
    wanted = [row for row in kept.rows
              if row['name'] in options.names and row['seed'] in range(*options.seeds)]
    checks = [check_of(name, wanted) for name in options.names]
    console.print(fault_table(wanted))
    return dict(finite({
        'schema_version': SCHEMA_VERSION, 'commit': commit_of_code(),
        'command': command_line(), 'host': host_information(),
        'rows': wanted, 'checks': [check.row() for check in checks],
        'failed': failed_names(checks, options.names)}))


def one_run(name: str, seed: int, options: FaultsOptions) -> dict[str, Any]:
    """Return the row of one fault with one seed.

    Raises:
        KeyboardInterrupt: The run was interrupted; there is no row then.
    """
    duration = LONG_S[options.robot] if name in NEEDS_GOALS else SHORT_S
    out = options.out
    result = run_demo(
        DemoOptions(
            robot=options.robot, robot_config=options.robot_config, planner=options.planner,
            duration_s=duration, inject=(Injection(name, FAULT_AT_S),), seed=seed, out=out,
            headless=True),
        Console(file=(out / 'console.txt').open('a', encoding='utf-8'), width=160))
    if result.exit_code == INTERRUPTED:
        raise KeyboardInterrupt
    summary = result.summary or {}
    faults = summary.get('faults') or []
    row = dict(faults[0]) if faults else {
        'name': name, 't_s': None, 'speed_at_fault': None, 'detection_s': None,
        'first_brake_s': None, 'rest_s': None, 'state_path': [], 'expected_state': '',
        'ok': False}
    reasons = result.reasons if result.exit_code else ()
    row['ok'] = bool(row['ok']) and result.exit_code in (0, 4)
    return {
        **row, 'seed': seed, 'exit_code': result.exit_code,
        'reason': '; '.join(reasons),
        'violations': summary.get('violations'), 'goals': summary.get('goals')}


def check_of(name: str, rows: list[dict[str, Any]]) -> Check:
    """Return the check of one fault: every run must be ok."""
    mine = [row['ok'] for row in rows if row['name'] == name]
    share = sum(mine) / len(mine) if mine else None
    return Check(name, share, 1.0, None if share is None else share == 1.0, len(mine), None)
