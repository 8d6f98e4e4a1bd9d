# SPDX-License-Identifier: Apache-2.0
"""Where an obstacle may jump: into the path, but not nearer than a full brake can still answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.base.silence import Silence
from diffusion_control.robots.base import Base
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.planar import turned
from diffusion_control.robots.protocol import Robot
from diffusion_control.trajectory.stop import stop_trajectory
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
SPACING_S = 0.02
LOOK_AHEAD_S = {'arm': 1.6, 'base': 4.0}
STEP_S = 0.01
SPARE_M = 0.005


def braking_configurations(
    robot: Robot, motion: Trajectory, now_s: float, reaction_s: float, braking_fraction: float
) -> Array:
    """Return the configurations of the robot until it stands, shape [k, n].

    The oracle: the robot follows `motion` for `reaction_s` more, then brakes with
    `braking_fraction` of its acceleration. A base is held to more, so that no sample that it is
    sent meanwhile runs into the obstacle: it keeps its twist for the receiver's time-out and is
    braked by the receiver then.
    """
    follow = np.arange(0.0, reaction_s + SPACING_S, SPACING_S)
    followed, _, _ = motion.sample_many(now_s + follow)
    sample = motion.sample(now_s + reaction_s)
    if isinstance(robot, Base):
        twist = turned(np.array([0.0, 0.0, -sample.position[2]]), sample.velocity)
        held = Silence(robot.drive, robot.receiver_timeout_s).command(
            sample.position, twist, now_s)
        return np.concatenate([followed, held.position])
    _, stopped, _, _ = stop_trajectory(
        sample.position, sample.velocity, sample.acceleration,
        robot.limits.scaled(braking_fraction), period_s=SPACING_S)
    return np.concatenate([followed, stopped])


def jump_position(
    robot: Robot,
    plan: Trajectory,
    motion: Trajectory,
    now_s: float,
    radius_m: float,
    rng: np.random.Generator,
    *,
    reaction_s: float,
    braking_fraction: float,
    margin_m: float,
) -> Array | None:
    """Return a position on the tool's way ahead that the full-brake oracle can still answer.

    Candidates lie where the plan has the tool 0.1 to 1.6 s from now (a base: up to 4 s, at half
    of its height); the nearest one is taken for which min over the braking configurations of the
    distance to a ball of `radius_m` there is at least `margin_m` (and 5 mm, for what the sphere
    model leaves open).

    Args:
        robot: The robot.
        plan: The plan that is followed.
        motion: The tracker's newest motion.
        now_s: ROS time [s].
        radius_m: Bounding radius of the obstacle that jumps [m].
        rng: Shifts the candidates by up to 10 ms along the way.
        reaction_s: Time until the first braking command moves the robot [s].
        braking_fraction: Share of the acceleration limits the brake uses.
        margin_m: Least distance after the stop [m].
    """
    braking = braking_configurations(robot, motion, now_s, reaction_s, braking_fraction)
    times = np.zeros(len(braking))
    last = LOOK_AHEAD_S[robot.kind]
    ahead = now_s + np.arange(0.1, last, STEP_S) + rng.random() * STEP_S
    height = robot.collision.height_m / 2 if isinstance(robot, Base) else 0.0
    positions, _, _ = plan.sample_many(np.minimum(ahead, plan.end_s))
    for configuration in positions:
        centre = robot.tool_pose(configuration)[0] + np.array([0.0, 0.0, height])
        ball = robot.pack((Obstacle('sphere', (radius_m,), centre),))
        distance, _ = robot.collision.path_clearance(braking, times, ball)
        if distance.min() >= margin_m + SPARE_M:
            return np.asarray(centre)
    return None
