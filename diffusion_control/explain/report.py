# SPDX-License-Identifier: Apache-2.0
"""The explanation of one plan: all parts put together, written as numbers and pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.host import host_information
from diffusion_control.evaluation.run_folder import RunFolder, finite
from diffusion_control.explain.animation import draw_animation, draw_strip
from diffusion_control.explain.attention import attention_maps, draw_attention
from diffusion_control.explain.compare import Variant, counterfactuals, measures, sweep
from diffusion_control.explain.constraints import active_constraints
from diffusion_control.explain.denoising import NO_TRACE, Trace, traced
from diffusion_control.explain.picture import draw_explanation
from diffusion_control.explain.question import GUIDANCE, ExplainOptions, Question, chosen
from diffusion_control.explain.stage import Stage
from diffusion_control.planners.problem import PlanSet
from diffusion_control.planners.selection import NOT_FREE
from diffusion_control.planners.spline_planner import Request, SplinePlanner
from diffusion_control.whole_file import written_whole

Array = NDArray[np.float64]
SCHEMA_VERSION = 1
REPORT, PICTURE, STRIP, ANIMATION = 'explain.json', 'explain.png', 'denoising.png', 'denoising.gif'
ATTENTION = 'attention.png'


@dataclass(frozen=True)
class Explanation:
    """The result.

    Attributes:
        numbers: What `explain.json` holds.
        folder: Where it was written.
        paths: Places of the tool of every plan by name, [K, 3] [m] each, for a MarkerArray.
        steps: Places of the clean estimates of every reverse step, [M, S, 3] [m] each.
        frame_id: Of these places.
    """

    numbers: dict[str, Any]
    folder: Path
    paths: dict[str, Array]
    steps: tuple[Array, ...]
    frame_id: str


def explain(options: ExplainOptions) -> Explanation:
    """Plan once, and again with one thing changed at a time; write numbers and pictures.

    Raises:
        ConfigurationError: A bad robot, scene or planner.
        PlanningError: There is no plan to explain.
    """
    question = Question(options)
    answer = question.plan()
    plan = chosen(answer)
    swept = sweep(question, plan)
    without = counterfactuals(question, plan)
    trace = traced(question, options.steps)
    active = active_constraints(question, plan)
    terms, maps = cost_terms(question, answer), attention_maps(question, options.steps)
    numbers = {
        'schema_version': SCHEMA_VERSION, 'commit': options.commit, 'command': options.command,
        'host': host_information(), 'robot': question.robot.name, 'seed': options.seed,
        'scene': str(options.scene or f'hard, seed {options.seed}'),
        'planner': question.planner.info(), 'plan': measures(question, answer),
        'candidates': {
            'scores': answer.scores.tolist(), 'best': answer.best, 'cost_terms': terms,
            'costs': {name: row.tolist() for name, row in answer.costs.items()}},
        'guidance': [variant.numbers for variant in swept],
        'counterfactuals': [variant.numbers for variant in without],
        'denoising': NO_TRACE if trace is None else trace.as_list(),
        'attention': maps if isinstance(maps, str) else [step.tolist() for step in maps],
        'constraints': active.as_dict()}
    folder = RunFolder.create(options.out)
    places = {v.name: question.path(v.motion) for v in (*swept, *without)}
    draw(question, answer, places, swept, without, trace, terms, active, folder.path)
    if not isinstance(maps, str):
        draw_attention(maps, folder.path / ATTENTION)
    with written_whole(folder.path / REPORT) as waiting:
        waiting.write_text(json.dumps(finite(numbers), indent=1, allow_nan=False),
                           encoding='utf-8')
    return Explanation(
        finite(numbers), folder.path, {'plan': question.path(plan), **places},
        () if trace is None else trace.clean, question.robot.base_frame)


def draw(
    question: Question, answer: PlanSet, places: dict[str, Array], swept: list[Variant],
    without: list[Variant], trace: Trace | None, terms: dict[str, list[float]], active: Any,
    folder: Path,
) -> None:
    """Write the pictures of an explanation into a folder."""
    plan = question.path(chosen(answer))
    ends = plan[[0]], plan[[-1]]
    stage = Stage(question, np.concatenate([ends[0], plan, *places.values(), ends[1]]))
    shown = terms or {'minus score [s], free ones': [
        -float(score) if score > NOT_FREE else 0.0 for score in answer.scores]}
    draw_explanation(
        stage, plan, places, swept, without, trace, shown, active, folder / PICTURE)
    if trace is not None:
        draw_strip(stage, trace, plan, folder / STRIP)
        draw_animation(stage, trace, plan, folder / ANIMATION)


def cost_terms(question: Question, answer: PlanSet) -> dict[str, list[float]]:
    """Return the terms of the planner's own cost of each candidate; empty where it has none."""
    planner = question.planner
    if not isinstance(planner, SplinePlanner):
        return {}
    request = Request(
        question.robot, question.problem, planner.goals, planner.values,
        question.values.get(GUIDANCE, 1.0))
    rows: dict[str, list[float]] = {}
    for motion in answer.candidates:
        pool = request.spline_of(motion)
        points = request.splines.assemble(pool.free, pool.goal, pool.duration)
        for name, value in request.splines.terms(points, pool.duration).items():
            rows.setdefault(name, []).append(float(value[0]))
    return rows
