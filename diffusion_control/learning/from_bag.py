# SPDX-License-Identifier: Apache-2.0
"""`diffusion_control data from-bag`: the plans of a recorded run as demonstrations.

Each plan that begins at rest and leads somewhere is one: it ends at rest by the contract, its
obstacles are those that were published last before it, and a spline is fitted to its way.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.published_obstacles import ObstacleSet, obstacle_sets
from diffusion_control.evaluation.run_data import RunData, load_run
from diffusion_control.learning.data_set import (
    BAG,
    DATA_FILE,
    MOST_OBSTACLES,
    read_about,
    require_same,
    stack,
    write_about,
    write_part,
)
from diffusion_control.learning.demonstration import Demonstration, Question
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.trajectory.spline import fit_at_rest

Array = NDArray[np.float64]
AT_REST_RAD_S = 1e-2
STANDING_M_S = 1e-2
LEAST_WAY_RAD = 0.05
SAMPLES = 65
PLANS = ('planner/plan', 'fallback/plan')


def from_bag(source: Path, out: Path, *, robot_config: str, commit: str) -> int:
    """Write the demonstrations of a run folder and return how many there are.

    Args:
        source: A run folder, or the run.mcap in it.
        out: Folder of the data set.
        robot_config: The robot that was driven.
        commit: Version of the code.

    Raises:
        ConfigurationError: No run, or no plan in it that begins at rest.
    """
    folder = (source.parent if source.is_file() else source).resolve()
    run = load_run(folder, robot_config)
    stream = run.recording.stream('obstacles')
    sets = obstacle_sets(stream.messages, run.ros_s(stream.log_s))
    plans = [plan for topic in PLANS for plan in run.trajectories(topic)]
    found = [_demonstration(run, plan, sets, index) for index, plan in enumerate(plans)]
    kept = [demonstration for demonstration in found if demonstration is not None]
    if not kept:
        raise ConfigurationError(
            'no plan of the run begins at rest', where=str(source), value=f'{len(plans)} plans',
            allowed='at least one', remedy='record a run with several goals')
    about = {
        'task': 'arm', 'robot': run.robot.name, 'joint_names': list(run.robot.joint_names),
        'robot_config': robot_config, 'expert': BAG, 'seed': 0, 'commit': commit}
    require_same(out, about)
    before = read_about(out)['runs'] if (out / DATA_FILE).exists() else {}
    runs = {**before, str(folder): len(kept)}
    write_part(out, f'part_{folder.name}', stack(kept))
    write_about(out, {**about, 'runs': runs, 'scenes': sum(runs.values())})
    return len(kept)


def _demonstration(
    run: RunData, plan: Command, sets: list[ObstacleSet], index: int
) -> Demonstration | None:
    """Return a plan as a demonstration; None if it stays, begins in motion or saw too much."""
    if plan.velocity is None or np.abs(plan.velocity[0]).max() > AT_REST_RAD_S:
        return None
    before = [s for s in sets if s.stamp_s <= plan.sent_s]
    standing = tuple(
        o for o in (before[-1].obstacles if before else ())
        if np.linalg.norm(o.velocity_m_s) < STANDING_M_S)
    if len(standing) > MOST_OBSTACLES:
        return None
    way = plan.position_at(np.linspace(plan.first_s, plan.last_s, SAMPLES))
    if np.abs(way - way[0]).max() < LEAST_WAY_RAD:
        return None
    free = fit_at_rest(way)
    question = Question(index, 'bag', way[0], way[-1], ObstacleArrays.pack(standing))
    return Demonstration(question, free, plan.last_s - plan.first_s)
