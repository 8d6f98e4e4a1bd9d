# SPDX-License-Identifier: Apache-2.0
"""What demonstrations know and no cost says: habits kept in unseen scenes, open loop, from rest.

In each scene the expert plans with the habit as a rule; where it keeps it, every planner plans
once, without a deadline, knowing nothing of the habit. A plan counts if it is free and keeps the
habit. `trained` leaves motions at what the network drew but for collisions (`shorten: 0`, many
small steps) and takes the one that was moved least. `trained raw` does not refine, `trained one`
draws a single motion and neither refines nor chooses, `trained shortened` refines as the shipped
planner does. Scenes begin at a seed that no data has.

Example: OMP_NUM_THREADS=1 python benchmarks/habits.py --habit left --model models/habit_left
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numbers_given import positive, seed_number
from rich.console import Console
from rich.table import Table

from diffusion_control.evaluation.row_store import RowFile
from diffusion_control.evaluation.statistics import rate_interval
from diffusion_control.evaluation.workers import warm_arm
from diffusion_control.inference.untrained import write_untrained
from diffusion_control.learning.habit_rules import at_even_times
from diffusion_control.learning.habits import HABITS, demonstrate_habit, habit_named, motion_of
from diffusion_control.planners import registry
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.robots.state import RobotState

DRAWN: dict[str, Any] = {'num_samples': 32, 'num_kept': 32}
AS_DRAWN = {**DRAWN, 'shorten': 0, 'guidance_scale': 0.1, 'polish_steps': 100}
RAW = {**DRAWN, 'polish_steps': 0}
ONE = {**RAW, 'num_samples': 1, 'guidance_steps': 0}
EXPERT, TRAINED, UNTRAINED = 'expert', 'trained', 'untrained'
ARRANGEMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    TRAINED: ('diffuser', AS_DRAWN), 'trained raw': ('diffuser', RAW),
    'trained one': ('diffuser', ONE), 'trained shortened': ('diffuser', {}),
    UNTRAINED: ('diffuser', AS_DRAWN), 'training_free': ('training_free', {}),
    'straight_line': ('straight_line', {})}
COLUMNS = ('kept', '95 %', 'free', 'habit, free or not', 'clearance_m', 'time ratio')


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--robot-config', default='panda')
    parser.add_argument('--habit', required=True, choices=sorted(HABITS))
    parser.add_argument('--model', required=True, type=Path, help='trained on its demonstrations')
    parser.add_argument('--scenes', type=positive, default=100)
    parser.add_argument(
        '--seed', type=seed_number, default=2_000_000, help='seed of the first scene')
    parser.add_argument('--arrangements', nargs='+', default=list(ARRANGEMENTS))
    parser.add_argument('--rows', type=Path, required=True, help='of JSON, kept and gone on with')
    return parser.parse_args()


def planners(robot: Any, names: list[str], model: Path, untrained: Path) -> dict[str, Any]:
    """Return the planners of some arrangements; the untrained network is the same, but random."""
    if UNTRAINED in names and not untrained.exists():
        write_untrained(model, untrained, seed=0)
    found = {}
    for name in names:
        kind, parameters = ARRANGEMENTS[name]
        folder = str(untrained if name == UNTRAINED else model) if kind == 'diffuser' else None
        found[name] = registry.make(kind, robot=robot, seed=0, model=folder, **parameters)
    return found


def measure(robot: Any, habit_name: str, seed: int, made: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of one scene: of the expert and, where it keeps the habit, of the others."""
    habit = habit_named(habit_name)
    scene = habit.scene(robot, seed)
    shown = demonstrate_habit(robot, habit_name, seed, count=1)
    kept = bool(shown) and habit.kept(robot, scene, motion_of(shown[0]))
    rows: list[dict[str, Any]] = [
        {'name': EXPERT, 'seed': seed, 'free': bool(shown), 'kept': kept}]
    if not kept:
        return rows
    question = PlanningProblem(
        RobotState(scene.start_rad, np.zeros(robot.dof)), scene.goals[0], scene.obstacles)
    for name, planner in made.items():
        planner.reset(seed)
        row: dict[str, Any] = {'name': name, 'seed': seed, 'free': False, 'kept': False}
        try:
            answer = planner.plan(question)
        except PlanningError:
            rows.append(row)
            continue
        motion = answer.candidates[answer.best or 0]
        lasting = float(motion.times_s[-1] - motion.times_s[0])
        rows.append({
            **row, 'free': answer.best is not None,
            'kept': habit.kept(robot, scene, at_even_times(motion)),
            'clearance_m': float(answer.costs['clearance_m'][answer.best or 0]),
            'time_ratio': lasting / shown[0].duration_s})
    return rows


def line(rows: list[dict[str, Any]], name: str) -> list[str]:
    """Return a line of the table; clearance and time of the free plans."""
    found = [row for row in rows if row['name'] == name]
    good = sum(row['free'] and row['kept'] for row in found)
    interval = rate_interval(good, len(found))
    if interval is None:
        return [name, *('-' for _ in COLUMNS)]
    low, high = interval
    free = [row for row in found if row['free'] and 'time_ratio' in row]
    means = [f'{np.mean([row[key] for row in free]):.3f}' if free else '-'
             for key in ('clearance_m', 'time_ratio')]
    return [name, f'{good}/{len(found)} = {good / len(found):.3f}', f'{low:.3f} .. {high:.3f}',
            f'{np.mean([row["free"] for row in found]):.3f}',
            f'{np.mean([row["kept"] for row in found]):.3f}', *means]


def main() -> None:
    """Measure and print."""
    asked = arguments()
    robot = warm_arm(asked.robot_config)
    kept = RowFile(asked.rows, {key: getattr(asked, key) for key in (
        'robot_config', 'habit', 'model', 'arrangements')})
    done, seeds = {row['seed'] for row in kept.rows}, range(asked.seed, asked.seed + asked.scenes)
    made = planners(
        robot, asked.arrangements, asked.model, asked.rows.with_suffix('.untrained'))
    for seed in seeds:
        if seed not in done:
            kept.add(measure(robot, asked.habit, seed, made))
    rows = [row for row in kept.rows if row['seed'] in seeds]
    table = Table('planner', *COLUMNS, title=' '.join(sys.argv))
    for name in (EXPERT, *asked.arrangements):
        table.add_row(*line(rows, name))
    Console(width=140).print(table)


if __name__ == '__main__':
    main()
