# SPDX-License-Identifier: Apache-2.0
"""The demo's scene: a small work cell around the arm, two movers, goals to be visited in turn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.scene_geometry import SceneGeometry, standing, swept
from diffusion_control.planners.goal_configurations import inverse_kinematics
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.scene import Scene

Array = NDArray[np.float64]
GOALS = 12
START_CLEARANCE_M = 0.04
GOAL_CLEARANCE_M = 0.06
WAY_CLEARANCE_M = 0.03
OWN_CLEARANCE_M = 0.02
SPREAD_RAD = 0.7
SECTORS_RAD = ((0.55, 1.45), (-1.45, -0.55), (-0.45, 0.45))
RADIUS_M = (0.34, 0.66)
HEIGHT_M = (0.16, 0.62)
LEAST_DOWN = 0.75
WAY_RAD = (0.7, 2.4)
POSTURES = 12
DRAWS = 3000
LAYOUTS = 50
JITTER_M = 0.03


def demo_scene(robot: Arm, seed: int = 0) -> Scene:
    """Return the demo's scene for a seed: pose goals that can be visited in a circle for ever.

    A table, two posts, a shelf and two more bodies stand around the arm; a ball crosses in front
    of it and a cube passes at its side. Goals point the tool downwards, in front of and beside
    the arm. Every goal keeps >= 6 cm to everything that stands in the posture it was drawn from,
    and >= 4 cm to all that the movers ever pass in *every* posture at that tool pose that was
    found, because a planner may choose another one. From each goal to the next, the last and
    the first included, there is a way in joint space, straight or over home, with >= 3 cm to
    what stands: no goal is unreachable by construction.

    Args:
        robot: An arm whose home has the tool in front of it, with 0.8 m reach or more.
        seed: Number of the scene.

    Raises:
        ConfigurationError: The arm is too small for the cell.
    """
    geometry = SceneGeometry.of(robot)
    rng = np.random.default_rng([3, seed])
    home = np.asarray(robot.home_rad, dtype=float)
    for _ in range(LAYOUTS):
        obstacles = _cell(rng)
        if not all(geometry.is_clear(o, [home], START_CLEARANCE_M) for o in obstacles):
            continue
        postures = _tour(geometry, obstacles, home, rng)
        if postures is not None:
            goals = tuple(_pose_goal(robot, joints) for joints in postures)
            return Scene(seed=seed, obstacles=obstacles, start_rad=home, goals=goals,
                         extra={'name': 'demo'})
    raise ConfigurationError(
        'no demo scene for this robot', where='demo_scene', value=robot.name,
        allowed='an arm of 0.8 m reach or more', remedy='give a scene with --scene')


def _cell(rng: np.random.Generator) -> tuple[Obstacle, ...]:
    """Return the bodies of the work cell, each moved a little by the seed."""
    def place(x: float, y: float, z: float) -> Array:
        shift = rng.uniform(-JITTER_M, JITTER_M, 2)
        return np.array([x + shift[0], y + shift[1], z])

    side = 1.0 if rng.random() < 0.5 else -1.0
    bodies = (
        ('box', (0.34, 0.36, 0.20), place(0.64, 0.0, 0.10), np.zeros(3)),
        ('cylinder', (0.04, 0.60), place(0.46, 0.34, 0.30), np.zeros(3)),
        ('cylinder', (0.04, 0.48), place(0.46, -0.34, 0.24), np.zeros(3)),
        ('box', (0.30, 0.22, 0.03), place(0.30, side * 0.66, 0.46), np.zeros(3)),
        ('sphere', (0.10,), place(-0.34, -side * 0.50, 0.55), np.zeros(3)),
        ('box', (0.20, 0.20, 0.70), place(-0.45, side * 0.42, 0.35), np.zeros(3)),
        ('sphere', (0.06,), place(0.66, -side * 0.50, 0.52),
         np.array([0.0, side * rng.uniform(0.16, 0.24), 0.0])),
        ('box', (0.10, 0.10, 0.10), place(-0.30, -side * 0.72, 0.28),
         np.array([rng.uniform(0.18, 0.26), 0.0, 0.0])),
    )
    return tuple(
        Obstacle(shape, size, centre, velocity_m_s=velocity, key=f'scene/{index}',  # type: ignore[arg-type]
                 may_move=bool(velocity.any()))
        for index, (shape, size, centre, velocity) in enumerate(bodies))


def _tour(
    geometry: SceneGeometry, obstacles: tuple[Obstacle, ...], home: Array,
    rng: np.random.Generator,
) -> list[Array] | None:
    """Return postures to visit in turn, or None if the layout leaves too few of them."""
    bodies = standing(obstacles)
    paths = tuple(copy for o in obstacles if o.may_move for copy in swept(o))
    tour: list[Array] = []
    for _ in range(DRAWS):
        sector = SECTORS_RAD[len(tour) % len(SECTORS_RAD)]
        joints = _draw(geometry.robot, home, sector, rng)
        if joints is None or not _spaced(geometry.robot, tour[-1:] or [home], joints):
            continue
        if geometry.clearance(joints, bodies) < GOAL_CLEARANCE_M:
            continue
        if geometry.clearance(joints, paths) < START_CLEARANCE_M:
            continue
        if not _linked(geometry, tour[-1] if tour else home, joints, home, bodies):
            continue
        last = len(tour) == GOALS - 1
        if last and not _linked(geometry, joints, tour[0], home, bodies):
            continue
        if not _always_clear(geometry, joints, bodies, paths, rng):
            continue
        tour.append(joints)
        if len(tour) == GOALS:
            return tour
    return None


def _draw(
    robot: Arm, home: Array, sector: tuple[float, float], rng: np.random.Generator
) -> Array | None:
    """Return a posture near home, turned into a sector, with the tool pointing down; or None."""
    joints = home + SPREAD_RAD * rng.uniform(-1.0, 1.0, robot.dof)
    front, _ = robot.tool_pose(home)
    joints[0] = home[0] + rng.uniform(*sector) - np.arctan2(front[1], front[0])
    if ((joints < robot.limits.lower_rad + 0.1) | (joints > robot.limits.upper_rad - 0.1)).any():
        return None
    tool, rotation = robot.tool_pose(joints)
    angle = np.arctan2(tool[1], tool[0])
    inside = (RADIUS_M[0] < np.hypot(tool[0], tool[1]) < RADIUS_M[1]
              and HEIGHT_M[0] < tool[2] < HEIGHT_M[1] and sector[0] < angle < sector[1])
    return joints if inside and -rotation[2, 2] > LEAST_DOWN else None


def _spaced(robot: Arm, before: list[Array], joints: Array) -> bool:
    """Say whether the joint with the longest way has a fair way from the posture before."""
    way = float(np.abs(joints - before[-1]).max())
    return WAY_RAD[0] <= way <= WAY_RAD[1]


def _linked(
    geometry: SceneGeometry, start: Array, end: Array, home: Array, bodies: tuple[Obstacle, ...]
) -> bool:
    """Say whether a way leads from start to end, straight or over home."""
    def free(a: Array, b: Array) -> bool:
        return (geometry.line_clearance(a, b, bodies) >= WAY_CLEARANCE_M
                and geometry.line_own_clearance(a, b) >= OWN_CLEARANCE_M)

    return free(start, end) or (free(start, home) and free(home, end))


def _always_clear(
    geometry: SceneGeometry, joints: Array, bodies: tuple[Obstacle, ...],
    paths: tuple[Obstacle, ...], rng: np.random.Generator,
) -> bool:
    """Say whether every free posture found at the tool pose of `joints` is clear of the movers."""
    robot = geometry.robot
    goal = _pose_goal(robot, joints)
    lower, upper = robot.limits.lower_rad, robot.limits.upper_rad
    for index in range(POSTURES):
        if index % 2:
            begin = np.clip(joints + rng.normal(0.0, 0.6, robot.dof), lower, upper)
        else:
            begin = rng.uniform(np.maximum(lower, -np.pi), np.minimum(upper, np.pi))
        found = inverse_kinematics(robot, goal, begin, lower, upper)
        if found is None or geometry.clearance(found, bodies) < 0.0:
            continue
        if geometry.clearance(found, paths) < START_CLEARANCE_M:
            return False
    return True


def _pose_goal(robot: Arm, joints: Array) -> Goal:
    """Return the tool pose of a posture as a goal."""
    position, rotation = robot.tool_pose(joints)
    return Goal(position_m=position, quaternion=_quaternion(rotation))


def _quaternion(rotation: Array) -> Array:
    """Return the quaternion x, y, z, w of a rotation matrix."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_matrix(rotation).as_quat())
