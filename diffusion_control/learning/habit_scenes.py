# SPDX-License-Identifier: Apache-2.0
"""Scenes in which a habit shows: upright tools at both ends, or one large obstacle on the way.

The same seed gives the same scene on every machine. All obstacles stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.scene_geometry import (
    LINE_POINTS,
    OWN_CLEARANCE_M,
    TOOL_AXIS_DISTANCE_M,
    TOOL_HEIGHT_M,
    SceneGeometry,
)
from diffusion_control.evaluation.scene_tiers import CLEARANCE_M, TIERS, draw_far
from diffusion_control.learning.habit_rules import MOST_TILT_RAD, UP, Side, tilt
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.simulation.scene import Scene

Array = NDArray[np.float64]
CODES = {'upright': 3, 'left': 4}
NEWTON_STEPS, UPRIGHT_RAD, DAMPING = 30, 1e-4, 1e-4
LIMIT_INSET_RAD = 0.05
LEAST_WAY_M, LEAST_BESIDE_M = 0.4, 0.15
UPRIGHT_OBSTACLES, SMALL_OBSTACLES = (1, 5), (0, 3)
LARGE_RADIUS_M, LARGE_HEIGHT_M = (0.07, 0.11), (0.25, 0.45)
LATERAL_M, ALONG_SHARE = 0.03, (0.4, 0.6)
SMALL_SHARE = 0.6
DRAWS = 60
UP_QUATERNION = np.array([0.0, 0.0, 0.0, 1.0])


@dataclass(frozen=True)
class _Source:
    """What scenes are drawn with."""

    geometry: SceneGeometry
    rng: np.random.Generator

    def far(self, obstacles: list[Obstacle]) -> Obstacle:
        """Return an obstacle of the easy tier."""
        return draw_far(
            self.geometry.robot, TIERS['easy'], f'scene/{len(obstacles)}', self.rng)


def upright_scene(robot: Arm, seed: int) -> Scene:
    """Return a scene whose start and goal hold the tool upright among 1 to 5 obstacles.

    The straight line between them in joint space tilts the tool by more than 15 degrees: where it
    does not, whoever takes a short way has the habit.
    """
    source = _source(robot, 'upright', seed)
    while True:
        postures = [_upright_posture(source), _upright_posture(source)]
        tools = robot.tool_positions(np.array(postures))
        line = postures[0] + np.linspace(0.0, 1.0, LINE_POINTS)[:, None] * (
            postures[1] - postures[0])
        if np.linalg.norm(tools[1] - tools[0]) < LEAST_WAY_M or (
                tilt(robot, line).max() <= MOST_TILT_RAD):
            continue
        obstacles: list[Obstacle] = []
        wanted = int(source.rng.integers(UPRIGHT_OBSTACLES[0], UPRIGHT_OBSTACLES[1] + 1))
        for _ in range(DRAWS):
            drawn = source.far(obstacles)
            if len(obstacles) < wanted and source.geometry.is_clear(drawn, postures, CLEARANCE_M):
                obstacles.append(drawn)
        if obstacles:
            return _scene(seed, postures, obstacles)


def left_scene(robot: Arm, seed: int) -> Scene:
    """Return a scene whose largest obstacle stands where the tool's straight motion passes."""
    source = _source(robot, 'left', seed)
    while True:
        postures = [source.geometry.draw_posture(source.rng) for _ in range(2)]
        large = _in_the_way(source, postures)
        if large is None or not source.geometry.is_clear(large, postures, CLEARANCE_M):
            continue
        if source.geometry.line_clearance(postures[0], postures[1], (large,)) >= 0.0:
            continue
        obstacles = [large]
        wanted = int(source.rng.integers(SMALL_OBSTACLES[0], SMALL_OBSTACLES[1] + 1))
        for _ in range(DRAWS):
            drawn = source.far(obstacles)
            if len(obstacles) <= wanted and volume_m3(drawn) < SMALL_SHARE * volume_m3(large) and (
                    source.geometry.is_clear(drawn, postures, CLEARANCE_M)):
                obstacles.append(drawn)
        return _scene(seed, postures, obstacles)


