# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control mutate`: take parts of the safety monitor away; somebody must notice."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from diffusion_control.evaluation import statistics
from diffusion_control.evaluation.detectors import DETECTORS
from diffusion_control.evaluation.host import command_line, host_information
from diffusion_control.evaluation.mutants import MUTANTS
from diffusion_control.evaluation.row_store import RowStore
from diffusion_control.evaluation.statistics import Check
from diffusion_control.evaluation.workers import run_tasks, warm_arm

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class MutateOptions:
    """What to run.

    Attributes:
        mutants: Names; empty for all.
        seeds: First seed, and the seed after the last one.
        jobs: Processes side by side.
        resume: Keep the rows that `out` already has.
        out: Folder of the results.
        commit: Version of the code, for the result.
        command: Command line, for the result.
    """

    mutants: tuple[str, ...] = ()
    seeds: tuple[int, int] = (0, 1)
    jobs: int = 1
    resume: bool = False
    out: Path = Path('runs')
    commit: str = ''
    command: str = field(default_factory=command_line)


def mutate(options: MutateOptions) -> dict[str, Any]:
    """Run each detector on the sound monitor and on its mutant; return the result.

    A mutant is caught if its detector finds nothing wrong with the sound monitor and something
    wrong with the mutant.
    """
    names = options.mutants or tuple(MUTANTS)
    tasks = [(name, seed) for name in names for seed in range(*options.seeds)]
    store = RowStore(options.out / 'mutate', {}, resume=options.resume, key=_key)
    left = [task for task in tasks if task not in store.rows]
    for row in run_tasks(run_mutant, left, options.jobs, 'mutate', 'mutants'):
        store.add([row])
    rows = [store.rows[task] for task in tasks]
    checks = [_check(name, [row for row in rows if row['mutant'] == name]) for name in names]
    _print(rows)
    result = {
        'schema_version': SCHEMA_VERSION, 'commit': options.commit, 'command': options.command,
        'host': host_information(), 'rows': rows, 'checks': [check.row() for check in checks],
        'failed': statistics.failed_names(checks, names)}
    store.write_result(result)
    return result


def run_mutant(task: tuple[str, int]) -> dict[str, Any]:
    """Return the row of one mutant and seed."""
    name, seed = task
    robot, mutant = warm_arm('panda'), MUTANTS[name]
    detector = DETECTORS[mutant.detector]
    sound = detector(robot, seed)
    with mutant.applied():
        mutated = detector(robot, seed)
    return {'mutant': name, 'seed': seed, 'taken_away': mutant.text, 'detector': mutant.detector,
            'sound': sound, 'mutated': mutated, 'ok': not sound and bool(mutated)}


def _key(row: dict[str, Any]) -> Hashable:
    return row['mutant'], row['seed']


def _check(name: str, rows: Sequence[dict[str, Any]]) -> Check:
    caught = sum(row['ok'] for row in rows)
    return statistics.rate_check(name, caught, len(rows), at_least=1.0, decisive=True)


def _print(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(title='mutants of the safety monitor', title_justify='left')
    for column in ('mutant', 'taken away', 'noticed by', 'sound monitor', 'mutant', 'ok'):
        table.add_column(column)
    for row in rows:
        table.add_row(row['mutant'], row['taken_away'], row['detector'], row['sound'] or 'fine',
                      row['mutated'] or 'nothing noticed', 'ok' if row['ok'] else 'MISSED')
    Console(width=150).print(table)
