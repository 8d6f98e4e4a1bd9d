# SPDX-License-Identifier: Apache-2.0
"""Whole plans, back to back over unseen scenes: how long they take, and what comes out.

Every planner is asked from rest, once a scene. A plan is a success if the planner's own dense
check calls it free. Two rows are asked as a node would ask that plans at 20 Hz (16 candidates in
50 ms), or in 65 ms; without a deadline a planner proposes again where nothing is free. `equal ms`
is the plain multi-start with as many starts and descents as take the default diffuser's median
thread time: what learning is worth.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from diffusion_control import planners
from diffusion_control.evaluation.bench_inference_setup import (
    ABSENT,
    CALIBRATION_SEED,
    PLANNER,
    Row,
    Setup,
    Task,
    percentiles,
)
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.planners.protocol import Planner

SIXTEEN: dict[str, Any] = {'num_samples': 16, 'num_kept': 16}
DIFFUSER_16, DIFFUSER, UNTRAINED, EQUAL = 'diffuser 16', 'diffuser', 'untrained', 'equal ms'
IN_50_MS, IN_65_MS = 'diffuser 16 in 50 ms', 'diffuser in 65 ms'
DEADLINES_S = {IN_50_MS: 0.050, IN_65_MS: 0.065}
PLANNERS: dict[str, tuple[str, dict[str, Any]]] = {
    IN_50_MS: (PLANNER, SIXTEEN), IN_65_MS: (PLANNER, {}),
    DIFFUSER_16: (PLANNER, SIXTEEN), DIFFUSER: (PLANNER, {}), 'hybrid': ('hybrid', {}),
    'untrained 16': (PLANNER, SIXTEEN), UNTRAINED: (PLANNER, {}),
    'training_free': ('training_free', {}), 'multi_start': ('multi_start', {}),
    'straight_line': ('straight_line', {}), 'random': ('random', {})}
NAMES = (*PLANNERS, EQUAL)
LEARNED = (PLANNER, 'hybrid')
STARTS, KEPT = 256, 32
CALIBRATION_SCENES, CORRECTIONS = 20, 3
LEAST_SCALE, GREATEST_SCALE = 0.05, 40.0
WARM_PLANS = 3


def plan_scenes(setup: Setup, task: Task) -> Row:
    """Return times, successes and durations of one planner, one entry a scene."""
    if task.name.startswith(UNTRAINED) and not setup.untrained:
        return {ABSENT: setup.untrained_absent}
    problems = [setup.question(task.seed + index) for index in range(task.amount)]
    if task.name == EQUAL:
        parameters, matched = _equal_milliseconds(setup, min(task.amount, CALIBRATION_SCENES))
        return {**measured(planners.make('multi_start', robot=setup.robot, **parameters),
                           problems), 'parameters': parameters, **matched}
    planner = named(setup, task.name)
    return {**measured(planner, problems, DEADLINES_S.get(task.name)),
            'parameters': PLANNERS[task.name][1]}


def named(setup: Setup, name: str) -> Planner:
    """Return a planner of the table by its name there."""
    kind, parameters = PLANNERS[name]
    model = setup.untrained if name.startswith(UNTRAINED) else setup.model
    return planners.make(
        kind, robot=setup.robot, model=model if kind in LEARNED else None, **parameters)


def measured(
    planner: Planner, problems: list[PlanningProblem], deadline_s: float | None = None
) -> Row:
    """Ask a planner each question once, after a few that warm it up."""
    for _ in range(WARM_PLANS):
        planner.plan(problems[0])
    wall: list[float] = []
    cpu: list[float] = []
    success: list[bool] = []
    lasting: list[float | None] = []
    for problem in problems:
        began, thread = time.perf_counter(), time.thread_time()
        try:
            best = planner.plan(problem, deadline_s).trajectory
        except PlanningError:
            best = None
        cpu.append(time.thread_time() - thread)
        wall.append(time.perf_counter() - began)
        success.append(best is not None)
        lasting.append(None if best is None else float(best.times_s[-1]))
    return {'wall_s': wall, 'cpu_s': cpu, 'success': success, 'duration_s': lasting,
            **percentiles(wall, 'wall'), **percentiles(cpu, 'cpu')}


def _equal_milliseconds(
    setup: Setup, scenes: int
) -> tuple[dict[str, Any], dict[str, float]]:
    """Return parameters of multi_start whose median thread time is the default diffuser's.

    Time is affine in the share s of starts and descents: two measurements give a line, and each
    correction replaces the older of them. The best of all that were tried is returned.
    """
    problems = [setup.question(CALIBRATION_SEED + index) for index in range(scenes)]
    wanted = float(measured(named(setup, DIFFUSER), problems)['cpu_p50_s'])

    def taken(scale: float) -> float:
        planner = planners.make('multi_start', robot=setup.robot, **_scaled(scale))
        return float(measured(planner, problems)['cpu_p50_s'])

    tried = [(scale, taken(scale)) for scale in (1.0, 2.0)]
    for _ in range(CORRECTIONS):
        scale = next_scale(tried[-2], tried[-1], wanted)
        tried.append((scale, taken(scale)))
    best, found = min(tried, key=lambda pair: abs(pair[1] - wanted))
    return _scaled(best), {'wanted_cpu_p50_s': wanted, 'calibrated_cpu_p50_s': found}


def next_scale(
    before: tuple[float, float], last: tuple[float, float], wanted_s: float
) -> float:
    """Return where the line through two (share, time) meets the wanted time, within bounds."""
    slope = (last[1] - before[1]) / (last[0] - before[0]) if last[0] != before[0] else 0.0
    if slope <= 0.0:
        scale = last[0] * wanted_s / max(last[1], 1e-9)
    else:
        scale = last[0] + (wanted_s - last[1]) / slope
    return float(np.clip(scale, LEAST_SCALE, GREATEST_SCALE))


def _scaled(scale: float) -> dict[str, Any]:
    """Return parameters of multi_start with a share of its usual starts and descents."""
    return {'num_starts': max(1, round(scale * STARTS)), 'num_kept': max(1, round(scale * KEPT))}
