# SPDX-License-Identifier: Apache-2.0
"""Tune each tracker by the same seeded random search on the simulated clock.

    OMP_NUM_THREADS=1 python benchmarks/tune_trackers.py --trials 40 [--trackers pd mpc crocoddyl]

Trial 0 is the default; every other one multiplies each of the tracker's parameters by a factor
drawn log-uniformly from [1/16, 16], the same for all trackers. A trial follows smooth, noisy and
infeasible plans of `bench tracking` (part `quality`, default plant); its cost is the geometric
mean of the tool's rms distance to the path [m]. A command beyond a limit on smooth or noisy plans
rules a trial out; not of crocoddyl, which has no limit on accelerations. Default and winner are
then followed on plans of another seed, where both are judged. Crocoddyl needs
`DIFFUSION_CONTROL_CROCODDYL` (`benchmarks/peers/README.md`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numbers_given import positive, seed_number
from rich.console import Console
from rich.table import Table

from diffusion_control import tracking
from diffusion_control.errors import MissingDependencyError
from diffusion_control.evaluation.bench_tracking_crocoddyl import (
    WEIGHTS,
    CrocoddylPolicy,
    tracker_around,
)
from diffusion_control.evaluation.bench_tracking_quality import follow, plant_of
from diffusion_control.evaluation.host import commit_of_code
from diffusion_control.evaluation.workers import warm_arm
from diffusion_control.robots.limits import DROOP_RAD
from diffusion_control.tracking.parameters import TrackerParameters
from diffusion_control.tracking.pd import PdPolicy
from diffusion_control.tracking.prediction import Prediction
from diffusion_control.tracking.protocol import Tracker
from diffusion_control.tracking.registry import tracker_with

FACTOR = 16.0
PLANS, CLEAN = ('smooth', 'noisy', 'infeasible'), ('smooth', 'noisy')
LIMITED = ('pd', 'mpc')
USUAL = TrackerParameters()
SPACES: dict[str, dict[str, float]] = {
    'pd': {'proportional': 400.0, 'derivative': 40.0},
    'mpc': {'weight_velocity': USUAL.weight_velocity, 'weight_input': USUAL.weight_input,
            'weight_smooth': USUAL.weight_smooth},
    'crocoddyl': {name: WEIGHTS[name] for name in ('velocity', 'input', 'limits')}}
Values = dict[str, float]


@contextmanager
def tracker_of(robot: Any, name: str, values: Values) -> Iterator[Tracker]:
    """Yield a tracker with these parameters."""
    if name == 'crocoddyl':
        with CrocoddylPolicy(robot, USUAL, 1, {**WEIGHTS, **values}) as policy:
            yield tracker_around(robot, policy)
    elif name == 'pd':
        prediction = Prediction(USUAL.horizon_steps, USUAL.dt_s)
        made = tracker_with('pd', robot, prediction, USUAL)
        made.policy = PdPolicy(
            prediction, robot.limits.scaled(USUAL.limits_scale).inset(DROOP_RAD), **values)
        yield made
    else:
        yield tracking.make(name, robot=robot, **values)


def trial(robot: Any, name: str, values: Values, *, ticks: int, seed: int) -> dict[str, Any]:
    """Return parameters, cost [m], rms by plans [m] and limits broken by plans of one trial."""
    rms, broken = {}, {}
    for plans in PLANS:
        with tracker_of(robot, name, values) as tracker:
            row = follow(robot, plant_of('default', seed, robot), tracker, plans, ticks, seed)
        rms[plans] = row['path_rms_m']
        broken[plans] = sum(row['violations'].values())
    cost = float(np.exp(np.mean(np.log(list(rms.values())))))
    kept = name not in LIMITED or not any(broken[plans] for plans in CLEAN)
    allowed = kept and np.isfinite(cost)
    return {'tracker': name, 'values': values, 'cost_m': cost if allowed else float('inf'),
            'rms_m': rms, 'broken': broken}


def search(
    robot: Any, name: str, *, trials: int, ticks: int, seed: int
) -> dict[str, Any]:
    """Return default and winner on the search's seed and on another one."""
    rng, usual = np.random.default_rng([seed, len(name)]), SPACES[name]
    found = []
    for k in range(trials):
        factor = np.exp(rng.uniform(-np.log(FACTOR), np.log(FACTOR), len(usual)))
        values = dict(usual) if k == 0 else {
            key: float(value * by) for (key, value), by in zip(
                usual.items(), factor, strict=True)}
        found.append(trial(robot, name, values, ticks=ticks, seed=seed))
        print(f'{name} {k + 1}/{trials}: {1e3 * found[-1]["cost_m"]:.3f} mm', file=sys.stderr)
    best = min(found, key=lambda row: row['cost_m'])
    judged = {what: trial(robot, name, row['values'], ticks=2 * ticks, seed=seed + 1)
              for what, row in (('default', found[0]), ('winner', best))}
    return {'tracker': name, 'trials': trials, 'default': found[0], 'winner': best,
            'judged': judged}


def table(found: list[dict[str, Any]]) -> Table:
    """Return default and winner of each tracker on the other seed."""
    shown = Table(title="the tool's rms distance to the path on another seed, mm")
    for name in ('tracker', 'parameters', 'cost', *PLANS, 'beyond limits'):
        shown.add_column(name)
    for one in found:
        for what, row in one['judged'].items():
            values = ', '.join(f'{key} {value:.2g}' for key, value in row['values'].items())
            shown.add_row(
                f'{one["tracker"]} {what}', values, f'{1e3 * row["cost_m"]:.3f}',
                *(f'{1e3 * row["rms_m"][plans]:.2f}' for plans in PLANS),
                ', '.join(f'{n} {plans}' for plans, n in row['broken'].items() if n) or '0')
    return shown


def main() -> int:
    """Search and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--robot-config', default='panda')
    parser.add_argument('--trackers', nargs='+', choices=sorted(SPACES), default=sorted(SPACES))
    parser.add_argument('--trials', type=positive, default=40)
    parser.add_argument('--ticks', type=positive, default=300, help='of each kind of plans')
    parser.add_argument('--seed', type=seed_number, default=0)
    parser.add_argument('--json', action='store_true')
    asked = parser.parse_args()
    robot, found = warm_arm(asked.robot_config), []
    for name in asked.trackers:
        try:
            found.append(search(
                robot, name, trials=asked.trials, ticks=asked.ticks, seed=asked.seed))
        except MissingDependencyError as error:
            print(f'{name} is left out: {error.what}: {error.value}', file=sys.stderr)
    if asked.json:
        print(json.dumps({'commit': commit_of_code(), 'searches': found}))
    else:
        Console(width=160).print(table(found))
    return 0


if __name__ == '__main__':
    sys.exit(main())
