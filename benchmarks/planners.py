# SPDX-License-Identifier: Apache-2.0
"""Planners beside each other, from rest, on generated scenes.

Example: OMP_NUM_THREADS=1 python benchmarks/planners.py --episodes 100 --tiers easy hard
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
from numbers_given import positive, seed_number
from rich.console import Console
from rich.table import Table

from diffusion_control import planners, robots
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.robots.state import RobotState

NAMES = ('straight_line', 'random', 'multi_start', 'mppi', 'cem', 'training_free', 'rrt_connect')
COLUMNS = ('planner', 'tier', 'success', 'sem', 'p50_ms', 'p99_ms', 'time_s', 'evaluations')


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--robot-config', default='panda')
    parser.add_argument('--planners', nargs='+', default=NAMES)
    parser.add_argument('--tiers', nargs='+', default=('easy', 'hard'))
    parser.add_argument('--episodes', type=positive, default=100)
    parser.add_argument('--seed', type=seed_number, default=5000, help='seed of the first scene')
    parser.add_argument('--deadline-s', type=float, default=None)
    parser.add_argument('--standing', action='store_true', help='leave the movers out')
    parser.add_argument('--json', action='store_true')
    return parser.parse_args()


def measure(name: str, tier: str, scenes: list[Any], robot: Any, asked: argparse.Namespace) -> (
        dict[str, Any]):
    """Return one row: share of scenes with a free plan, CPU time, duration of the motions."""
    planner = planners.make(name, robot=robot, seed=0)
    free, spent, lasting, evaluations = [], [], [], []
    for scene in scenes:
        obstacles = tuple(
            o for o in scene.obstacles if not (asked.standing and o.may_move))
        problem = PlanningProblem(
            RobotState(scene.start_rad, np.zeros(robot.dof)), scene.goals[0], obstacles)
        begin = time.process_time()
        try:
            answer = planner.plan(problem, asked.deadline_s)
        except PlanningError:
            answer = None
        spent.append(time.process_time() - begin)
        best = None if answer is None else answer.trajectory
        free.append(best is not None)
        evaluations.append(0 if answer is None else answer.evaluations)
        if best is not None:
            lasting.append(float(best.times_s[-1]))
    share = float(np.mean(free))
    return {
        'planner': name, 'tier': tier, 'success': share,
        'sem': float(np.sqrt(share * (1 - share) / len(free))),
        'p50_ms': 1e3 * float(np.percentile(spent, 50)),
        'p99_ms': 1e3 * float(np.percentile(spent, 99)),
        'time_s': float(np.mean(lasting)) if lasting else None,
        'evaluations': float(np.mean(evaluations))}


def main() -> None:
    """Measure and print."""
    asked = arguments()
    robot = robots.load_arm(asked.robot_config)
    robot.collision.warm_up()
    rows = []
    for tier in asked.tiers:
        scenes = [
            generate_scene(robot, asked.seed + k, tier) for k in range(asked.episodes)]
        measure('training_free', tier, scenes[:1], robot, asked)
        rows += [measure(name, tier, scenes, robot, asked) for name in asked.planners]
    if asked.json:
        json.dump({'command': ' '.join(sys.argv), 'rows': rows}, sys.stdout, indent=1)
        return
    table = Table(*COLUMNS, title=' '.join(sys.argv))
    for row in rows:
        table.add_row(*(
            '-' if row[c] is None else f'{row[c]:.3g}' if isinstance(row[c], float) else row[c]
            for c in COLUMNS))
    Console().print(table)


if __name__ == '__main__':
    main()
