# SPDX-License-Identifier: Apache-2.0
"""SafeDiffuser on the arm: does it stay in a region of joint space, in plan and in motion.

Each scene is run in closed loop (tracker, safety monitor, perturbed plant) by the unguarded
planner and by every method, for two regions (`planners/joint_region.py`): `position`, where joints
keep the range between start and goal, `slack` wider, and `speed`, where in addition they stay
`reaction` seconds away from its ends. Tracker and safety monitor of the guarded planners have the
range as the limits of the robot, and `class_k_gain` 1 / (2 reaction): where the monitor swings a
joint aside at v, the rule v <= gain * room asks for a braking of gain * v, and with twice the gain
that is more than the joint has. Printed is the least h of the plans at their knots, at ten
instants between knots, and of the true motion, and in how many scenes it is negative; trapped is
who has plans, but stays away from the goal. `--deadline-s` is what a plan may take; with `inf` the
run is the same on every machine. Where no guarded planner arrives, RRT-Connect searches
the range for `--search-s`: without a way in it there is nothing to plan.

Example: OMP_NUM_THREADS=1 python benchmarks/joint_regions.py --episodes 100 --rows rows.jsonl
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numbers_given import positive, seed_number
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from diffusion_control import planners
from diffusion_control.evaluation.closed_loop import START_S, ClosedLoop, LoopOptions
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.loop_parts import monitor_of
from diffusion_control.evaluation.row_store import RowFile
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.evaluation.workers import warm_arm
from diffusion_control.planners.joint_region import JointRegion
from diffusion_control.planners.problem import PlanningProblem
from diffusion_control.robots.state import RobotState
from diffusion_control.trajectory.trajectory import between

Array = NDArray[np.float64]
REGIONS = {'position': 0.0, 'speed': 0.1}
UNGUARDED, SEARCH = 'diffuser', 'rrt_connect'
PLANNERS = (UNGUARDED, 'safediffuser_ros', 'safediffuser_res', 'safediffuser_tvs', 'safediffuser')
LEVELS = ('plan', 'dense', 'motion')
BETWEEN = 10
PERCENTILES = (50, 99, 100)
GAIN_RESERVE = 2.0
LATE_SHARE, PROGRESS_RAD, AT_GOAL_RAD = 0.25, 0.05, 0.02


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--robot-config', default='panda')
    parser.add_argument('--model', default='', help='the shipped one')
    parser.add_argument('--tier', default='hard')
    parser.add_argument('--slack', type=float, default=0.4, help='of the range [rad]')
    parser.add_argument('--episodes', type=positive, default=100)
    parser.add_argument('--seed', type=seed_number, default=48_000, help='seed of the first scene')
    parser.add_argument('--planners', nargs='+', choices=PLANNERS, default=list(PLANNERS))
    parser.add_argument('--deadline-s', type=float, default=0.5, help='of a plan [s]')
    parser.add_argument('--search-s', type=float, default=12.0, help='for a way in the range [s]')
    parser.add_argument('--rows', type=Path, help='rows of JSON, kept and gone on with')
    return parser.parse_args()


def least(region: JointRegion, plans: list[Command], parts: int) -> float | None:
    """Return the least h of plans at their knots and `parts` - 1 times between them [rad]."""
    found = []
    for plan in plans:
        times = plan.stamp_s + between(plan.times_s, parts)
        found.append(region.h(plan.position_at(times), plan.velocity_at(times)).min())
    return float(min(found)) if found else None


def trapped(times: Array, q: Array, goal: Array) -> bool:
    """Say whether a motion is away from its goal and hardly came nearer in the last quarter."""
    away = np.abs(q - goal).max(axis=1)
    late = away[times >= times[-1] - LATE_SHARE * (times[-1] - times[0])]
    return bool(away[-1] > AT_GOAL_RAD and late[0] - late[-1] < PROGRESS_RAD)


def narrowed(robot: Any, region: JointRegion) -> Any:
    """Return the robot with the region's range as its limits."""
    narrow = copy.copy(robot)
    narrow.limits = replace(robot.limits, lower_rad=region.lower, upper_rad=region.upper)
    return narrow


def region_of(robot: Any, scene: Any, asked: Any, reaction_s: float) -> JointRegion:
    """Return the region of a scene."""
    goal = np.asarray(scene.goals[0].joints_rad, dtype=float)
    return JointRegion.around(
        np.asarray(scene.start_rad, dtype=float), goal, asked.slack, reaction_s, robot.limits)


def search(robot: Any, scene: Any, asked: Any) -> dict[str, Any]:
    """Return the row that says whether a way in the range was found."""
    inside = narrowed(robot, region_of(robot, scene, asked, 0.0))
    start = np.asarray(scene.start_rad, dtype=float)
    answer = planners.make('rrt_connect', robot=inside, search_s=asked.search_s).plan(
        PlanningProblem(RobotState(start, np.zeros_like(start)), scene.goals[0],
                        scene.obstacles))
    return {'name': SEARCH, 'reaction_s': 0.0, 'seed': scene.seed,
            'success': answer.trajectory is not None}


