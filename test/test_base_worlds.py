# SPDX-License-Identifier: Apache-2.0
"""Worlds of a base: what they promise, layouts and their files, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from simulated_base import ROOM, base

from diffusion_control import robots, simulation
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.base.free_space import (
    FreeSpace,
    flat_distance,
    footprint_radius,
    sweep_distance,
)
from diffusion_control.evaluation.base_worlds import (
    GOALS,
    WORLD_TIERS,
    demo_world,
    generate_world,
    layout_world,
)
from diffusion_control.evaluation.scene_geometry import swept
from diffusion_control.parameters.simulator import BASE_PLANT
from diffusion_control.robots.occupancy_map import layout_walls
from diffusion_control.simulation import Plant, Scene, dump_scenes, load_scene
from diffusion_control.simulation.layout import read_layout, wall_boxes, wall_distance
from diffusion_control.simulation.plant_base import RANGES, BaseDeviations
from diffusion_control.simulation.scene_file import scene_mapping


def places(scene):
    return np.array([scene.start_rad[:2], *(g.position_m[:2] for g in scene.goals)])


def parts(scene):
    return (tuple(o for o in scene.obstacles if not o.may_move),
            tuple(o for o in scene.obstacles if o.may_move))


@pytest.mark.parametrize('tier', ['easy', 'hard'])
def test_worlds_keep_their_promises(tier):
    robot, settings, blocked = base(), WORLD_TIERS[tier], []
    radius = footprint_radius(robot)
    for seed in range(8):
        scene = generate_world(robot, seed, tier, goals=2)
        scene.check(robot)
        standing, movers = parts(scene)
        where = places(scene)
        assert scene.tier == tier and len(scene.goals) == 2
        assert settings.movers[0] <= len(movers) <= settings.movers[1]
        assert wall_distance(scene, where).min() >= radius + 0.2
        for o in standing:
            assert flat_distance(o, where).min() >= radius + 0.2
        for mover in movers:
            assert sweep_distance(mover, where).min() >= radius + 0.4 - 1e-9
            assert 0.0 < np.linalg.norm(mover.velocity_m_s) <= 0.5
            copies = np.array([o.position_m[:2] for o in swept(mover)])
            assert wall_distance(scene, copies).min() >= mover.size_m[0]
        floor = FreeSpace.of(scene, standing)
        lengths, _ = floor.ways(where[0], radius + 0.15)
        assert settings.way_m[0] <= lengths[floor.node(where[1])] <= settings.way_m[1]
        blocked.append(floor.line_clearance(where[0], where[1]) < radius)
    assert np.mean(blocked) >= (1.0 if tier == 'hard' else 0.5)


def test_the_same_seed_is_the_same_world_and_others_differ():
    one, two = (scene_mapping(generate_world(base(), 5, 'hard')) for _ in range(2))
    assert one == two
    assert one != scene_mapping(generate_world(base(), 6, 'hard'))
    assert one['layout'] != scene_mapping(generate_world(base(), 5, 'easy'))['layout']


def test_the_demos_world_can_be_toured():
    robot = base()
    for seed in range(3):
        scene = demo_world(robot, seed)
        scene.check(robot)
        standing, movers = parts(scene)
        assert len(scene.goals) == GOALS and len(movers) == 3
        floor = FreeSpace.of(scene, standing)
        where = places(scene)
        for begin, end in zip(where, where[1:], strict=False):
            lengths, _ = floor.ways(begin, footprint_radius(robot) + 0.15)
            assert 1.5 <= lengths[floor.node(end)] <= 3.3
    assert scene_mapping(demo_world(robot, 0)) != scene_mapping(demo_world(robot, 1))


def test_a_layouts_marks_are_start_and_goals():
    rows = ('#######', '#O...G#', '#.###.#', '#G....#', '#######')
    scene = layout_world(base(), rows, 3, goals=4)
    scene.check(base())
    np.testing.assert_allclose(scene.start_rad[:2], [1.5, 3.5])
    visited = [tuple(g.position_m[:2]) for g in scene.goals]
    assert set(visited[:2]) == {(5.5, 3.5), (1.5, 1.5)}
    assert visited[2] == (1.5, 3.5) and visited[3] == visited[0]
    unmarked = layout_world(base(), tuple(ROOM), 1)
    unmarked.check(base())


def test_layouts_without_a_way_are_refused():
    for rows in (('#####', '#O#G#', '#####'), ('###', '###'), ('##', '#G')):
        with pytest.raises(ConfigurationError, match='finds no way'):
            layout_world(base(), rows)
    with pytest.raises(ConfigurationError, match='rows of one length'):
        layout_world(base(), ('###', '#'))


def test_a_layout_file_is_read_and_bad_ones_are_refused(tmp_path, capsys):
    file = tmp_path / 'rooms.txt'
    file.write_text('\n####\n#OG\n####\n\n', encoding='utf-8')
    assert read_layout(file) == ('####', '#OG ', '####')
    file.write_text('####\n#O\n####\n', encoding='utf-8')
    assert read_layout(file) == read_layout(file) == ('####', '#O  ', '####')
    assert capsys.readouterr().err.count('shorter than 4 marks: row 2;') == 1
    for text, what in (('', 'empty'), ('\n \n', 'empty'), ('##\n#x\n', "unknown mark 'x'")):
        file.write_text(text, encoding='utf-8')
        with pytest.raises(ConfigurationError, match=what) as caught:
            read_layout(file)
        assert str(file) in caught.value.where
    with pytest.raises(ConfigurationError, match='cannot be read'):
        read_layout(tmp_path / 'absent.txt')


def test_boxes_fill_the_walls_exactly():
    rng = np.random.default_rng(0)
    for _ in range(5):
        rows = tuple(''.join(rng.choice(list('#.'), 9)) for _ in range(7))
        scene = Scene(0, (), np.zeros(3), (), layout=rows, layout_cell_m=0.5,
                      layout_origin_m=(-1.0, 2.0))
        boxes = wall_boxes(scene)
        columns, lines = np.meshgrid(np.arange(9), np.arange(7))
        centres = np.stack([columns, lines], axis=-1).reshape(-1, 2) * 0.5 + [-0.75, 2.25]
        inside = ((centres[:, None] > boxes[:, :2]) & (centres[:, None] < boxes[:, 2:])).all(2)
        np.testing.assert_array_equal(inside.sum(1), layout_walls(rows)[::-1].ravel())


def test_a_scene_file_carries_its_layout(tmp_path):
    scene = generate_world(base(), 2, 'easy')
    dump_scenes([scene], tmp_path / 'one.yaml')
    again = load_scene(tmp_path / 'one.yaml')
    assert scene_mapping(again) == scene_mapping(scene) and again.layout == scene.layout
    written = scene_mapping(scene)
    written['layout'] = '\n'.join(written['layout'])
    (tmp_path / 'text.yaml').write_text(yaml.safe_dump(written), encoding='utf-8')
    assert load_scene(tmp_path / 'text.yaml').layout == scene.layout
    for key, value, what in (
            ('layout', ['##', '#'], 'rows of one length'), ('layout', 3, 'layout'),
            ('layout_cell_m', 0, 'layout_cell_m'), ('layout_origin_m', [1], 'layout_origin_m')):
        (tmp_path / 'bad.yaml').write_text(
            yaml.safe_dump({**written, key: value}), encoding='utf-8')
        with pytest.raises(ConfigurationError) as caught:
            load_scene(tmp_path / 'bad.yaml')
        assert what in str(caught.value)


def test_a_plant_file_has_the_keys_of_a_base_and_its_bounds(tmp_path):
    file = tmp_path / 'plant.yaml'
    file.write_text('{grip_scale: 0.5, slope_rad: 0.02, odom_from_zero: true, mass_scale: 1.1}')
    plant = Plant.load(file)
    assert plant.base == BaseDeviations(grip_scale=0.5, slope_rad=0.02, odom_from_zero=True)
    assert set(plant.summary()) == {
        'mass_scale', 'friction_scale', 'delay_s', 'payload_kg', 'noise_rad', 'drop_rate'}
    for text, what in (('slope_rad: 2', 'slope_rad'), ('grip_scale: no', 'grip_scale'),
                       ('odom_from_zero: 3', 'odom_from_zero'), ('slop: 1', 'unknown key')):
        file.write_text(text)
        with pytest.raises(ConfigurationError, match=what):
            Plant.load(file)
    with pytest.raises(ConfigurationError, match='left_wheel_scale'):
        BaseDeviations(left_wheel_scale=0.0)
    assert Plant.default(1, 3).base != Plant.default(2, 3).base
    assert Plant.nominal().base == BaseDeviations()


def test_the_simulators_parameters_are_those_of_the_plant():
    assert set(BASE_PLANT) == set(RANGES)


def test_the_documented_layout_is_a_scene(tmp_path):
    page = Path(__file__).parent.parent / 'docs' / 'scenes.md'
    text = page.read_text(encoding='utf-8').split('```yaml\n')[2].split('```')[0]
    (tmp_path / 'scene.yaml').write_text(text, encoding='utf-8')
    scene = load_scene(tmp_path / 'scene.yaml')
    scene.check(base())
    assert len(scene.layout) == 5 and scene.goals and scene.obstacles[0].may_move


def test_goals_in_walls_and_walls_around_arms_are_refused():
    scene = generate_world(base(), 1, 'easy')
    inside = robots.Goal(position_m=np.array([0.2, 0.2, 0.0]))
    with pytest.raises(ConfigurationError, match='a goal lies in a wall'):
        replace(scene, goals=(inside,)).check(base())
    with pytest.raises(ConfigurationError, match='for a base'):
        arm = robots.load_arm('panda')
        Scene(0, (), arm.home_rad, (), layout=ROOM).check(arm)


def test_a_generated_world_is_simulated_without_contact_at_its_start():
    scene = generate_world(base(), 3, 'hard')
    world = simulation.make(base(), scene=scene, seed=1, record=True)
    world.advance(2000)
    assert world.truth()['contact_onsets'] == {'obstacle': 0, 'self_or_wall': 0}
