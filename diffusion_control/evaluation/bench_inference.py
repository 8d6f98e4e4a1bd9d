# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control bench inference`: is the learned planner fast, in time, steady, and right.

Eight parts, each resumable. Times are taken one after the other by one process, before the closed
loops, which may run side by side. The rows go to `rows.jsonl` as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from diffusion_control.evaluation.bench_inference_checks import result_of
from diffusion_control.evaluation.bench_inference_deadlines import DEADLINES_MS, plan_in_time
from diffusion_control.evaluation.bench_inference_grid import HORIZON, SHIPPED, time_grid
from diffusion_control.evaluation.bench_inference_loops import (
    LATENCIES,
    STARTS,
    run_latency,
    run_start,
)
from diffusion_control.evaluation.bench_inference_oracles import ORACLES, consult
from diffusion_control.evaluation.bench_inference_peers import measure_peers
from diffusion_control.evaluation.bench_inference_picture import draw_result
from diffusion_control.evaluation.bench_inference_plans import NAMES, plan_scenes
from diffusion_control.evaluation.bench_inference_scenes import read_scenes
from diffusion_control.evaluation.bench_inference_setup import (
    ABSENT,
    DEADLINE,
    GRID,
    LOOP_SEED,
    ORACLE,
    PEERS,
    PLAN_SEED,
    PLANS,
    PREFIX,
    SCENES,
    WARM,
    Row,
    Setup,
    Task,
)
from diffusion_control.evaluation.bench_inference_table import print_result
from diffusion_control.evaluation.bench_options import BenchOptions, make_rows
from diffusion_control.evaluation.row_store import RowStore
from diffusion_control.evaluation.run_folder import finite
from diffusion_control.evaluation.workers import warm_robot

MEASURE: dict[str, Callable[[Setup, Task], Row]] = {
    GRID: time_grid, PEERS: measure_peers, PLANS: plan_scenes, DEADLINE: plan_in_time,
    WARM: run_start, PREFIX: run_latency, ORACLE: consult, SCENES: read_scenes}
SIDE_BY_SIDE = (WARM, PREFIX, ORACLE, SCENES)
PICTURE = 'result.png'


@dataclass(frozen=True)
class Amount:
    """How much is run.

    Attributes:
        repeats: Runs of each cell of the latency grid, if there is time.
        horizons: Of the network with random weights.
        rounds: Of turns beside the peers.
        plans: Scenes of whole plans, and of each deadline.
        starts: Scenes of each warm or cold start.
        latencies: Scenes of each latency.
    """

    repeats: int
    horizons: tuple[int, ...]
    rounds: int
    plans: int
    starts: int
    latencies: int


COMPLETE = Amount(200, (32, 64, 128), 20, 200, 120, 100)
QUICK = Amount(10, (32,), 1, 10, 2, 2)


@dataclass(frozen=True)
class BenchInferenceOptions(BenchOptions):
    """What to run; `episodes` are the scenes of each closed loop, `seed` is added to all seeds.

    Attributes:
        model: Folder or name of the model; '' = the shipped one.
    """

    model: str = ''

    def amount(self) -> Amount:
        """Return how much is run."""
        usual = QUICK if self.quick else COMPLETE
        if self.episodes is None:
            return usual
        return Amount(usual.repeats, usual.horizons, usual.rounds, usual.plans, self.episodes,
                      self.episodes)


def bench_inference(options: BenchInferenceOptions) -> dict[str, Any]:
    """Run all parts, print their tables and return the result of the contract.

    Raises:
        ConfigurationError: An unknown robot, a model that cannot be opened, or rows of other
            settings in `out`.
    """
    warm_robot(options.robot_config)
    folder = options.out / f'bench_inference-{Path(options.robot_config).stem}'
    setup = Setup.make(options.robot_config, options.model, folder)
    store = RowStore(
        folder, {**options.settings(), 'model_sha256': setup.sha256}, resume=options.resume,
        key=_key)
    wanted = _tasks(options)
    left = [task for task in wanted if ABSENT in store.rows.get(task.key, {ABSENT: ''})]
    run = partial(run_task, setup)
    make_rows(store, run, left, lambda task: task.part not in SIDE_BY_SIDE, jobs=options.jobs,
              label='bench inference', unit='rows')
    rows = [store.rows[task.key] for task in wanted]
    result: dict[str, Any] = finite(result_of(
        rows, commit=options.commit, command=options.command))
    print_result(result)
    store.write_result(result)
    draw_result(rows, folder / PICTURE)
    return result


def _key(row: Row) -> Hashable:
    return row['part'], row['name'], row['seed'], row['amount']


def _tasks(options: BenchInferenceOptions) -> list[Task]:
    amount, first = options.amount(), options.seed
    return [
        *(Task(GRID, name, 0, amount.repeats)
          for name in (SHIPPED, *(f'{HORIZON}{size}' for size in amount.horizons))),
        Task(PEERS, 'all', 0, amount.rounds),
        *(Task(PLANS, name, PLAN_SEED + first, amount.plans) for name in NAMES),
        *(Task(DEADLINE, f'{late} ms', PLAN_SEED + first, amount.plans) for late in DEADLINES_MS),
        *(Task(ORACLE, name) for name in ORACLES),
        Task(SCENES, 'all'),
        *(Task(WARM, name, LOOP_SEED + first + index)
          for index in range(amount.starts) for name in STARTS),
        *(Task(PREFIX, name, LOOP_SEED + first + index)
          for index in range(amount.latencies) for name in LATENCIES)]


def run_task(setup: Setup, task: Task) -> Row:
    """Return the row of one task."""
    return {'part': task.part, 'name': task.name, 'seed': task.seed, 'amount': task.amount,
            **MEASURE[task.part](setup, task)}
