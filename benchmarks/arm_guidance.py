# SPDX-License-Identifier: Apache-2.0
"""An arm's collision cost on the clean estimates: by the kernel between steps, or in the graph.

The same questions, noise, evaluations and steps down the cost for three ways: `none`, `kernel`
(the compiled one, between the steps of the graph) and `graph` (a loop in the graph, one call for a
whole draw). `draw` is the network with its guidance, `plan` the whole plan from rest, without a
deadline, with refinement and choice; times are those of the thread, of every repeat. Motions are
judged as they were drawn, before any refinement: how many are free, and the mean and the 5th
percentile of their least distance to obstacles, self and floor; `plans free` are scenes with a
free plan. The model with guidance in its graph is written if it is not there.

Needs the extras `train` and `cpu`.

Example: OMP_NUM_THREADS=1 python benchmarks/arm_guidance.py --scenes 50
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numbers_given import positive, seed_number
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from diffusion_control.diffusion.arm_cost_body import ArmBody
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.evaluation.workers import warm_arm
from diffusion_control.inference.card import CARD_FILE
from diffusion_control.learning.guided_model import DescentStep, write_guided
from diffusion_control.planners import registry
from diffusion_control.planners.graph_guidance import (
    GRAPH,
    KERNEL,
    GraphGuidance,
    Guided,
    KernelGuidance,
)
from diffusion_control.planners.models import model_directory
from diffusion_control.planners.motion_sampler import Draw
from diffusion_control.planners.problem import PlanningError, PlanningProblem
from diffusion_control.planners.spline_problem import (
    COLLISION_WEIGHT,
    DESCENT_EXTRA_M,
    FREE,
    SAMPLES,
)
from diffusion_control.robots.state import RobotState
from diffusion_control.trajectory.spline import basis, to_trajectory

Array = NDArray[np.float64]
NONE = 'none'
WAYS = (NONE, KERNEL, GRAPH)
SAID = {
    'gradient': 'slopes of the collision cost where nothing guided, kernel - graph (1/rad)',
    'largest': 'the largest slope itself (1/rad)',
    'estimate': 'clean estimates after the first guidance, kernel - graph (normalised)',
    'draws': 'motions that were drawn, kernel - graph (normalised)'}
COLUMNS = ('draw ms p50', 'p99', 'plan ms p50', 'p99', 'draws free', 'clearance m', 'p5',
           'plans free')


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--robot-config', default='panda')
    parser.add_argument('--model', default='', help='of the trained planner; the shipped one')
    parser.add_argument('--guided', type=Path, default=Path('runs/guided_model'),
                        help='the same model with guidance in its graph; written if missing')
    parser.add_argument('--tier', default='hard')
    parser.add_argument('--scenes', type=positive, default=50)
    parser.add_argument('--seed', type=seed_number, default=47_000, help='seed of the first scene')
    parser.add_argument('--draws', type=positive, default=64, help='motions drawn at once')
    parser.add_argument('--evaluations', type=positive, default=2, help='of the network')
    parser.add_argument('--steps', type=positive, default=2, help='down the cost, each time')
    parser.add_argument('--repeats', type=positive, default=5, help='of every draw and plan')
    return parser.parse_args()


class Noted:
    """A sampler that keeps the outputs of its last run."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.card, self.info = inner, inner.card, inner.info
        self.outputs: dict[str, Any] = {}

    def run(self, inputs: Mapping[str, Any], num_inference_steps: int) -> dict[str, Any]:
        """See `inference.Sampler`."""
        self.outputs = self.inner.run(inputs, num_inference_steps)
        return self.outputs


def guided_model(asked: argparse.Namespace, robot: Any) -> Path:
    """Return the folder of the model whose graph guides; it is written if it is not there."""
    if not (asked.guided / CARD_FILE).exists():
        write_guided(model_directory(asked.model, 'diffuser', robot), robot, asked.guided)
    return Path(asked.guided)


def planners(asked: argparse.Namespace, robot: Any) -> dict[str, Any]:
    """Return a planner for every way."""
    guided, found = guided_model(asked, robot), {}
    for way in WAYS:
        found[way] = registry.make(
            'diffuser', robot=robot, seed=0, model=str(guided) if way == GRAPH else asked.model,
            clock=time.thread_time, guide=GRAPH if way == GRAPH else KERNEL,
            guidance_steps=0 if way == NONE else asked.steps, num_samples=asked.draws,
            num_inference_steps=asked.evaluations)
        found[way].network.chain.sampler = Noted(found[way].network.chain.sampler)
    return found


