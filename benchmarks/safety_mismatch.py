# SPDX-License-Identifier: Apache-2.0
"""What the monitor's delay and its braking fraction are for: adversarial episodes with others.

Usage: OMP_NUM_THREADS=1 python benchmarks/safety_mismatch.py [--episodes 60] [--jobs 2]

Each line is one change of the parameters of the complete monitor (filter and verification), on the
same episodes as those of `bench safety`, whose actuators are 0 to 30 ms late. *blind* leaves the
measurement of the delay out, so that `command_delay_s` alone is believed.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from unittest.mock import patch

from numbers_given import positive
from rich.console import Console
from rich.table import Table

from diffusion_control import robots
from diffusion_control.evaluation.adversarial_episode import (
    DURATION_S,
    FULL,
    Adversarial,
    run_adversarial,
)
from diffusion_control.safety.delay import DelayMeter

BLIND = 'blind'
THIN = {'margin_m': 0.001, 'own_margin_m': 0.001}
CASES: dict[str, dict[str, float]] = {
    'as shipped': {},
    f'command_delay_s 0, {BLIND}': {'command_delay_s': 0.0},
    f'command_delay_s 0.02, {BLIND}': {'command_delay_s': 0.02},
    f'command_delay_s 0.06, {BLIND}': {'command_delay_s': 0.06},
    'command_delay_s 0': {'command_delay_s': 0.0},
    'braking_fraction 0.5': {'braking_fraction': 0.5},
    'braking_fraction 0.95': {'braking_fraction': 0.95},
    'margins 1 mm': THIN,
    f'margins 1 mm, command_delay_s 0, {BLIND}': {**THIN, 'command_delay_s': 0.0},
    'margins 1 mm, braking_fraction 0.5': {**THIN, 'braking_fraction': 0.5},
    'margins 1 mm, braking_fraction 0.95': {**THIN, 'braking_fraction': 0.95},
}


def episode(case: str, seed: int) -> Adversarial:
    """Return one episode of a case."""
    robot = robots.load_arm('panda')
    if BLIND not in case:
        return run_adversarial(robot, seed, FULL, **CASES[case])
    with patch.object(DelayMeter, 'measure', lambda *_: None):
        return run_adversarial(robot, seed, FULL, **CASES[case])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--episodes', type=positive, default=60)
    parser.add_argument('--jobs', type=positive, default=1)
    options = parser.parse_args()
    table = Table(title=f'{options.episodes} episodes each')
    for name in ('case', 'touched', 'violations', 'at rest', 'differs', 'stored tail', 'way'):
        table.add_column(name)
    with ProcessPoolExecutor(options.jobs) as pool:
        for case in CASES:
            rows = list(pool.map(partial(episode, case), range(options.episodes)))
            count = len(rows)
            ticks = sum(row.rate_hz * DURATION_S for row in rows)
            table.add_row(
                case, f'{100 * sum(row.touched for row in rows) / count:.1f} %',
                str(sum(row.violation_count for row in rows)),
                f'{100 * sum(row.contacts_at_rest > 0 for row in rows) / count:.0f} %',
                f'{100 * sum(row.interventions for row in rows) / count:.0f} %',
                f'{100 * sum(row.fallback_ticks for row in rows) / ticks:.2f} %',
                f'{sum(row.moved_rad for row in rows) / count:.2f} rad')
            print(case, 'done', flush=True)
    Console(width=110).print(table)


if __name__ == '__main__':
    main()
