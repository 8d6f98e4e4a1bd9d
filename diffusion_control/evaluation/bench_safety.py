# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control bench safety`: is the filter safe, does it let the robot work, is it fast.

Three parts, each resumable: adversarial episodes in four arrangements, the same goals with the
monitor on and off, and thread times. The rows go to `rows.jsonl` as they come. Where the receiver
has a time-out, the monitored arrangements are run at each of the robot's; goals and the episodes
without a monitor, which never lets the receiver wait, at the first.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_control.evaluation.adversarial_episode import (
    FILTER,
    FULL,
    OFF,
    TAIL,
    run_adversarial,
)
from diffusion_control.evaluation.bench_options import BenchOptions, make_rows
from diffusion_control.evaluation.bench_safety_checks import result_of
from diffusion_control.evaluation.bench_safety_table import print_result
from diffusion_control.evaluation.closed_loop import (
    EXPERT,
    START_S,
    TICK_S,
    ClosedLoop,
    LoopOptions,
)
from diffusion_control.evaluation.hostile import Hostility, Timing, hostility_of
from diffusion_control.evaluation.row_store import RowStore
from diffusion_control.evaluation.run_folder import finite
from diffusion_control.evaluation.workers import warm_robot

ADVERSARIAL, GOAL, TIMING = 'adversarial', 'goal', 'timing'
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
GOAL_SEED = 50_000
ON = 'on'


@dataclass(frozen=True)
class Amount:
    """How much is run.

    Attributes:
        episodes: Adversarial episodes of each arrangement.
        goals: Scenes that are run with the monitor on, off, and by the expert.
        ticks: Timed ticks of each run.
    """

    episodes: dict[str, int]
    goals: int
    ticks: int


COMPLETE = Amount({FULL: 1000, OFF: 1000, FILTER: 300, TAIL: 300}, 50, 6000)
QUICK = Amount({FULL: 12, OFF: 12, FILTER: 4, TAIL: 4}, 3, 600)


@dataclass(frozen=True)
class BenchSafetyOptions(BenchOptions):
    """What to run; `episodes` are the adversarial ones of each arrangement."""

    def amount(self) -> Amount:
        """Return how much is run."""
        usual = QUICK if self.quick else COMPLETE
        if self.episodes is None:
            return usual
        return Amount(dict.fromkeys(usual.episodes, self.episodes), usual.goals, usual.ticks)


@dataclass(frozen=True)
class Task:
    """One row that is still to be made.

    Attributes:
        part: `adversarial`, `goal` or `timing`.
        name: Arrangement, `on`, `off` or `expert`, or the number of obstacles.
        seed: Of the episode or the scene.
        ticks: Of a timing.
        timeout_s: Of a receiver of twists [s].
    """

    part: str
    name: str
    seed: int
    ticks: int = 0
    timeout_s: float | None = None

    @property
    def label(self) -> str:
        """Name of the row: the name, and the time-out where there is one."""
        return self.name if self.timeout_s is None else f'{self.name} {self.timeout_s:g}'

    @property
    def key(self) -> Hashable:
        """Name of the row: more ticks make another one."""
        return self.part, self.label, self.seed, self.ticks


def bench_safety(options: BenchSafetyOptions) -> dict[str, Any]:
    """Run all parts, print their tables and return the result of the contract.

    Raises:
        ConfigurationError: An unknown robot, or rows of other settings in `out`.
    """
    hostility = hostility_of(warm_robot(options.robot_config))
    store = RowStore(
        options.out / f'bench_safety-{Path(options.robot_config).stem}', options.settings(),
        resume=options.resume, key=_key)
    wanted = _tasks(options, hostility)
    left = [task for task in wanted if task.key not in store.rows]
    run = partial(run_task, options.robot_config)
    make_rows(store, run, left, lambda task: task.part == TIMING, jobs=options.jobs,
              label='bench safety', unit='runs')
    rows = [store.rows[task.key] for task in wanted]
    result: dict[str, Any] = finite(result_of(
        rows, hostility.timed, commit=options.commit, command=options.command,
        quick=options.quick))
    print_result(result)
    store.write_result(result)
    return result


def _key(row: dict[str, Any]) -> Hashable:
    return row['part'], row['name'], row['seed'], row.get('asked_ticks', 0)


def _tasks(options: BenchSafetyOptions, hostility: Hostility) -> list[Task]:
    """Return all tasks; what is wanted first comes first, seed by seed."""
    amount = options.amount()
    first, timeouts = options.seed, hostility.timeouts_s
    tasks = [Task(TIMING, name, 0, amount.ticks) for name in hostility.timings]
    for arrangement, count in amount.episodes.items():
        some = timeouts[:1] if arrangement == OFF else timeouts
        tasks += [Task(ADVERSARIAL, arrangement, first + k, timeout_s=timeout_s)
                  for k in range(count) for timeout_s in some]
    for k in range(amount.goals):
        tasks += [Task(GOAL, name, GOAL_SEED + first + k, timeout_s=timeouts[0])
                  for name in (EXPERT, OFF, ON)]
    return tasks


def run_task(robot_config: str, task: Task) -> dict[str, Any]:
    """Return the row of one task."""
    robot = warm_robot(robot_config)
    hostility = hostility_of(robot)
    named = {'part': task.part, 'name': task.label, 'seed': task.seed}
    if task.part == ADVERSARIAL:
        episode = run_adversarial(robot, task.seed, task.name, timeout_s=task.timeout_s)
        return {**named, **episode.row()}
    if task.part == GOAL:
        return {**named, **_goal(hostility, task)}
    return {**named, 'asked_ticks': task.ticks,
            **_percentiles(hostility.time(task.name, task.ticks, task.seed))}


def _goal(hostility: Hostility, task: Task) -> dict[str, Any]:
    """Run an easy scene with the monitor on or off, or with the expert."""
    scene = hostility.goal_scene(task.seed)
    planner = EXPERT if task.name == EXPERT else hostility.planner
    robot = hostility.at_timeout(task.timeout_s)
    loop = ClosedLoop(robot, scene, planner, LoopOptions(safety=task.name == ON))
    loop.run()
    counters = loop.decision.counters if loop.decision is not None else None
    return {
        'arrangement': task.name, 'success': loop.done,
        'time_s': loop.reached_s[-1] if loop.done else None,
        'fallback_ticks': counters.fallback_ticks if counters else 0,
        'ticks': counters.ticks if counters else round((loop.now_s - START_S) / TICK_S)}


def _percentiles(timing: Timing) -> dict[str, Any]:
    values: dict[str, Any] = {'actions': timing.actions, 'ticks': len(timing.parts['step'])}
    for name, samples in timing.parts.items():
        values |= {f'{name}_p{p:g}_s': float(np.percentile(samples, p)) for p in PERCENTILES}
    return values