def largest(obstacles: tuple[Obstacle, ...]) -> Obstacle:
    """Return the obstacle of the largest volume."""
    return max(obstacles, key=volume_m3)


def volume_m3(obstacle: Obstacle) -> float:
    """Return the volume of an obstacle [m^3]."""
    size = np.asarray(obstacle.size_m, dtype=float)
    if obstacle.shape == 'sphere':
        return float(4.0 / 3.0 * np.pi * size[0]**3)
    if obstacle.shape == 'cylinder':
        return float(np.pi * size[0]**2 * size[1])
    return float(np.prod(size))


def _source(robot: Arm, habit: str, seed: int) -> _Source:
    """Return the numbers of a habit's scene."""
    return _Source(_geometry(robot), np.random.default_rng([CODES[habit], seed]))


@cache
def _geometry(robot: Arm) -> SceneGeometry:
    """Return the geometry of an arm, found once."""
    return SceneGeometry.of(robot)


def _scene(seed: int, postures: list[Array], obstacles: list[Obstacle]) -> Scene:
    """Return a scene from its parts."""
    return Scene(
        seed=seed, obstacles=tuple(obstacles), start_rad=postures[0],
        goals=(Goal(joints_rad=postures[1]),), tier='easy')


def _upright_posture(source: _Source) -> Array:
    """Return a random configuration with the tool upright, inside limits and clear of itself.

    Newton steps dq = J^T (J J^T + d I)^-1 e turn the tool up, e = a x z of its direction a.
    """
    robot = source.geometry.robot
    _, home = robot.tool_pose(robot.home_rad)
    low, high = robot.limits.lower_rad + LIMIT_INSET_RAD, robot.limits.upper_rad - LIMIT_INSET_RAD
    while True:
        joints = source.geometry.draw_posture(source.rng)
        for _ in range(NEWTON_STEPS):
            error = np.cross(robot.tool_pose(joints)[1] @ home.T @ UP, UP)
            turn = robot.tool_jacobian(joints)[3:]
            joints = joints + turn.T @ np.linalg.solve(turn @ turn.T + DAMPING * np.eye(3), error)
        tool, _ = robot.tool_pose(joints)
        if (joints < low).any() or (joints > high).any() or tool[2] < TOOL_HEIGHT_M or (
                np.hypot(tool[0], tool[1]) < TOOL_AXIS_DISTANCE_M):
            continue
        if tilt(robot, joints[None])[0] < UPRIGHT_RAD and robot.collision.clearance(
                joints, ObstacleArrays.pack(()))[1] >= OWN_CLEARANCE_M:
            return joints


def _in_the_way(source: _Source, postures: list[Array]) -> Obstacle | None:
    """Return a standing cylinder about the middle of the tool's straight motion, or None."""
    robot, rng = source.geometry.robot, source.rng
    share = rng.uniform(*ALONG_SHARE)
    points = robot.tool_positions(
        np.stack([postures[0], (1 - share) * postures[0] + share * postures[1], postures[1]]))
    if np.linalg.norm((points[2] - points[0])[:2]) < LEAST_WAY_M:
        return None
    cylinder = Obstacle(
        'cylinder', (float(rng.uniform(*LARGE_RADIUS_M)), float(rng.uniform(*LARGE_HEIGHT_M))),
        points[1] + np.append(rng.normal(0.0, LATERAL_M, 2), 0.0), UP_QUATERNION, key='scene/0')
    ahead, _ = Side.between(robot, postures[0], postures[1], cylinder).of(points)
    return cylinder if ahead[0] < -LEAST_BESIDE_M and ahead[2] > LEAST_BESIDE_M else None
