# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control bench tracking`: is the tracker in time, smooth, inside limits, and accurate.

Five parts, each resumable: thread times of ticks, warm starts class by class, other solvers,
hand-over between plans of a late planner, and the quality of following in MuJoCo. The rows go to
`rows.jsonl` as they come.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation import bench_tracking_quality as quality
from diffusion_control.evaluation import bench_tracking_switch as switch
from diffusion_control.evaluation.bench_options import BenchOptions, make_rows
from diffusion_control.evaluation.bench_tracking_checks import result_of
from diffusion_control.evaluation.bench_tracking_modes import CASES, modes_row
from diffusion_control.evaluation.bench_tracking_peers import peer_rows
from diffusion_control.evaluation.bench_tracking_table import print_result
from diffusion_control.evaluation.bench_tracking_ticks import time_ticks
from diffusion_control.evaluation.bench_tracking_warm import warm_starts
from diffusion_control.evaluation.row_store import RowStore
from diffusion_control.evaluation.run_folder import finite
from diffusion_control.evaluation.workers import warm_robot

TICKS, WARM, PEERS, SWITCH, QUALITY = 'ticks', 'warm', 'peers', 'switch', 'quality'
TIMED = (TICKS, WARM, PEERS)


@dataclass(frozen=True)
class Amount:
    """How many ticks each case has."""

    timed: int
    slow: int
    warm: int
    peers: int
    switch: int
    quality: int


COMPLETE = Amount(5000, 5000, 6000, 1000, 5000, 5000)
QUICK = Amount(400, 150, 900, 60, 250, 400)


@dataclass(frozen=True)
class BenchTrackingOptions(BenchOptions):
    """What to run; `episodes` is refused: the cases have a length instead."""

    def __post_init__(self) -> None:
        """Refuse what this bench has not."""
        if self.episodes is not None:
            raise ConfigurationError(
                'bench tracking has no episodes', where='--episodes', value=self.episodes,
                allowed='none', remedy='use --quick for a shorter run')

    def amount(self) -> Amount:
        """Return how much is run."""
        return QUICK if self.quick else COMPLETE

    def settings(self) -> dict[str, Any]:
        """Return everything that rows depend on, for JSON."""
        return {**super().settings(), 'quick': self.quick}


@dataclass(frozen=True)
class Task:
    """One row that is still to be made.

    Attributes:
        part: `ticks`, `warm`, `peers`, `switch` or `quality`.
        case: What the part needs to know, as (name, value) pairs.
        ticks: Its length.
        seed: Of everything random.
    """

    part: str
    case: tuple[tuple[str, Any], ...]
    ticks: int
    seed: int

    @property
    def name(self) -> str:
        """Return the case in words."""
        return ' '.join(str(value) for _, value in self.case)


def bench_tracking(options: BenchTrackingOptions) -> dict[str, Any]:
    """Run all parts, print their tables and return the result of the contract.

    Raises:
        ConfigurationError: An unknown robot, or rows of other settings in `out`.
    """
    warm_robot(options.robot_config)
    store = RowStore(
        options.out / f'bench_tracking-{Path(options.robot_config).stem}', options.settings(),
        resume=options.resume, key=_key)
    wanted = _tasks(options)
    left = [task for task in wanted if (task.part, task.name) not in store.rows]
    make_rows(store, partial(run_task, options.robot_config), left,
              lambda task: task.part in TIMED, jobs=options.jobs, label='bench tracking',
              unit='cases')
    rows = [store.rows[task.part, task.name] for task in wanted]
    result: dict[str, Any] = finite(result_of(
        rows, commit=options.commit, command=options.command, quick=options.quick))
    print_result(result)
    store.write_result(result)
    return result


def _key(row: dict[str, Any]) -> Hashable:
    return row['part'], row['name']


def _tasks(options: BenchTrackingOptions) -> list[Task]:
    amount, seed = options.amount(), options.seed
    own = warm_robot(options.robot_config).dof

    def ticks(tracker: str, load: str, count: int, joints: int = own, horizon: int = 20) -> Task:
        return Task(TICKS, (('tracker', tracker), ('load', load), ('joints', joints),
                            ('horizon', horizon)), count, seed)

    tasks = [ticks(name, load, amount.timed) for name in ('mpc', 'mpc_torque', 'pd')
             for load in ('easy', 'hard', 'heavy')]
    tasks += [ticks('mpc_osqp', load, amount.slow) for load in ('easy', 'hard')]
    tasks += [ticks(name, 'hard', amount.timed, horizon=steps)
              for name in ('mpc', 'mpc_torque') for steps in (10, 40)]
    tasks += [ticks(name, 'hard', amount.timed, joints=joints)
              for name in ('mpc', 'mpc_torque') for joints in sorted({6, 2 * own} - {own})]
    warm = [('mpc', 'hard', amount.warm), ('mpc_osqp', 'hard', amount.warm // 4),
            ('mpc_torque', 'heavy', amount.warm // 2)]
    tasks += [Task(WARM, (('tracker', name), ('load', load)), count, seed)
              for name, load, count in warm]
    tasks.append(Task(PEERS, (('load', 'hard'),), amount.peers, seed))
    tasks += [Task(SWITCH, (('tracker', 'mpc'), ('kind', kind), ('latency_ms', latency)),
                   amount.switch, seed)
              for kind in switch.KINDS for latency in switch.LATENCIES_MS]
    tasks += [Task(SWITCH, (('tracker', 'mpc'), ('modes', kind)), amount.switch, seed)
              for kind in CASES]
    return tasks + [
        Task(QUALITY, (('tracker', name), ('plant', plant), ('plans', plans)), amount.quality,
             seed) for name, plant, plans in quality.cases(quick=options.quick)]


def run_task(robot_config: str, task: Task) -> dict[str, Any]:
    """Return the row of one task; warm starts and peers have rows inside it."""
    case = dict(task.case)
    common: dict[str, Any] = {'ticks': task.ticks, 'seed': task.seed}
    named = {'part': task.part, 'name': task.name}
    if task.part == TICKS:
        return {**named, **time_ticks(robot_config, **case, **common)}
    if task.part == WARM:
        return {**named, 'rows': warm_starts(robot_config, **case, **common)}
    if task.part == PEERS:
        return {**named, 'rows': peer_rows(robot_config, problems=task.ticks, seed=task.seed)}
    if task.part == SWITCH and 'modes' in case:
        return {**named, **modes_row(robot_config, case['tracker'], case['modes'], **common)}
    if task.part == SWITCH:
        return {**named, **switch.switch_row(robot_config, **case, **common)}
    return {**named, **quality.quality_row(robot_config, **case, **common)}
