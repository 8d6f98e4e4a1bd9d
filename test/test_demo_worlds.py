# SPDX-License-Identifier: Apache-2.0
"""What a demo drives in, checked before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffusion_control.demo.options import DemoOptions
from diffusion_control.demo.worlds import robot_of, scene_of
from diffusion_control.errors import ConfigurationError
from diffusion_control.simulation.scene import Scene


@pytest.mark.parametrize(('kind', 'name'), [('arm', 'panda'), ('base', 'base')])
def test_each_kind_has_a_robot_of_its_own(kind: str, name: str) -> None:
    assert robot_of(DemoOptions(robot=kind)).name == name


@pytest.mark.parametrize(('kind', 'name'), [('arm', 'base'), ('base', 'ur5')])
def test_a_robot_of_the_other_kind_is_refused(kind: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match='is of kind'):
        robot_of(DemoOptions(robot=kind, robot_config=name))


LAYOUT = """
########
#O..#..#
#..##.G#
#......#
#.##...#
#G.....#
########
"""


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    file = tmp_path / 'layout.txt'
    file.write_text(LAYOUT)
    return file


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    file = tmp_path / 'scene.yaml'
    file.write_text(
        '{seed: 0, start_rad: [1.5, 4.5, 0.0], goals: [{position_m: [5.5, 1.5, 0.0]}], '
        'obstacles: [{shape: box, size_m: [0.4, 0.4, 0.4], position_m: [3.0, 1.5, 0.2]}]}')
    return file


def base_scene(**options: object) -> Scene:
    chosen = DemoOptions(robot='base', **options)  # type: ignore[arg-type]
    return scene_of(chosen, robot_of(chosen))


def test_the_demo_of_a_base_has_walls_movers_and_goals() -> None:
    found = base_scene(seed=3)
    assert found.layout and len(found.goals) >= 3
    assert any(o.velocity_m_s.any() for o in found.obstacles)


def test_a_layout_alone_makes_a_world(layout: Path) -> None:
    found = base_scene(layout=layout)
    assert found.layout[0] == '########' and len(found.layout) == 7
    assert tuple(found.start_rad[:2]) == (1.5, 5.5), 'the O'
    assert len({tuple(goal.position_m) for goal in found.goals}) == 3, 'both G, and the start'


def test_a_scene_of_one_s_own_in_walls_of_one_s_own(layout: Path, scene: Path) -> None:
    assert base_scene(scene=scene).layout == ()
    both = base_scene(scene=scene, layout=layout)
    assert len(both.layout) == 7 and len(both.obstacles) == 1


@pytest.mark.parametrize(('change', 'hint'), [
    (('1.5, 4.5, 0.0', '0.5, 4.5, 0.0'), 'start'),
    (('1.5, 4.5, 0.0', '1.5, 4.5'), 'start_rad'),
    (('[3.0, 1.5, 0.2]}', '[1.5, 4.4, 0.2], velocity_m_s: [0.2, 0.0, 0.0]}'), 'start_rad'),
    (('5.5, 1.5, 0.0', '3.0, 1.5, 0.0'), 'goals[0]'),
    (('5.5, 1.5, 0.0', '5.5, 1.1, 0.0'), 'goals[0]'),
    (('5.5, 1.5, 0.0', '60.5, 1.5, 0.0'), 'goals[0] a goal lies outside the layout'),
    (('goals: [{position_m: [5.5, 1.5, 0.0]}]', 'goals: []'), 'goals'),
    (('shape: box', 'shape: cone'), 'obstacles[0]')])
def test_bad_worlds_are_refused_by_name(
    change: tuple[str, str], hint: str, layout: Path, scene: Path
) -> None:
    text = scene.read_text()
    assert change[0] in text
    scene.write_text(text.replace(*change))
    with pytest.raises(ConfigurationError) as error:
        base_scene(scene=scene, layout=layout)
    assert hint in f'{error.value.where} {error.value.what}'


@pytest.mark.parametrize(('text', 'hint'), [
    ('####\n#G?#\n####\n', 'line 2'), ('', 'layout'), ('#' * 61, 'at most 60 rows'),
    ('#\n' * 4000, '4000 rows'),
    ('#####\n#O#G#\n#####\n', 'way'), ('###\n###\n', 'place')])
def test_bad_layouts_are_refused_by_name(text: str, hint: str, layout: Path) -> None:
    layout.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        base_scene(layout=layout)
    assert hint in str(error.value.block()) and str(layout) in error.value.where


def test_a_goal_behind_closed_walls_is_refused(layout: Path, scene: Path) -> None:
    layout.write_text(LAYOUT.replace('#......#', '########'))
    with pytest.raises(ConfigurationError, match='no way leads') as error:
        base_scene(scene=scene, layout=layout)
    assert error.value.where == f'{scene}: goals[0]'


def test_errors_of_a_scene_name_its_file_once(scene: Path) -> None:
    scene.write_text(scene.read_text().replace('{seed: 0,', '{layout_cell_m: 0.0,'))
    with pytest.raises(ConfigurationError) as error:
        base_scene(scene=scene)
    assert error.value.where == f'{scene}: layout_cell_m'


def test_cells_that_are_too_small_or_a_world_too_wide_are_refused(
    layout: Path, scene: Path
) -> None:
    rows = [row for row in LAYOUT.split()]
    for cell_m in ('0.01', '10.0'):
        scene.write_text(f'{{seed: 0, start_rad: [1.5, 4.5, 0.0], obstacles: [], layout: {rows}, '
                         f'layout_cell_m: {cell_m}, goals: [{{position_m: [5.5, 1.5, 0.0]}}]}}')
        with pytest.raises(ConfigurationError, match='too large, or its cells are too small'):
            base_scene(scene=scene)