def guarded_loop(
    name: str, robot: Any, scene: Any, region: JointRegion, asked: Any
) -> ClosedLoop:
    """Return the loop of a guarded planner; tracker and monitor know the region, too."""
    narrow = narrowed(robot, region)
    loop = ClosedLoop(narrow, scene, name, LoopOptions(
        model=asked.model, deadline_s=asked.deadline_s, planner_parameters={
            'slack_rad': asked.slack, 'reaction_s': region.reaction_s}))
    if region.reaction_s > 0.0:
        loop.monitor = monitor_of(
            narrow, loop.options.fallback, class_k_gain=1.0 / (GAIN_RESERVE * region.reaction_s))
    return loop


def measure(name: str, reaction_s: float, robot: Any, scene: Any, asked: Any) -> dict[str, Any]:
    """Return the row of one planner in one scene with one region."""
    goal = np.asarray(scene.goals[0].joints_rad, dtype=float)
    region = region_of(robot, scene, asked, reaction_s)
    if name == UNGUARDED:
        loop = ClosedLoop(robot, scene, name, LoopOptions(
            model=asked.model, deadline_s=asked.deadline_s))
    else:
        loop = guarded_loop(name, robot, scene, region, asked)
    loop.run()
    truth = loop.arrays
    moving = truth['t_s'] >= START_S
    q, dq = truth['q'][moving], truth['dq'][moving]
    latency = np.array(loop.episode(0).plan_latency_s)
    return {
        'name': name, 'reaction_s': reaction_s, 'seed': scene.seed, 'success': loop.done,
        'time_s': loop.reached_s[-1] if loop.done else None, 'plans': len(loop.plans),
        'plan': least(region, loop.plans, 1), 'dense': least(region, loop.plans, BETWEEN),
        'motion': float(region.h(q, dq).min()),
        'trapped': bool(loop.plans) and not loop.done and trapped(
            truth['t_s'][moving], q, goal),
        'latency_s': latency.round(4).tolist()}


def ways_known(rows: list[dict[str, Any]]) -> set[int]:
    """Return the seeds of the scenes in whose range a way was found."""
    return {row['seed'] for row in rows if row['success'] and row['name'] != UNGUARDED}


def cells(rows: list[dict[str, Any]], name: str, reaction_s: float) -> list[str]:
    """Return a line of the table; times of the scenes that the unguarded planner solves, too."""
    mine = [row for row in rows if row['name'] == name and row['reaction_s'] == reaction_s]
    other = {row['seed']: row['time_s'] for row in rows if row['name'] == UNGUARDED
             and row['reaction_s'] == reaction_s and row['success']}
    both = np.array([(row['time_s'], other[row['seed']]) for row in mine
                     if row['success'] and row['seed'] in other]).reshape(-1, 2).sum(axis=0)
    ratio = both[0] / both[1] if both[1] > 0.0 else math.nan
    levels = []
    for key in LEVELS:
        values = np.array([row[key] for row in mine if row[key] is not None])
        levels.append(f'{values.min():.3f} ({(values < 0.0).sum()})' if len(values) else '-')
    latency = [spent for row in mine for spent in row['latency_s']]
    plans = sum(row['plans'] for row in mine)
    reached = {row['seed'] for row in mine if row['success']}
    return [name, str(len(mine)), str(plans), *levels, f'{sum(row["trapped"] for row in mine)}',
            f'{len(reached)}', f'{len(reached & ways_known(rows))}', f'{ratio:.3f}',
            *(f'{np.percentile(latency, share):.3f}' if latency else '-' for share in PERCENTILES)]


def main() -> None:
    """Measure and print."""
    asked = arguments()
    robot = warm_arm(asked.robot_config)
    kept = RowFile(asked.rows, {key: getattr(asked, key) for key in (
        'robot_config', 'tier', 'model', 'slack', 'deadline_s', 'search_s')})
    rows = kept.rows
    done = {(row['name'], row['reaction_s'], row['seed']) for row in rows}
    for seed in range(asked.seed, asked.seed + asked.episodes):
        scene = generate_scene(robot, seed, asked.tier)
        for reaction_s in REGIONS.values():
            for name in asked.planners:
                if (name, reaction_s, seed) in done:
                    continue
                kept.add([measure(name, reaction_s, robot, scene, asked)])
        if seed not in ways_known(rows) and (SEARCH, 0.0, seed) not in done:
            kept.add([search(robot, scene, asked)])
    print(f'{len(ways_known(rows))} of {asked.episodes} ranges have a way in them that a guarded '
          f'planner, or {SEARCH} in {asked.search_s:g} s, found')
    for region, reaction_s in REGIONS.items():
        table = Table('planner', 'scenes', 'plans', *(f'least h {key} [rad]' for key in LEVELS),
                      'trapped', 'reached', 'way known', 'time / unguarded',
                      *(f'plan p{share} s' for share in PERCENTILES),
                      title=f'{region}: {" ".join(sys.argv)}')
        for name in asked.planners:
            table.add_row(*cells(rows, name, reaction_s))
        Console(width=160).print(table)


if __name__ == '__main__':
    main()
