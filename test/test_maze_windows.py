# SPDX-License-Identifier: Apache-2.0
"""Motions held against walls between their knots, and which windows are let on."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_control.evaluation.maze.layouts import Maze
from diffusion_control.planners.point_mass import map_view
from diffusion_control.planners.point_mass.map_sampler import Ground
from diffusion_control.planners.point_mass.wall_check import SEEN_M, line_clearances
from diffusion_control.planners.point_mass.windows import Windows, hidden, stuck
from diffusion_control.robots.point_mass import PointMass

GAP = Maze('gap', ('######', '#OO#O#', '#O#OO#', '#OOOO#', '######'))
"""The walls (1, 3) and (2, 2) touch at a corner, between the free cells (1, 2) and (2, 3)."""


def ground_of(maze: Maze) -> Ground:
    walls = maze.walls.astype(float)
    return Ground(maze.map, np.pad(walls, map_view.RADIUS, constant_values=1.0),
                  np.pad(np.zeros_like(walls), map_view.RADIUS), np.array([1.5, 1.5]))


def test_a_line_is_as_near_as_its_nearest_point() -> None:
    generator, known = np.random.default_rng(3), GAP.map
    ends = generator.uniform(0.3, 3.5, (400, 2, 2))
    ends[:, 1] = ends[:, 0] + generator.normal(0.0, 0.4, (400, 2))
    found = line_clearances(ends, known)[:, 0]
    share = np.linspace(0.0, 1.0, 401)[None, :, None]
    points = (1.0 - share) * ends[:, :1] + share * ends[:, 1:]
    robot = PointMass()
    near = robot.clearance(points.reshape(-1, 2), known).reshape(400, -1).min(axis=1)
    near = np.minimum(near + robot.radius_m, SEEN_M)
    free = found > 0.0
    assert 50 < free.sum() < 350
    np.testing.assert_allclose(found[free], near[free], atol=2e-3)
    assert (near[~free] <= 2e-3).all()


def test_a_line_through_the_point_where_two_walls_touch_is_in_both() -> None:
    corner = np.array([2.0, 3.0]) - 0.7  # of the cells (1, 3) and (2, 2)
    for aside in (0.0, 0.05, -0.05):
        line = corner + np.array([[-0.3, -0.3 + aside], [0.3, 0.3 + aside]])
        assert PointMass().clearance(line, GAP.map).min() > 0.05
        assert line_clearances(line[None], GAP.map)[0, 0] <= 0.0


def test_where_a_motion_came_out_behind_a_corner_is_hidden() -> None:
    ground = ground_of(GAP)
    line = np.linspace([0.6, 1.6], [2.0, 3.0], 30)[None]
    over = line_clearances(line, GAP.map) < 0.1
    shown = hidden(ground, line, over)
    new = np.argwhere(shown.walls != ground.walls) - map_view.RADIUS
    assert new.tolist() == [[2, 3]]
    legal = np.linspace([0.8, 0.8], [2.8, 0.8], 30)[None]
    assert (hidden(ground, legal, np.ones((1, 29), bool)).walls == ground.walls).all()


def windows_of(lack: list[float], left: list[float]) -> Windows:
    return Windows(np.arange(len(lack))[:, None, None] * np.ones((1, 3, 4)),
                   np.array(lack), np.array(left))


def test_refused_windows_and_those_far_behind_go_on_as_others() -> None:
    part = windows_of([0.0, 0.1, 0.0, 0.0], [5.0, 2.0, 6.0, 20.0])
    chosen = part.going_on(np.random.default_rng(0))
    assert chosen[0] == 0 and chosen[2] == 2
    assert {int(chosen[1]), int(chosen[3])} <= {0, 2}
    assert part.good(np.full(4, 5.4)).tolist() == [False] * 4
    assert part.good(np.full(4, 6.0)).tolist() == [True, False, False, False]
    assert (windows_of([0.1, 0.2], [1.0, 2.0]).going_on(np.random.default_rng(0)) == [0, 1]).all()


def test_the_better_of_two_windows_is_free_first_and_then_further() -> None:
    first, second = windows_of([0.0, 0.1], [9.0, 1.0]), windows_of([0.01, 0.0], [1.0, 9.0])
    best = first.better(second)
    assert best.lack.tolist() == [0.0, 0.0] and best.left.tolist() == [9.0, 9.0]
    assert best.least() == 9.0
    assert windows_of([0.1], [3.0]).least() == 3.0


@pytest.mark.parametrize('least, wanted', [
    ([9.0, 9.0], False), ([9.0, 8.8, 8.7], True), ([9.0, 8.0, 7.0], False)])
def test_two_windows_without_progress_are_the_end(least: list[float], wanted: bool) -> None:
    assert stuck(least) == wanted