def timed_ms(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return a result and the time of the thread that it took [ms]."""
    began_s = time.thread_time()
    result = work()
    return result, 1e3 * (time.thread_time() - began_s)


def planned(planner: Any, question: PlanningProblem, seed: int) -> bool:
    """Return whether a planner finds a free plan."""
    planner.reset(seed)
    try:
        return planner.plan(question).best is not None
    except PlanningError:
        return False


def judged(request: Any, free: Array, goal: Array) -> tuple[list[float], list[float]]:
    """Return which motions are free, and what they keep clear of obstacles, self and floor [m]."""
    splines, robot = request.splines, request.world.robot
    goals = np.repeat(goal[None], len(free), 0)
    pool = request.timed(free, goals)
    points = splines.assemble(pool.free, goals, pool.duration)
    found = [splines.judge(to_trajectory(way, float(lasting), 0.0, tuple(robot.joint_names)))
             for way, lasting in zip(points, pool.duration, strict=True)]
    return [float(each.free) for each in found], [
        min(each.clearance_m, each.own_clearance_m) for each in found]


def kernel_gradient(asked: Guided, free: Array, instants: int) -> Array:
    """Return the kernel's slope [B, F, n] of the collision cost at weight 1 [1/rad]."""
    splines, at, count = asked.splines, basis(instants), len(free)
    points = splines.assemble(
        free, np.repeat(asked.goal[None], count, 0), np.full(count, asked.duration_s))
    _, _, slope = splines.world.cost(
        (at.position @ points).reshape(-1, free.shape[-1]),
        np.tile(at.phase * asked.duration_s, count), extra_m=DESCENT_EXTRA_M, gradient=True)
    assert slope is not None
    return np.asarray(COLLISION_WEIGHT * 48 / instants * (
        at.position[:, FREE].T @ slope.reshape(count, instants, -1)))


def agreement(
    asked: Guided, arm: ArmBody, drawn: dict[str, Array], first: dict[str, Array]
) -> dict[str, float]:
    """Return how far kernel and graph are apart in one scene, see `SAID`.

    Args:
        asked: The question.
        arm: Constants of the graph.
        drawn: Free points of each way.
        first: Clean estimates of the first evaluation of each way; the kernel moves its own later.
    """
    free, code = drawn[NONE], asked.code
    inputs = GraphGuidance(SAMPLES).inputs(asked)
    wanted = kernel_gradient(asked, free, SAMPLES)
    found = DescentStep(arm).gradient(torch.as_tensor(free, dtype=torch.float32), *(
        torch.as_tensor(value) for name, value in inputs.items() if name.startswith('arm_')))
    apart = {
        'gradient': float(np.abs(found.numpy() - wanted).max()),
        'largest': float(np.abs(wanted).max()),
        'draws': float(np.abs(code.encode(drawn[KERNEL], asked.line)
                              - code.encode(drawn[GRAPH], asked.line)).max())}
    improve = KernelGuidance().improve(asked)
    if improve is not None and not np.array_equal(first[NONE], first[GRAPH]):
        apart['estimate'] = float(np.abs(improve(first[NONE]) - first[GRAPH]).max())
    return apart


def measure(
    asked: argparse.Namespace, robot: Any, made: dict[str, Any], seed: int
) -> tuple[dict[str, dict[str, list[float]]], dict[str, float]]:
    """Return the times and judgements of each way in one scene, and how far they are apart."""
    scene = generate_scene(robot, seed, asked.tier)
    question = PlanningProblem(
        RobotState(scene.start_rad, np.zeros(robot.dof)), scene.goals[0], scene.obstacles)
    request = made[NONE].request(question)
    line = request.lines(1)
    goal, lasting = line.goal[0], float(line.duration[0])
    rows: dict[str, dict[str, list[float]]] = {way: {'draw': [], 'plan': []} for way in WAYS}
    drawn: dict[str, Array] = {}
    first: dict[str, Array] = {}

    def draw(way: str) -> Array:
        how = Draw(asked.evaluations, descent=0 if way == NONE else asked.steps)
        free, _ = made[way].network.draw(
            request.splines, goal, lasting, np.random.default_rng(seed), asked.draws, how)
        return np.asarray(free)

    for _ in range(asked.repeats):
        for way in WAYS:
            drawn[way], spent = timed_ms(partial(draw, way))
            first[way] = made[way].network.chain.sampler.outputs['estimates'][0]
            rows[way]['draw'].append(spent)
        for way in WAYS:
            found, spent = timed_ms(partial(planned, made[way], question, seed))
            rows[way]['plan'].append(spent)
            rows[way]['solved'] = [float(found)]
    for way in WAYS:
        rows[way]['free'], rows[way]['clear'] = judged(request, drawn[way], goal)
    guided = Guided(request.splines, made[NONE].network.code, goal, lasting, asked.steps)
    return rows, agreement(guided, ArmBody.of(robot), drawn, first)


def line_of(way: str, scenes: list[dict[str, dict[str, list[float]]]]) -> list[str]:
    """Return a line of the table."""
    def joined(key: str) -> Array:
        return np.concatenate([np.asarray(scene[way][key], float) for scene in scenes])

    clear = joined('clear')
    times = [f'{np.percentile(joined(key), share):.1f}'
             for key in ('draw', 'plan') for share in (50, 99)]
    return [way, *times, f'{joined("free").mean():.3f}', f'{clear.mean():.4f}',
            f'{np.percentile(clear, 5):.4f}', f'{joined("solved").mean():.3f}']


def main() -> None:
    """Measure and print."""
    asked = arguments()
    robot = warm_arm(asked.robot_config)
    made = planners(asked, robot)
    found = [measure(asked, robot, made, seed)
             for seed in range(asked.seed, asked.seed + asked.scenes)]
    table = Table('guidance', *COLUMNS, title=' '.join(sys.argv))
    for way in WAYS:
        table.add_row(*line_of(way, [rows for rows, _ in found]))
    console = Console(width=140)
    console.print(table)
    for key, said in SAID.items():
        values = [apart[key] for _, apart in found if key in apart]
        if values:
            console.print(f'{said}: max {max(values):.2e}, median {np.median(values):.2e}')


if __name__ == '__main__':
    main()
