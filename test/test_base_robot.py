# SPDX-License-Identifier: Apache-2.0
"""The base: its file, footprint, distance field and distances, against slow geometry."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.distance_field import DistanceField
from diffusion_control.robots.footprint import cover_polygon
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.scan import Scan

LAYOUT = ('#####', '#..G#', '#.#.#', '#O..#', '#####')


@pytest.fixture(scope='module')
def base() -> robots.Base:
    return robots.load_base('base')


@pytest.fixture(scope='module')
def known() -> OccupancyMap:
    return OccupancyMap.from_layout(LAYOUT, 1.0)


def wall_distance(known: OccupancyMap, point: np.ndarray) -> float:
    """Return the exact distance of a point to the nearest occupied square."""
    rows, columns = np.nonzero(known.occupied)
    low = known.origin[:2] + np.stack([columns, rows], axis=1) * known.resolution_m
    gap = np.maximum(np.maximum(low - point, point - low - known.resolution_m), 0.0)
    return float(np.linalg.norm(gap, axis=1).min())


def test_field_never_overestimates_and_is_near(known: OccupancyMap) -> None:
    field, random = DistanceField.of(known), np.random.default_rng(0)
    points = random.uniform(0.0, 5.0, (400, 2))
    found = field.at(points)
    exact = np.array([wall_distance(known, p) for p in points])
    assert (found <= exact + 1e-12).all()
    outside = exact > 0.0
    assert (exact - found)[outside].max() < 1.6 * known.resolution_m


def test_field_moves_with_its_map(base: robots.Base, known: OccupancyMap) -> None:
    pose = np.array([1.0, -2.0, 0.7])
    moved = known.moved(pose)
    point = np.array([1.4, 1.3])
    c, s = np.cos(pose[2]), np.sin(pose[2])
    there = pose[:2] + np.array([c * point[0] - s * point[1], s * point[0] + c * point[1]])
    here = base.pack((), known).field.at(point[None])
    assert base.pack((), moved).field.at(there[None]) == pytest.approx(here, abs=1e-9)
    cells = known.cell_of(point[None])
    assert np.abs(known.centre_of(cells) - point).max() <= known.resolution_m / 2 + 1e-9


@pytest.mark.parametrize('shape', ['circle', 'polygon'])
def test_distances_against_dense_sampling(
    base: robots.Base, known: OccupancyMap, shape: str, tmp_path: Path
) -> None:
    if shape == 'polygon':
        text = Path(base.config.file).read_text(encoding='utf-8').replace(
            'radius_m: 0.20', 'polygon_m: [[-0.2, -0.1], [0.3, -0.1], [0.3, 0.1], [-0.2, 0.1]]')
        (tmp_path / 'box.yaml').write_text(text, encoding='utf-8')
        base = robots.load_base(str(tmp_path / 'box.yaml'))
    pillar = Obstacle('cylinder', (0.2, 1.0), np.array([1.5, 3.4, 0.5]))
    around = base.pack((pillar,), known)
    random = np.random.default_rng(1)
    outline = base.config.outline
    dense = np.concatenate([
        a + np.linspace(0.0, 1.0, 50)[:, None] * (b - a)
        for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True)])
    for _ in range(40):
        pose = np.array([*random.uniform(1.0, 4.0, 2), random.uniform(-3.0, 3.0)])
        c, s = np.cos(pose[2]), np.sin(pose[2])
        world = pose[:2] + dense @ np.array([[c, s], [-s, c]])
        obstacle, own = base.collision.clearance(pose, around)
        true = float(np.linalg.norm(world - [1.5, 3.4], axis=1).min()) - 0.2
        if true > 0.0:
            assert obstacle <= true + 1e-9
            assert obstacle > true - 0.05
        walls = min(wall_distance(known, p) for p in world[::10])
        assert own <= walls + 1e-9 or walls == 0.0


def test_nearest_and_cost_slopes(base: robots.Base, known: OccupancyMap) -> None:
    obstacles = (Obstacle('sphere', (0.2,), np.array([2.0, 3.0, 0.2]), may_move=True),
                 Obstacle('box', (0.5, 0.2, 0.5), np.array([1.5, 1.2, 0.2])))
    scan = Scan(0.0, 0.0, 1.0, np.array([0.9, 0.8]), 0.05, 5.0, np.array([2.5, 1.5, 0.3]))
    around = base.pack(obstacles, known, scan)
    pose, step = np.array([1.45, 1.75, 0.4]), 1e-6
    near = base.collision.nearest(pose, around, np.zeros(2))
    _, _, slope = base.collision.cost(pose[None], np.zeros(1), around, 0.5, 0.4, True)
    assert slope is not None
    for k in range(3):
        ahead, behind = pose.copy(), pose.copy()
        ahead[k] += step
        behind[k] -= step
        rows = [base.collision.nearest(p, around, np.zeros(2)).distance_m
                for p in (ahead, behind)]
        moved = (rows[0] - rows[1]) / (2 * step)
        assert moved == pytest.approx(near.slope[:, k], abs=1e-4)
        big = 1e-3
        ahead[k], behind[k] = pose[k] + big, pose[k] - big
        costs = base.collision.cost(
            np.stack([ahead, behind]), np.zeros(2), around, 0.5, 0.4, False)[0]
        assert (costs[0] - costs[1]) / (2 * big) == pytest.approx(slope[0, k], abs=2e-2)


def test_reach_bounds_every_mover(base: robots.Base, known: OccupancyMap) -> None:
    random = np.random.default_rng(2)
    times = np.linspace(0.0, 1.0, 21)
    for _ in range(20):
        start, ball = random.uniform(1.2, 3.8, 2), random.uniform(1.2, 3.8, 2)
        rate = random.uniform(-1.5, 1.5)
        path = np.stack([start[0] + 0.5 * times, start[1] + 0 * times, rate * times], axis=1)
        velocity = np.array([*random.uniform(-0.3, 0.3, 2), 0.0])
        mover = Obstacle('sphere', (0.1,), np.array([*ball, 0.1]), velocity_m_s=velocity,
                         may_move=True)
        around = base.pack((mover,), known)
        bound, walls = base.collision.reach_clearance(
            path, times, around, velocity_error_m_s=0.05)
        fine = np.linspace(0.0, 1.0, 401)
        dense = np.stack([np.interp(fine, times, path[:, k]) for k in range(3)], axis=1)
        true, own = base.collision.path_clearance(dense, fine, around)
        assert bound[-1] <= true.min() + 1e-9
        assert walls[-1] <= own.min() + 1e-9
        push = np.array([0.5 * 2.0 * fine**2, 0 * fine]).T
        apart = dense[:, :2] - (ball + velocity[:2] * fine[:, None] + push)
        fast = np.linalg.norm(velocity[:2] + np.array([2.0, 0.0]) * fine[:, None], axis=1) > 0.5
        allowed = ~np.maximum.accumulate(fast)
        exact = np.linalg.norm(apart, axis=1)[allowed].min() - 0.1 - 0.2
        assert bound[np.searchsorted(times, fine[allowed][-1])] <= exact + 1e-9


def test_scan_points_are_explained_once(base: robots.Base, known: OccupancyMap) -> None:
    pose = np.array([1.5, 1.5, 0.0])
    ranges = np.array([2.5, 0.5, np.inf, np.nan, 0.01])
    angle = np.arctan2(2.0, 0.0)
    mover = Obstacle('cylinder', (0.2, 1.0), np.array([1.5, 2.2, 0.5]), may_move=True)
    scan = Scan(0.0, 0.0, float(angle), ranges, 0.05, 5.0, pose)
    assert len(scan.points()) == 2
    known_both = base.pack((mover,), known, scan)
    assert known_both.points.shape == (1, 2)
    assert not known_both.points_may_move.any()
    alone = base.pack((), None, scan)
    assert alone.points_may_move.tolist() == [True, True]


def test_polygon_is_covered() -> None:
    corners = np.array([[-0.3, -0.2], [0.4, -0.2], [0.4, 0.2], [-0.3, 0.2]])
    discs = cover_polygon(corners, 0.02)
    random = np.random.default_rng(3)
    inside = random.uniform([-0.3, -0.2], [0.4, 0.2], (500, 2))
    apart = np.linalg.norm(inside[:, None] - discs[None, :, :2], axis=2)
    assert (apart <= discs[:, 2] + 1e-9).any(axis=1).all()
    assert (discs[:, 0] + discs[:, 2]).max() <= 0.42 + 1e-9


def test_pickle_goal_and_refusals(base: robots.Base, tmp_path: Path) -> None:
    again = pickle.loads(pickle.dumps(base))
    assert again.name == base.name
    state = robots.RobotState(np.array([1.1, 0.0, 6.2]), np.zeros(3))
    assert Goal(position_m=np.array([1.0, 0.0, 0.0])).reached(base, state)
    assert Goal(joints_rad=np.array([1.0, 0.0, 0.0])).reached(base, state)
    assert not Goal(joints_rad=np.array([1.0, 0.2, 0.0])).reached(base, state)
    with pytest.raises(ConfigurationError, match='arm'):
        robots.load_arm('base')
    text = Path(base.config.file).read_text(encoding='utf-8')
    for wrong, right in (('speed_max_m_s: 0.6', 'speed_max_m_s: -1'), ('rays: 360', 'rays: 2'),
                         ('kind: diff_drive', 'kind: hover')):
        (tmp_path / 'x.yaml').write_text(text.replace(wrong, right), encoding='utf-8')
        with pytest.raises(ConfigurationError):
            robots.load(str(tmp_path / 'x.yaml'))
    for rows in ((), ('##', '#'), ('#x',)):
        with pytest.raises(ConfigurationError):
            OccupancyMap.from_layout(rows)
