# SPDX-License-Identifier: Apache-2.0
"""Random scenes by seed in two tiers: `easy` shows what works, `hard` tells planners apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError, require_known
from diffusion_control.evaluation.demo_scene import demo_scene
from diffusion_control.evaluation.scene_geometry import SceneGeometry, is_mover, standing
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle, Shape
from diffusion_control.simulation.scene import Scene

__all__ = ['TIERS', 'Tier', 'demo_scene', 'draw_far', 'generate_scene', 'tier_named']

Array = NDArray[np.float64]
CLEARANCE_M = 0.04
NEAR_M = (0.042, 0.058)
Name = Literal['easy', 'hard']
SHAPES: tuple[Shape, ...] = ('sphere', 'box', 'cylinder')
DRAWS = 400
LEAST_TOOL_WAY_M = 0.15


@dataclass(frozen=True)
class Sizes:
    """Ranges of sizes [m]: radius of spheres, edges of boxes, radius and height of cylinders."""

    sphere_m: tuple[float, float]
    box_m: tuple[float, float]
    cylinder_m: tuple[float, float]
    height_m: tuple[float, float]


@dataclass(frozen=True)
class Tier:
    """What a tier draws from.

    Attributes:
        name: `easy` or `hard`.
        code: Part of the random seed.
        count: Least and largest number of obstacles, movers included.
        near_share: Share of them within 6 cm of the distal links of start or goal.
        blocked_share: Share of the scenes that are redrawn until the straight line in joint
            space collides; it also collides in some of the others.
        sizes: Of the obstacles that stand.
    """

    name: Name
    code: int
    count: tuple[int, int]
    near_share: float
    blocked_share: float
    sizes: Sizes


TIERS: dict[str, Tier] = {
    'easy': Tier('easy', 1, (3, 10), 0.0, 0.65,
                 Sizes((0.05, 0.15), (0.06, 0.40), (0.03, 0.10), (0.20, 0.70))),
    'hard': Tier('hard', 2, (10, 16), 0.6, 1.0,
                 Sizes((0.06, 0.18), (0.08, 0.56), (0.04, 0.12), (0.20, 0.80))),
}
MOVER_SIZES = Sizes((0.04, 0.09), (0.06, 0.16), (0.03, 0.06), (0.10, 0.30))
MOST_MOVERS = 2
MOVER_SPEED_M_S = (0.1, 0.5)


def tier_named(name: str) -> Tier:
    """Return a tier by name, or say which there are."""
    require_known('unknown tier', '--tier', name, TIERS)
    return TIERS[name]


def generate_scene(robot: Arm, seed: int, tier: str, *, goals: int = 1) -> Scene:
    """Return the scene of a seed: the same on every machine.

    Start and goals keep >= 4 cm to every obstacle, and to all that a mover ever passes, so that
    each goal can be held at every instant; so does the base. The straight line in joint space
    from start to first goal collides with standing obstacles in >= 60 % of the easy scenes and
    in all hard ones.

    Args:
        robot: Any arm.
        seed: Number of the scene.
        tier: `easy` or `hard`.
        goals: Number of joint goals, visited one after the other.
    """
    if goals < 1:
        raise ConfigurationError(
            'a scene needs a goal', where='goals', value=goals, allowed='>= 1')
    settings = tier_named(tier)
    rng = np.random.default_rng([settings.code, seed])
    geometry = SceneGeometry.of(robot)
    blocked = rng.random() < settings.blocked_share
    while True:
        postures = _draw_postures(geometry, goals + 1, rng)
        obstacles = _draw_obstacles(geometry, settings, postures, rng)
        if len(obstacles) < settings.count[0]:
            continue
        line = geometry.line_clearance(postures[0], postures[1], standing(obstacles))
        if blocked and line >= 0.0:
            continue
        return Scene(
            seed=seed, obstacles=obstacles, start_rad=postures[0],
            goals=tuple(Goal(joints_rad=joints) for joints in postures[1:]), tier=settings.name)


def _draw_postures(geometry: SceneGeometry, count: int, rng: np.random.Generator) -> list[Array]:
    """Return random configurations, the tool >= 15 cm away from one to the next."""
    postures = [geometry.draw_posture(rng)]
    while len(postures) < count:
        joints = geometry.draw_posture(rng)
        way = geometry.robot.tool_pose(joints)[0] - geometry.robot.tool_pose(postures[-1])[0]
        if np.linalg.norm(way) >= LEAST_TOOL_WAY_M:
            postures.append(joints)
    return postures


def _draw_obstacles(
    geometry: SceneGeometry, tier: Tier, postures: list[Array], rng: np.random.Generator
) -> tuple[Obstacle, ...]:
    """Return the tier's obstacles around postures; too few of them if these leave no room."""
    total = int(rng.integers(tier.count[0], tier.count[1] + 1))
    movers = int(rng.integers(0, MOST_MOVERS + 1))
    near = int(np.ceil(tier.near_share * total))
    movers = min(movers, total - near)
    placed: list[Obstacle] = []
    for draw in range(DRAWS):
        if len(placed) == total:
            break
        key = f'scene/{len(placed)}'
        drawn: Obstacle | None
        if len(placed) < near:
            posture = postures[int(rng.integers(0, 2))]
            drawn = _draw_near(geometry, tier, posture, key, rng)
        elif sum(is_mover(o) for o in placed) < movers and draw < DRAWS // 2:
            drawn = _draw_mover(geometry.robot, key, rng)
        else:
            drawn = draw_far(geometry.robot, tier, key, rng)
        if drawn is not None and geometry.is_clear(drawn, postures, CLEARANCE_M):
            placed.append(drawn)
    return tuple(placed) if len(placed) >= near + movers else ()


