# SPDX-License-Identifier: Apache-2.0
"""Distances and draws that the scene generators share, for any arm."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.arm import Arm
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays, rotation_matrix
from diffusion_control.simulation.movers import REVERSAL_M_S2, TRAVEL_M

Array = NDArray[np.float64]
SWEEP_STEP_M = 0.02
COLUMN_SPREAD_M = 0.08
DISTAL_JOINTS = 3
LINE_POINTS = 200
OWN_CLEARANCE_M = 0.03
POSITION_SHARE = 0.85
TOOL_HEIGHT_M = 0.08
TOOL_AXIS_DISTANCE_M = 0.2


def signed_distance(obstacle: Obstacle, points: Array) -> Array:
    """Return the signed distance of points to an obstacle's surface.

    With x the point in the obstacle's frame: a ball |x| - r; a box |max(d, 0)| + min(max d, 0),
    d = |x| - h; a cylinder the same with d = (|x_xy| - r, |x_z| - h).

    Args:
        obstacle: The obstacle.
        points: Shape [k, 3] [m].

    Returns:
        Shape [k] [m], negative inside.
    """
    local = (points - obstacle.position_m) @ rotation_matrix(obstacle.quaternion)
    size = obstacle.size_m
    if obstacle.shape == 'sphere':
        return np.asarray(np.linalg.norm(local, axis=1) - size[0])
    if obstacle.shape == 'box':
        excess = np.abs(local) - np.asarray(size) / 2
    else:
        radial = np.hypot(local[:, 0], local[:, 1]) - size[0]
        excess = np.stack([radial, np.abs(local[:, 2]) - size[1] / 2], axis=1)
    outside = np.linalg.norm(np.maximum(excess, 0.0), axis=1)
    return np.asarray(outside + np.minimum(excess.max(axis=1), 0.0))


def is_mover(obstacle: Obstacle) -> bool:
    """Say whether the scene gives the obstacle a velocity."""
    return bool(np.linalg.norm(obstacle.velocity_m_s) > 0.0)


def swept(obstacle: Obstacle) -> tuple[Obstacle, ...]:
    """Return standing copies of an obstacle all along the way it will ever take.

    A mover travels 1.0 m from where it is and back, and swings v^2 / (2 a) beyond both ends
    while it reverses. A standing obstacle is its own only copy.
    """
    if not is_mover(obstacle):
        return (obstacle,)
    speed = float(np.linalg.norm(obstacle.velocity_m_s))
    direction, beyond = obstacle.velocity_m_s / speed, speed**2 / (2 * REVERSAL_M_S2)
    count = int(np.ceil((TRAVEL_M + 2 * beyond) / SWEEP_STEP_M)) + 1
    ways = np.linspace(-beyond, TRAVEL_M + beyond, count)
    still = np.zeros(3)
    return tuple(
        replace(obstacle, position_m=obstacle.position_m + way * direction, velocity_m_s=still)
        for way in ways)


def standing(obstacles: tuple[Obstacle, ...]) -> tuple[Obstacle, ...]:
    """Return the obstacles without a velocity."""
    return tuple(obstacle for obstacle in obstacles if not is_mover(obstacle))


@dataclass(frozen=True)
class SceneGeometry:
    """What a generator asks of an arm.

    Attributes:
        robot: The arm.
        column: Indices of the collision spheres that hardly move whatever the joints do.
        distal: Indices of the spheres that the last three joints move.
    """

    robot: Arm
    column: NDArray[np.intp]
    distal: NDArray[np.intp]

    @classmethod
    def of(cls, robot: Arm) -> SceneGeometry:
        """Return the geometry of an arm, its sphere groups found by moving the joints."""
        rng = np.random.default_rng(0)
        drawn = [_draw_joints(robot, rng) for _ in range(32)]
        centres = np.array([robot.collision.centres(joints) for joints in drawn])
        spread = np.linalg.norm(centres - centres.mean(axis=0), axis=2).max(axis=0)
        moved = np.zeros(centres.shape[1])
        for joints in drawn[:8]:
            other = joints.copy()
            other[-DISTAL_JOINTS:] = _draw_joints(robot, rng)[-DISTAL_JOINTS:]
            shift = robot.collision.centres(other) - robot.collision.centres(joints)
            moved = np.maximum(moved, np.linalg.norm(shift, axis=1))
        return cls(robot, np.flatnonzero(spread < COLUMN_SPREAD_M), np.flatnonzero(moved > 1e-3))

    def clearance(self, joints: Array, obstacles: tuple[Obstacle, ...]) -> float:
        """Return the distance of a configuration to obstacles as they stand [m]."""
        return self.robot.collision.clearance(joints, ObstacleArrays.pack(obstacles))[0]

    def line_clearance(self, start: Array, end: Array, obstacles: tuple[Obstacle, ...]) -> float:
        """Return the least distance of the straight line in joint space to the obstacles [m]."""
        shares = np.linspace(0.0, 1.0, LINE_POINTS)[:, None]
        line = start + shares * (end - start)
        pack = ObstacleArrays.pack(obstacles)
        reached, _ = self.robot.collision.path_clearance(line, np.zeros(LINE_POINTS), pack)
        return float(reached.min())

    def line_own_clearance(self, start: Array, end: Array) -> float:
        """Return the least distance of the straight line to the robot itself and the floor [m]."""
        shares = np.linspace(0.0, 1.0, LINE_POINTS)[:, None]
        line = start + shares * (end - start)
        _, own = self.robot.collision.path_clearance(
            line, np.zeros(LINE_POINTS), ObstacleArrays.pack(()))
        return float(own.min())

    def is_clear(self, obstacle: Obstacle, postures: list[Array], clearance_m: float) -> bool:
        """Say whether an obstacle keeps its distance to postures and to the base column for ever.

        Args:
            obstacle: Standing or moving; all of a mover's way counts.
            postures: Configurations that must stay free, each of shape [n].
            clearance_m: Least distance [m].
        """
        copies = swept(obstacle)
        centres = self.robot.collision.centres(postures[0])[self.column]
        radius = self.robot.collision.radius[self.column]
        for copy in copies:
            if float((signed_distance(copy, centres) - radius).min(initial=9.0)) < clearance_m:
                return False
        return all(self.clearance(joints, copies) >= clearance_m for joints in postures)

    def distal_clearance(self, joints: Array, obstacle: Obstacle) -> float:
        """Return the distance of an obstacle to the distal links of a configuration [m]."""
        centres = self.robot.collision.centres(joints)[self.distal]
        radius = self.robot.collision.radius[self.distal]
        return float((signed_distance(obstacle, centres) - radius).min())

    def draw_posture(self, rng: np.random.Generator) -> Array:
        """Return a random configuration, clear of itself and the floor, tool not at the base."""
        nothing = ObstacleArrays.pack(())
        while True:
            joints = _draw_joints(self.robot, rng)
            tool, _ = self.robot.tool_pose(joints)
            if tool[2] < TOOL_HEIGHT_M or np.hypot(tool[0], tool[1]) < TOOL_AXIS_DISTANCE_M:
                continue
            if self.robot.collision.clearance(joints, nothing)[1] >= OWN_CLEARANCE_M:
                return joints


def _draw_joints(robot: Arm, rng: np.random.Generator) -> Array:
    """Return joints drawn evenly from the inner share of their range, at most half a turn."""
    lower, upper = robot.limits.lower_rad, robot.limits.upper_rad
    half = np.minimum((upper - lower) / 2, np.pi) * POSITION_SHARE
    drawn = rng.uniform(-1.0, 1.0, robot.dof)
    return np.asarray((lower + upper) / 2 + half * drawn)
