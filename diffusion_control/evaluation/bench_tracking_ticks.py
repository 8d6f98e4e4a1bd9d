# SPDX-License-Identifier: Apache-2.0
"""Thread times of a tracker's tick: by formulation, horizon and number of joints.

Only `Tracker.step` is timed, by the thread's own clock, with the wall beside it. *Easy* plans use
half of what the limits allow, *hard* ones ask for twice as much, so that most ticks have an
active constraint; *heavy* ones are hard and the drives have a third of their torque, so that the
joints are coupled. Between the ticks one `Trajectory.sample` is timed, which always does the
same work: how far its 99th percentile lies above its median says how busy the machine was.
"""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.bench_tracking_world import (
    Follower,
    command_violations,
    executed,
    no_collection,
    pair_of,
    quintic_plan,
    random_goal,
)
from diffusion_control.evaluation.workers import warm_robot
from diffusion_control.tracking.parameters import TrackerParameters
from diffusion_control.tracking.prediction import Prediction
from diffusion_control.tracking.protocol import STAGES, TrackerReport
from diffusion_control.tracking.registry import tracker_with

Array = NDArray[np.float64]
PERCENTILES = (50.0, 99.0, 99.9, 100.0)
SHARES = {'easy': 0.5, 'hard': 2.0, 'heavy': 2.0}
HEAVY_TORQUE = 0.35
WARM_TICKS, PAUSE_S, NOTICE_S = 20, 0.1, 0.05
SIX_JOINTS = 'ur5'
LONGEST = 96


def robot_of(robot_config: str, load: str, joints: int | None = None) -> Any:
    """Return a robot with that many joints: the chosen one, a UR5, or two of the chosen one."""
    robot: Any = warm_robot(robot_config)
    joints = robot.dof if joints is None else joints
    if joints == 2 * robot.dof:
        return pair_of(robot)
    if joints != robot.dof:
        robot = warm_robot(SIX_JOINTS)
    if load == 'heavy':
        robot = copy.copy(robot)
        robot.limits = replace(
            robot.limits, torque_nm=HEAVY_TORQUE * robot.limits.torque_nm)
    return robot


def time_ticks(
    robot_config: str, tracker: str, load: str, *, ticks: int, seed: int,
    joints: int | None = None, horizon: int = 20,
) -> dict[str, Any]:
    """Return the row of one case.

    Args:
        robot_config: The robot's name or file.
        tracker: The tracker's name.
        load: `easy`, `hard` or `heavy`.
        ticks: Timed ticks.
        seed: Of the goals.
        joints: The robot's own number (None), 6 or twice its own.
        horizon: Steps of the prediction.
    """
    robot = robot_of(robot_config, load, joints)
    parameters = TrackerParameters()
    follower = Follower(
        tracker_with(tracker, robot, Prediction(horizon, parameters.dt_s), parameters,
                     max_points=LONGEST), robot)
    with no_collection():
        reports, sample_s = _drive(follower, SHARES[load], ticks, seed)
    cpu_s, wall_s = follower.cpu_s[WARM_TICKS:], follower.wall_s[WARM_TICKS:]
    violations = command_violations(robot, *executed(follower.sent))
    return {
        'tracker': tracker, 'load': load, 'joints': robot.dof, 'horizon': horizon,
        'usual': horizon == 20 and robot.dof == warm_robot(robot_config).dof,
        'ticks': len(cpu_s), **percentiles('cpu', cpu_s), **percentiles('wall', wall_s),
        'sample_p50_s': float(np.median(sample_s)),
        'sample_p99_s': float(np.percentile(sample_s, 99)),
        'stage_p50_s': {name: float(np.median([r.stage_s[name] for r in reports]))
                        for name in STAGES},
        'iterations_mean': float(np.mean([r.iterations for r in reports])),
        'limited_share': float(np.mean([r.saturation > 0 for r in reports])),
        'torque_share': float(np.mean([r.torque_active for r in reports])),
        'solved_share': float(np.mean([r.solve_ok for r in reports])),
        'violations': violations}


def percentiles(name: str, samples_s: Any) -> dict[str, float]:
    """Return `NAME_pP_s` of samples for the percentiles of the tables; p100 is the maximum."""
    values = np.percentile(np.asarray(samples_s), PERCENTILES)
    return {f'{name}_p{p:g}_s': float(value)
            for p, value in zip(PERCENTILES, values, strict=True)}


def _drive(
    follower: Follower, share: float, ticks: int, seed: int
) -> tuple[list[TrackerReport], list[float]]:
    """Follow random plans; return the reports, and times of a sample between the ticks [s]."""
    rng, robot, plan = np.random.default_rng(seed), follower.robot, None
    reports, sample_s = [], []
    for _ in range(ticks + WARM_TICKS):
        if plan is None or follower.now_s > plan.end_s + PAUSE_S:
            plan = quintic_plan(
                robot, follower.ahead(NOTICE_S), follower.now_s + NOTICE_S,
                random_goal(robot, rng), share)
        reports.append(follower.tick(plan).report)
        begin = time.thread_time_ns()
        plan.sample(follower.now_s)
        sample_s.append((time.thread_time_ns() - begin) * 1e-9)
    return reports[WARM_TICKS:], sample_s