def _draw_shape(sizes: Sizes, rng: np.random.Generator) -> tuple[Shape, tuple[float, ...]]:
    """Return a shape and its size."""
    shape = SHAPES[int(rng.integers(0, len(SHAPES)))]
    if shape == 'sphere':
        return shape, (float(rng.uniform(*sizes.sphere_m)),)
    if shape == 'box':
        return shape, tuple(float(edge) for edge in rng.uniform(*sizes.box_m, 3))
    return shape, (float(rng.uniform(*sizes.cylinder_m)), float(rng.uniform(*sizes.height_m)))


def _draw_place(robot: Arm, rng: np.random.Generator) -> Array:
    """Return a point of the space around the arm."""
    radius = rng.uniform(0.28, 0.90) * _reach_m(robot)
    angle, height = rng.uniform(-np.pi, np.pi), rng.uniform(0.05, 1.0)
    return np.array([radius * np.cos(angle), radius * np.sin(angle), height])


def _reach_m(robot: Arm) -> float:
    """Return how far the arm works from its axis [m]: its stretched length, at most 0.95 m."""
    return min(robot.reach_m, 0.95)


def _yaw(rng: np.random.Generator) -> Array:
    """Return a random turn about the vertical as a quaternion."""
    half = rng.uniform(-np.pi, np.pi) / 2
    return np.array([0.0, 0.0, np.sin(half), np.cos(half)])


def draw_far(robot: Arm, tier: Tier, key: str, rng: np.random.Generator) -> Obstacle:
    """Return a standing obstacle anywhere around the arm."""
    shape, size = _draw_shape(tier.sizes, rng)
    return Obstacle(shape, size, _draw_place(robot, rng), _yaw(rng), key=key)


def _draw_near(
    geometry: SceneGeometry, tier: Tier, posture: Array, key: str, rng: np.random.Generator
) -> Obstacle | None:
    """Return a standing obstacle 4.2 to 5.8 cm from the distal links of a posture.

    From the centre of a random distal sphere it is moved along a random direction until the
    nearest of the distal spheres is as far as wanted (bisection); None where that is below the
    floor or at the base.
    """
    shape, size = _draw_shape(tier.sizes, rng)
    turn = _yaw(rng)
    centres = geometry.robot.collision.centres(posture)
    origin = centres[rng.choice(geometry.distal)]
    direction = rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    wanted = rng.uniform(*NEAR_M)
    low, high = 0.0, 1.5
    drawn = Obstacle(shape, size, origin + high * direction, turn, key=key)
    for _ in range(24):
        middle = (low + high) / 2
        drawn = Obstacle(shape, size, origin + middle * direction, turn, key=key)
        if geometry.distal_clearance(posture, drawn) < wanted:
            low = middle
        else:
            high = middle
    place = drawn.position_m
    if place[2] < -0.1 or np.hypot(place[0], place[1]) < 0.15:
        return None
    return drawn


def _draw_mover(robot: Arm, key: str, rng: np.random.Generator) -> Obstacle:
    """Return a small obstacle whose way of 1 m leads through the space around the arm."""
    shape, size = _draw_shape(MOVER_SIZES, rng)
    direction = rng.standard_normal(3) * [1.0, 1.0, 0.3]
    direction /= np.linalg.norm(direction)
    begin = _draw_place(robot, rng) - rng.uniform(0.2, 0.8) * direction
    velocity = float(rng.uniform(*MOVER_SPEED_M_S)) * direction
    return Obstacle(shape, size, begin, _yaw(rng), velocity, key=key, may_move=True)
