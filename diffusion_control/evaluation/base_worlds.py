# SPDX-License-Identifier: Apache-2.0
"""Walled worlds for a base: random ones by seed in two tiers, the demo's, those of a layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError, require_known
from diffusion_control.evaluation.base.free_space import (
    FreeSpace,
    flat_distance,
    footprint_radius,
    sweep_distance,
    way_points,
)
from diffusion_control.evaluation.scene_geometry import swept
from diffusion_control.robots.base import Base
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle, Shape
from diffusion_control.robots.planar import quaternion_of
from diffusion_control.simulation.layout import marked, wall_distance
from diffusion_control.simulation.scene import Scene, Tier

Array = NDArray[np.float64]
CELL_M = 0.5
GOAL_ROOM_M, MOVER_ROOM_M, WAY_ROOM_M = 0.20, 0.40, 0.15
WALL_GAP_M = 0.05
GOALS = 12
DRAWS = 60
WORLDS = 400


@dataclass(frozen=True)
class WorldTier:
    """What a tier draws from.

    Attributes:
        name: `easy` or `hard`.
        code: Part of the random seed.
        cells: Columns and rows inside the outer wall, of 0.5 m.
        walls: Least and largest number of pieces of wall.
        standing: Of boxes and posts.
        movers: Of movers.
        speed_m_s: Their slowest and fastest.
        way_m: Shortest and longest way from one goal to the next.
        blocked_share: Share of the worlds in which the straight line to the first goal is
            blocked on purpose; it also is in some of the others.
        turned_share: Share of the goals that ask for a heading.
    """

    name: Tier
    code: int
    cells: tuple[int, int]
    walls: tuple[int, int]
    standing: tuple[int, int]
    movers: tuple[int, int]
    speed_m_s: tuple[float, float]
    way_m: tuple[float, float]
    blocked_share: float
    turned_share: float


WORLD_TIERS: dict[str, WorldTier] = {
    'easy': WorldTier('easy', 11, (16, 12), (2, 4), (0, 2), (1, 2), (0.1, 0.3), (2.5, 5.0), 0.65,
                      0.0),
    'hard': WorldTier('hard', 12, (20, 16), (6, 9), (1, 3), (2, 4), (0.2, 0.5), (3.5, 6.5), 1.0,
                      0.5),
}
DEMO_ROWS = (
    '####################',
    '#..................#',
    '#..................#',
    '#..................#',
    '#...####......#....#',
    '#......#......#....#',
    '#......#......#....#',
    '#.............#....#',
    '#..................#',
    '#.....##...........#',
    '#.....##.....####..#',
    '#..................#',
    '#..................#',
    '#..................#',
    '####################',
)


def generate_world(robot: Base, seed: int, tier: str, *, goals: int = 1) -> Scene:
    """Return the world of a seed: the same on every machine.

    A room with pieces of wall, boxes and posts, and movers. Start and goals keep >= 20 cm to
    everything that stands and >= 40 cm to all that a mover ever passes, beyond the footprint;
    from each to the next there is a way with >= 15 cm on both sides. About half of the movers
    cross that way.

    Args:
        robot: Any base.
        seed: Number of the world.
        tier: `easy` or `hard`.
        goals: Number of goals, visited one after the other.

    Raises:
        ConfigurationError: Unknown tier, no goal, or a robot that is too large.
    """
    if goals < 1:
        raise ConfigurationError(
            'a world needs a goal', where='goals', value=goals, allowed='>= 1')
    require_known('unknown tier', '--tier', tier, WORLD_TIERS)
    settings = WORLD_TIERS[tier]
    rng = np.random.default_rng([settings.code, seed])
    blocked = rng.random() < settings.blocked_share
    for _ in range(WORLDS):
        scene = Scene(seed, (), np.zeros(3), (), settings.name, room_rows(settings, rng), CELL_M)
        world = _furnish(robot, scene, settings, goals, blocked, rng)
        if world is not None:
            return world
    raise _too_large(robot)


def demo_world(robot: Base, seed: int = 0) -> Scene:
    """Return the demo's world for a seed: rooms, three movers, goals in a circle for ever.

    Raises:
        ConfigurationError: The robot is too large.
    """
    settings = replace(
        WORLD_TIERS['easy'], movers=(3, 3), standing=(1, 2), speed_m_s=(0.15, 0.3),
        way_m=(1.8, 3.2))
    rng = np.random.default_rng([13, seed])
    for _ in range(WORLDS):
        scene = Scene(seed, (), np.zeros(3), (), None, DEMO_ROWS, CELL_M, extra={'name': 'demo'})
        world = _inhabit(robot, scene, settings, GOALS, rng)
        if world is not None:
            return world
    raise _too_large(robot)


def layout_world(
    robot: Base, rows: tuple[str, ...], seed: int = 0, *, goals: int = GOALS,
    cell_m: float = 1.0,
) -> Scene:
    """Return a world of one's own: walls of a layout, start on an `O`, goals on `G`.

    Without an `O` (`G`) any free place serves. After the last `G` the start is a goal, too. Up to
    two movers go where there is room for them.

    Args:
        robot: Any base.
        rows: Rows of `#`, `O`, `G`, `.` and blanks.
        seed: Chooses among the marks, and draws the movers.
        goals: Number of goals; the marks are visited in turn.
        cell_m: Edge of a cell [m].

    Raises:
        ConfigurationError: Bad rows, or no way for this robot from a start to a goal.
    """
    rng = np.random.default_rng([14, seed])
    scene = Scene(seed, (), np.zeros(3), (), None, rows, cell_m)
    floor, radius = FreeSpace.of(scene), footprint_radius(robot)
    fits = floor.points[floor.clearance_m >= radius + WAY_ROOM_M / 2]
    starts, ends = (marked(rows, mark, cell_m) for mark in 'OG')
    starts, ends = (starts if len(starts) else fits), (ends if len(ends) else fits)
    if not len(starts) or not len(ends):
        raise _no_way(robot, 'a free place that is wide enough')
    start = starts[rng.integers(len(starts))]
    lengths, _ = floor.ways(start, radius + 0.02)
    within = [place for place in ends if np.isfinite(lengths[floor.node(place)])]
    apart = [place for place in within if np.linalg.norm(place - start) > 0.5]
    if not apart:
        raise _no_way(robot, 'a G that the robot can reach from an O')
    cycle = [*(apart[k] for k in rng.permutation(len(apart))), np.asarray(start)]
    places = [np.asarray(start), *(cycle[k % len(cycle)] for k in range(goals))]
    settings = WORLD_TIERS['easy']
    movers = _movers(robot, scene, floor, places, settings, 2, [], rng, room_m=0.3)
    return _scene(scene, movers, places, 0.0, rng)


def room_rows(tier: WorldTier, rng: np.random.Generator) -> tuple[str, ...]:
    """Return a room with straight and bent pieces of wall."""
    columns, rows = tier.cells
    walls = np.ones((rows + 2, columns + 2), dtype=bool)
    walls[1:-1, 1:-1] = False
    for _ in range(int(rng.integers(tier.walls[0], tier.walls[1] + 1))):
        row, column = int(rng.integers(1, rows + 1)), int(rng.integers(1, columns + 1))
        for _ in range(2 if rng.random() < 0.4 else 1):
            length = int(rng.integers(3, 7))
            if rng.random() < 0.5:
                walls[row, column:column + length] = True
            else:
                walls[row:row + length, column] = True
    return tuple(''.join('#' if wall else '.' for wall in line) for line in walls)


def _furnish(
    robot: Base, scene: Scene, tier: WorldTier, goals: int, blocked: bool,
    rng: np.random.Generator,
) -> Scene | None:
    """Return a room with things, movers, start and goals; None where they do not fit."""
    radius = footprint_radius(robot)
    bare = FreeSpace.of(scene)
    standing = standing_things(bare, tier, rng)
    floor = bare.with_standing(tuple(standing))
    found = _places(floor, radius, tier, goals, rng)
    if found is None:
        return None
    places, ways = found
    if blocked and floor.line_clearance(places[0], places[1]) >= radius:
        return None
    count = int(rng.integers(tier.movers[0], tier.movers[1] + 1))
    movers = _movers(robot, scene, floor, places, tier, count, ways, rng)
    if len(movers) < count:
        return None
    return _scene(scene, [*standing, *movers], places, tier.turned_share, rng)


def _inhabit(
    robot: Base, scene: Scene, tier: WorldTier, goals: int, rng: np.random.Generator
) -> Scene | None:
    """Return a room as `_furnish` does, but with the movers drawn before many goals."""
    bare = FreeSpace.of(scene)
    standing = standing_things(bare, tier, rng)
    floor, count = bare.with_standing(tuple(standing)), tier.movers[0]
    movers = _movers(robot, scene, floor, [], tier, count, [], rng)
    found = _places(floor, footprint_radius(robot), tier, goals, rng, movers)
    if found is None or len(movers) < count:
        return None
    return _scene(scene, [*standing, *movers], found[0], tier.turned_share, rng)


def _scene(
    scene: Scene, obstacles: list[Obstacle], places: list[Array], turned_share: float,
    rng: np.random.Generator,
) -> Scene:
    """Return the finished scene."""
    keyed = tuple(replace(o, key=f'scene/{k}') for k, o in enumerate(obstacles))
    aims = []
    for place in places[1:]:
        yaw = float(rng.uniform(-np.pi, np.pi))
        turn = quaternion_of(yaw) if rng.random() < turned_share else None
        aims.append(Goal(position_m=np.array([*place, 0.0]), quaternion=turn))
    start = np.array([*places[0], float(rng.uniform(-np.pi, np.pi))])
    return replace(scene, obstacles=keyed, start_rad=start, goals=tuple(aims))


def standing_things(floor: FreeSpace, tier: WorldTier, rng: np.random.Generator) -> list[Obstacle]:
    """Return boxes and posts that stand about."""
    things = []
    inside = floor.points[floor.clearance_m > 0.3]
    for _ in range(int(rng.integers(tier.standing[0], tier.standing[1] + 1))):
        place = np.array([*inside[rng.integers(len(inside))], 0.4])
        shape, size = _shape(rng, 0.8)
        turn = quaternion_of(float(rng.uniform(-np.pi, np.pi)))
        things.append(Obstacle(shape, size, place, turn))
    return things


def _shape(rng: np.random.Generator, height_m: float) -> tuple[Shape, tuple[float, ...]]:
    if rng.random() < 0.5:
        return 'cylinder', (float(rng.uniform(0.10, 0.25)), height_m)
    return 'box', (float(rng.uniform(0.2, 0.6)), float(rng.uniform(0.2, 0.6)), height_m)


def _places(
    floor: FreeSpace, radius: float, tier: WorldTier, goals: int, rng: np.random.Generator,
    movers: Sequence[Obstacle] = (),
) -> tuple[list[Array], list[Array]] | None:
    """Return start and goals, each a way of the tier's length from the one before, and the ways.

    They stay away from movers that are there already.
    """
    free = floor.clearance_m >= radius + GOAL_ROOM_M
    for mover in movers:
        free &= sweep_distance(mover, floor.points) >= radius + MOVER_ROOM_M
    room = np.flatnonzero(free)
    if not len(room):
        return None
    places, ways = [floor.points[rng.choice(room)]], []
    while len(places) <= goals:
        lengths, before = floor.ways(places[-1], radius + WAY_ROOM_M)
        near = room[(lengths[room] >= tier.way_m[0]) & (lengths[room] <= tier.way_m[1])]
        if not len(near):
            return None
        end = int(rng.choice(near))
        ways.append(way_points(floor, before, end))
        places.append(floor.points[end])
    return places, ways


def _movers(
    robot: Base, scene: Scene, floor: FreeSpace, places: list[Array], tier: WorldTier,
    count: int, ways: list[Array], rng: np.random.Generator, room_m: float = 0.0,
) -> list[Obstacle]:
    """Return movers that never touch a wall and stay away from start and goals.

    Every other one crosses a way; `room_m` keeps their own way wide.
    """
    keep = footprint_radius(robot) + MOVER_ROOM_M
    targets = np.array(places).reshape(-1, 2)
    inside = floor.points[floor.clearance_m > 0.3]
    movers: list[Obstacle] = []
    for _ in range(DRAWS * count):
        if len(movers) == count or not len(inside):
            break
        mover = _mover(inside, tier, rng)
        copies = np.stack([copy.position_m[:2] for copy in swept(mover)])
        size = mover.bounding_radius_m if mover.shape == 'sphere' else mover.size_m[0]
        if wall_distance(scene, copies).min() < size + WALL_GAP_M + room_m:
            continue
        if len(targets) and sweep_distance(mover, targets).min() < keep:
            continue
        crossing = ways and len(movers) % 2 == 0
        if crossing and min(float(sweep_distance(mover, w).min()) for w in ways) > 0.1:
            continue
        if any(flat_distance(o, copies).min() < 0.0 for o in movers):
            continue
        movers.append(mover)
    return movers


def _mover(inside: Array, tier: WorldTier, rng: np.random.Generator) -> Obstacle:
    """Return a post or a ball on its way of 1 m through free floor."""
    angle = float(rng.uniform(-np.pi, np.pi))
    direction = np.array([np.cos(angle), np.sin(angle), 0.0])
    middle = np.array([*inside[rng.integers(len(inside))], 0.0])
    speed, radius = float(rng.uniform(*tier.speed_m_s)), float(rng.uniform(0.12, 0.22))
    ball = rng.random() < 0.25
    shape: Shape = 'sphere' if ball else 'cylinder'
    size, height = ((radius,), 0.2) if ball else ((radius, 1.0), 0.5)
    begin = middle - float(rng.uniform(0.2, 0.8)) * direction
    begin[2] = height
    return Obstacle(shape, size, begin, velocity_m_s=speed * direction, may_move=True)


def _too_large(robot: Base) -> ConfigurationError:
    return ConfigurationError(
        'no world for this robot', where='base_worlds', value=robot.name,
        allowed='a footprint of 0.35 m radius or less', remedy='give a scene with --scene')


def _no_way(robot: Base, allowed: str) -> ConfigurationError:
    return ConfigurationError(
        f'{robot.name} finds no way in this layout', where='layout', allowed=allowed,
        remedy='widen the passages; in a scene file a larger layout_cell_m does it, too')
