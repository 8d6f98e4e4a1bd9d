# SPDX-License-Identifier: Apache-2.0
"""Smoothness and temporal consistency in closed loop, beside behaviour cloning on the same data.

`regression` is the same network, trained on the same demonstrations to say the mean motion of a
question (config/training/arm_panda_regression.yaml); it draws one motion a plan. `raw` leaves out
what all planners share, the descent of the collision cost.

Example: OMP_NUM_THREADS=1 python benchmarks/consistency.py --regression models/regression_panda
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numbers_given import positive, seed_number
from rich.console import Console
from rich.table import Table

from diffusion_control.evaluation.bench_inference_loops import jerk_rms, plan_distances
from diffusion_control.evaluation.closed_loop import START_S, ClosedLoop, LoopOptions
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.loop_truth import sent
from diffusion_control.evaluation.plan_checks import mode_flips
from diffusion_control.evaluation.row_store import RowFile
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.evaluation.workers import warm_arm
from diffusion_control.planners import registry
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.robots.state import RobotState

ONE: dict[str, Any] = {
    'num_samples': 1, 'num_warm_samples': 1, 'num_inference_steps': 1, 'guidance_steps': 0}
RAW: dict[str, Any] = {'polish_steps': 0, 'guidance_steps': 0}
REGRESSION = 'regression'
ARRANGEMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    'diffuser': ('diffuser', {}), REGRESSION: ('diffuser', ONE),
    'training_free': ('training_free', {}),
    'diffuser raw': ('diffuser', RAW), 'regression raw': ('diffuser', {**ONE, **RAW})}
MEANS = ('success', 'time_s', 'jerk_rms_rad_s3', 'plan_distance_rad', 'flips', 'classes', 'plans')
FREE_SCORE = -1e3


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--robot-config', default='panda')
    parser.add_argument('--model', default='', help='of the trained planner; the shipped one')
    parser.add_argument('--regression', default='', help='model of the regression; none: left out')
    parser.add_argument('--arrangements', nargs='+', default=list(ARRANGEMENTS))
    parser.add_argument('--tier', default='hard')
    parser.add_argument('--episodes', type=positive, default=40)
    parser.add_argument('--seed', type=seed_number, default=46_000, help='seed of the first scene')
    parser.add_argument('--rows', type=Path, help='rows of JSON, kept and gone on with')
    return parser.parse_args()


def classes(plans: list[Command]) -> int:
    """Return how many of some plans go ways that differ, as `mode_flips` tells ways apart."""
    kept: list[Command] = []
    for plan in plans:
        if all(mode_flips([other, plan], np.zeros(0)) for other in kept):
            kept.append(plan)
    return len(kept)


def measure(name: str, robot: Any, scene: Any, model: str) -> dict[str, Any]:
    """Return the row of one arrangement in one scene."""
    planner, parameters = ARRANGEMENTS[name]
    model = '' if planner == 'training_free' else model
    loop = ClosedLoop(robot, scene, planner, LoopOptions(
        model=model, planner_parameters=parameters, deadline_s=math.inf))
    loop.run()
    goals = np.array([START_S, *(START_S + time for time in loop.reached_s[:-1])])
    apart = plan_distances(loop.plans)
    return {
        'name': name, 'seed': scene.seed, 'success': loop.done,
        'time_s': loop.reached_s[-1] if loop.done else None, 'plans': len(loop.plans),
        'flips': mode_flips(loop.plans, goals),
        'plan_distance_rad': float(np.mean(apart)) if apart else None,
        'jerk_rms_rad_s3': jerk_rms(loop.arrays['t_s'], loop.arrays['cmd'], START_S),
        'classes': _found(planner, parameters, robot, scene, model)}


def _found(
    planner: str, parameters: dict[str, Any], robot: Any, scene: Any, model: str
) -> int:
    """Return how many ways the free candidates of the first plan go."""
    chosen = registry.make(planner, robot=robot, seed=0, **parameters, **(
        {'model': model} if model else {}))
    question = PlanningProblem(
        RobotState(scene.start_rad, np.zeros(robot.dof)), scene.goals[0], scene.obstacles)
    try:
        answer = chosen.plan(question)
    except PlanningError:
        return 0
    return classes([
        sent(motion, START_S) for motion, score in zip(
            answer.candidates, answer.scores, strict=True) if score > FREE_SCORE])


def summary(rows: list[dict[str, Any]], name: str) -> list[str]:
    """Return the means over the scenes that all arrangements were run in.

    Times, jerk and distances are of the scenes in which each of them reached the goal.
    """
    names = {row['name'] for row in rows}
    of: dict[int, dict[str, Any]] = {}
    for row in rows:
        of.setdefault(row['seed'], {})[row['name']] = row
    common = [found for found in of.values() if set(found) == names]
    solved = [found for found in common if all(row['success'] for row in found.values())]
    cells = [name, f'{len(common)}, {len(solved)}']
    for key in MEANS:
        scenes = common if key in ('success', 'classes') else solved
        values = [found[name][key] for found in scenes if found[name][key] is not None]
        cells.append(f'{np.mean(values):.3g}' if values else '-')
    return cells


def main() -> None:
    """Measure and print."""
    asked = arguments()
    robot = warm_arm(asked.robot_config)
    kept = RowFile(asked.rows, {key: getattr(asked, key) for key in (
        'robot_config', 'tier', 'model', 'regression')})
    done = {(row['name'], row['seed']) for row in kept.rows}
    names = [name for name in asked.arrangements
             if asked.regression or not name.startswith(REGRESSION)]
    for seed in range(asked.seed, asked.seed + asked.episodes):
        scene = generate_scene(robot, seed, asked.tier)
        for name in names:
            if (name, seed) in done:
                continue
            model = asked.regression if name.startswith(REGRESSION) else asked.model
            kept.add([measure(name, robot, scene, model)])
    table = Table('arrangement', 'scenes, solved by all', *MEANS, title=' '.join(sys.argv))
    for name in names:
        table.add_row(*summary([row for row in kept.rows if row['name'] in names], name))
    Console(width=160).print(table)


if __name__ == '__main__':
    main()
