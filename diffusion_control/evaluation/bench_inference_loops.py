# SPDX-License-Identifier: Apache-2.0
"""Closed loops of `bench inference`: warm starts against cold ones, and latency.

Simulator, tracker and safety monitor as in `evaluate`; the planner has no deadline, so that it
makes the evaluations that are compared, and an episode is the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.bench_inference_setup import PLANNER, Row, Setup, Task
from diffusion_control.evaluation.closed_loop import START_S, ClosedLoop, LoopOptions
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.plan_checks import mode_flips

Array = NDArray[np.float64]
WARM_LEVEL = 0.4
STARTS: dict[str, dict[str, Any]] = {
    'warm 1': {'num_inference_steps': 2, 'warm_start_level': WARM_LEVEL},
    'warm 2': {'num_inference_steps': 5, 'warm_start_level': WARM_LEVEL},
    'cold 5': {'num_inference_steps': 5, 'warm_start_level': 1.0},
    'cold 10': {'num_inference_steps': 10, 'warm_start_level': 1.0},
    'cold 20': {'num_inference_steps': 20, 'warm_start_level': 1.0}}
NAIVE = 'naive'
LATENCIES = ('frozen 0', 'frozen 100', 'frozen 200', 'frozen 300',
             'naive 100', 'naive 200', 'naive 300')
COMMON_POINTS = 40
JERK_PERIOD_S = 0.01


def run_start(setup: Setup, task: Task) -> Row:
    """Return the row of one scene, replanned from the previous plan or from pure noise.

    A kept plan is re-noised to level 0.4, from where two evaluations make 1 and five make 2; at
    level 1 nothing of it is left. The first plan of an episode is cold in any case.
    """
    loop = _loop(setup, task, LoopOptions(
        model=setup.model, planner_parameters=STARTS[task.name], deadline_s=math.inf))
    distances = plan_distances(loop.plans)
    apart = float(np.mean(distances)) if distances else None
    return {**_outcome(loop), 'plan_distance_rad': apart, 'switches': len(distances)}


def run_latency(setup: Setup, task: Task) -> Row:
    """Return the row of one scene whose plans arrive late.

    `frozen` plans from where the robot will be, what it executes until then being fixed; `naive`
    from where it was, and the plan is followed at its own time as soon as it is there.
    """
    kind, _, late_ms = task.name.partition(' ')
    loop = _loop(setup, task, LoopOptions(
        model=setup.model, latency_s=int(late_ms) / 1000.0, naive=kind == NAIVE,
        deadline_s=math.inf))
    arrays = loop.arrays
    return {**_outcome(loop), 'jerk_rms_rad_s3': jerk_rms(
        arrays['t_s'], arrays['cmd'], START_S)}


def _loop(setup: Setup, task: Task, options: LoopOptions) -> ClosedLoop:
    loop = ClosedLoop(setup.robot, setup.scene(task.seed), PLANNER, options)
    loop.run()
    return loop


def _outcome(loop: ClosedLoop) -> Row:
    """Return success, time to the goal, plans and their flips."""
    goals = np.array([START_S, *(START_S + time for time in loop.reached_s[:-1])])
    return {
        'success': loop.done, 'time_s': loop.reached_s[-1] if loop.done else None,
        'plans': len(loop.plans), 'flips': mode_flips(loop.plans, goals),
        'rejected': sum(loop.rejected.values())}


def plan_distances(plans: Sequence[Command]) -> list[float]:
    """Return for each plan the mean |q_old(t) - q_new(t)| over their common future [rad]."""
    found = []
    for old, new in pairwise(plans):
        end_s = min(old.last_s, new.last_s)
        if end_s > new.first_s:
            times = np.linspace(new.first_s, end_s, COMMON_POINTS)
            found.append(float(np.abs(old.position_at(times) - new.position_at(times)).mean()))
    return found


def jerk_rms(times_s: Array, command: Array, since_s: float) -> float | None:
    """Return the root mean square of the third difference of the set-point [rad/s^3].

    At 100 Hz, over all joints, from `since_s` on; the set-point is the receiver's, sampled at
    1 kHz.
    """
    step = max(1, round(JERK_PERIOD_S / float(np.median(np.diff(times_s)))))
    rows = command[times_s >= since_s][::step]
    if len(rows) < 4:
        return None
    return float(np.sqrt(np.mean((np.diff(rows, n=3, axis=0) / JERK_PERIOD_S**3) ** 2)))
