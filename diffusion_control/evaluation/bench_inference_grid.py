# SPDX-License-Identifier: Apache-2.0
"""Latency of one denoising run: evaluations x candidates, the shipped model and longer horizons.

One thread, back to back, the whole run as one call of the graph. Horizons are measured with a
temporal U-Net of random weights, exported on the fly where torch is installed; what a weight is
does not change how long it takes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_control import inference
from diffusion_control.evaluation.bench_inference_setup import (
    ABSENT,
    PLAN_SEED,
    Row,
    Setup,
    Task,
    percentiles,
)
from diffusion_control.inference.chain import DenoisingChain
from diffusion_control.inference.packages import installed
from diffusion_control.inference.tensor import Array
from diffusion_control.planners.arm_features import ArmFeatures
from diffusion_control.planners.world import MOVER_HORIZON_S, World

SHIPPED, HORIZON = 'shipped', 'horizon '
EVALUATIONS, CANDIDATES = (1, 2, 5, 10, 20), (1, 16, 64)
EXPORTING = ('torch', 'onnx', 'onnxscript')
UNET, WIDTH, CONDITION = 'temporal_unet', 32, 64
LEAST_REPEATS, WARM_RUNS = 5, 2
CELL_S = 3.0
PAGE_FILE = Path('/proc/self/statm')


def time_grid(setup: Setup, task: Task) -> Row:
    """Return the cells of one network; `absent` says why there are none."""
    if task.name == SHIPPED:
        before = memory_mb()
        chain = DenoisingChain(inference.load(setup.model, threads=1))
        return {**_cells(chain, _conditions(setup), task.amount),
                'memory_before_mb': before, 'memory_mb': memory_mb()}
    missing = [name for name in EXPORTING if not installed(name)]
    if missing:
        return {ABSENT: f'{", ".join(missing)} not installed: pip install '
                        "'diffusion_control[train]'"}
    from diffusion_control.diffusion.random_model import write_random
    with tempfile.TemporaryDirectory() as folder:
        parameters = write_random(
            Path(folder), UNET, horizon=int(task.name.removeprefix(HORIZON)),
            channels=setup.robot.dof, condition=CONDITION, width=WIDTH)
        chain = DenoisingChain(inference.load(folder, threads=1))
    cells = _cells(chain, {'condition': np.zeros((1, CONDITION), np.float32)}, task.amount)
    return {**cells, 'network': UNET, 'parameters': parameters}


def memory_mb() -> float | None:
    """Return the resident memory of this process [MB]; None where the system does not tell."""
    try:
        pages = int(PAGE_FILE.read_text(encoding='ascii').split()[1])
    except OSError:
        return None
    import resource
    return pages * resource.getpagesize() / 1e6


def _cells(chain: DenoisingChain, conditions: Mapping[str, Array], repeats: int) -> Row:
    """Return latency per cell, and how it grows with evaluations and candidates.

    `per_evaluation_s` is the slope over K, (t(20) - t(1)) / 19; `growth` is t(64) / t(1) at K = 5.
    """
    cells = [_cell(chain, conditions, evaluations, count, repeats)
             for count in CANDIDATES for evaluations in EVALUATIONS]
    p50 = {(cell['evaluations'], cell['candidates']): cell['wall_p50_s'] for cell in cells}
    few, many = EVALUATIONS[0], EVALUATIONS[-1]
    return {
        'cells': cells,
        'per_evaluation_s': {str(count): (p50[many, count] - p50[few, count]) / (many - few)
                             for count in CANDIDATES},
        'growth': p50[5, CANDIDATES[-1]] / p50[5, CANDIDATES[0]]}


def _cell(
    chain: DenoisingChain, conditions: Mapping[str, Array], evaluations: int, count: int,
    repeats: int,
) -> dict[str, Any]:
    """Return the latency of one cell, of so many runs or of those that fit into `CELL_S`."""
    shape = tuple(size for size in chain.card.inputs['x'].shape[1:] if isinstance(size, int))
    noise = np.random.default_rng(0).standard_normal((count, *shape), dtype=np.float32)
    given = {name: np.repeat(value, count, 0) if name == 'condition' else value
             for name, value in conditions.items()}
    for _ in range(WARM_RUNS):
        chain.run(given, noise, evaluations)
    wall: list[float] = []
    cpu: list[float] = []
    while len(wall) < LEAST_REPEATS or (len(wall) < repeats and sum(wall) < CELL_S):
        began, thread = time.perf_counter(), time.thread_time()
        chain.run(given, noise, evaluations)
        cpu.append(time.thread_time() - thread)
        wall.append(time.perf_counter() - began)
    return {'evaluations': evaluations, 'candidates': count, 'n': len(wall),
            **percentiles(wall, 'wall'), **percentiles(cpu, 'cpu')}


def _conditions(setup: Setup) -> dict[str, Array]:
    """Return what the shipped model is told of a hard scene."""
    problem, robot = setup.question(PLAN_SEED + 1), setup.robot
    world = World(robot, problem.obstacles, margin_m=0.015)
    goal = np.asarray(problem.goal.joints_rad)
    return dict(ArmFeatures(robot)(
        problem.start.position, goal, world.all, 2.0, MOVER_HORIZON_S))
