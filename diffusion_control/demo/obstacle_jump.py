# SPDX-License-Identifier: Apache-2.0
"""Where an obstacle may jump: into the path, but not nearer than a full brake can still answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.robots.protocol import Robot
from diffusion_control.trajectory.stop import stop_trajectory
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]
SPACING_S = 0.02
LOOK_AHEAD_S = 1.6
STEP_S = 0.01
SPARE_M = 0.005


def braking_configurations(
    robot: Robot, motion: Trajectory, now_s: float, reaction_s: float, braking_fraction: float
) -> Array:
    """Return the configurations of the robot until it stands, shape [k, n].

    The oracle: the robot follows `motion` for `reaction_s` more, then brakes with
    `braking_fraction` of its acceleration.
    """
    follow = np.arange(0.0, reaction_s + SPACING_S, SPACING_S)
    followed, _, _ = motion.sample_many(now_s + follow)
    sample = motion.sample(now_s + reaction_s)
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

    Candidates lie where the plan has the tool 0.1 to 1.6 s from now; the nearest one is taken
    for which min over the braking configurations of the distance to a ball of `radius_m`
    there is at least `margin_m` (and 5 mm, for what the sphere model leaves open).

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
    ahead = now_s + np.arange(0.1, LOOK_AHEAD_S, STEP_S) + rng.random() * STEP_S
    positions, _, _ = plan.sample_many(np.minimum(ahead, plan.end_s))
    for configuration in positions:
        centre, _ = robot.tool_pose(configuration)
        ball = ObstacleArrays.pack((Obstacle('sphere', (radius_m,), centre),))
        distance, _ = robot.collision.path_clearance(braking, times, ball)
        if distance.min() >= margin_m + SPARE_M:
            return np.asarray(centre)
    return None
