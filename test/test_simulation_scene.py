# SPDX-License-Identifier: Apache-2.0
"""Scene and plant files: what is read, what is refused and how; how movers travel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation import Plant, Scene, dump_scenes, load_scene, load_scenes
from diffusion_control.simulation.movers import REVERSAL_M_S2, TRAVEL_M, Mover, to_and_fro
from diffusion_control.simulation.scene_file import scene_mapping

GOOD = {
    'seed': 3, 'tier': 'hard', 'note': {'from': 'a user'},
    'obstacles': [
        {'shape': 'box', 'size_m': [0.1, 0.2, 0.3], 'position_m': [0.5, 0, 0.2],
         'quaternion': [0, 0, 0, 1], 'velocity_m_s': [0, 0.3, 0]},
        {'shape': 'sphere', 'size_m': [0.1], 'position_m': [0.5, 0.5, 0.2]},
    ],
    'start_rad': [0, 0.1, 0.2],
    'goals': [{'joints_rad': [0, 0, 1]},
              {'position_m': [0.4, 0, 0.3], 'quaternion': [1, 0, 0, 0]}],
}


def written(folder, content, name='scenes.yaml'):
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def changed(**changes):
    return {**GOOD, **changes}


def test_one_scene_or_a_list_and_unknown_keys_are_kept(tmp_path):
    single = load_scene(written(tmp_path, GOOD))
    (listed,) = load_scenes(written(tmp_path, [GOOD]))
    for scene in (single, listed, load_scene(written(tmp_path, [GOOD]))):
        assert scene.seed == 3 and scene.tier == 'hard' and scene.extra == {'note': GOOD['note']}
        assert [o.shape for o in scene.obstacles] == ['box', 'sphere']
        assert [o.may_move for o in scene.obstacles] == [True, False]
        np.testing.assert_array_equal(scene.start_rad, [0, 0.1, 0.2])
        np.testing.assert_array_equal(scene.goals[0].joints_rad, [0, 0, 1])
        np.testing.assert_array_equal(scene.goals[1].quaternion, [1, 0, 0, 0])


def test_the_documented_scene_is_one(tmp_path):
    page = Path(__file__).parent.parent / 'docs' / 'scenes.md'
    text = page.read_text(encoding='utf-8').split('```yaml\n')[1].split('```')[0]
    (tmp_path / 'scene.yaml').write_text(text, encoding='utf-8')
    (scene,) = load_scenes(tmp_path / 'scene.yaml')
    scene.check(robots.load('panda'))
    assert len(scene.goals) == 2 and [o.may_move for o in scene.obstacles] == [False, False, True]


def test_scenes_survive_writing_and_reading(tmp_path):
    scenes = load_scenes(written(tmp_path, [GOOD, {**GOOD, 'seed': 4, 'goals': []}]))
    dump_scenes(scenes, tmp_path / 'again.yaml')
    again = load_scenes(tmp_path / 'again.yaml')
    assert [scene_mapping(s) for s in scenes] == [scene_mapping(s) for s in again]
    assert len(again) == 2 and again[1].goals == ()


def obstacle(**changes):
    return changed(obstacles=[GOOD['obstacles'][1], {**GOOD['obstacles'][0], **changes}])


@pytest.mark.parametrize(('content', 'where'), [
    ('{a: [', 'line 1'),
    ('just words', ''),
    ([], ''),
    ([GOOD, 5], '[1]'),
    ({k: v for k, v in GOOD.items() if k != 'obstacles'}, ''),
    ({k: v for k, v in GOOD.items() if k != 'start_rad'}, ''),
    ({k: v for k, v in GOOD.items() if k != 'goals'}, ''),
    (changed(seed='x'), 'seed'),
    (changed(seed=True), 'seed'),
    (changed(tier='medium'), 'tier'),
    (changed(start_rad=[0, float('nan'), 0]), 'start_rad'),
    (changed(start_rad=['a', 'b']), 'start_rad'),
    (changed(start_rad=[]), 'start_rad'),
    (changed(obstacles={}), 'obstacles'),
    (changed(obstacles=[3]), 'obstacles[0]'),
    (obstacle(shape='cone'), 'obstacles[1]: shape'),
    (obstacle(size_m=[0.1, 0.1]), 'obstacles[1]: size_m'),
    (obstacle(size_m=[0.1, -0.1, 0.1]), 'obstacles[1]: size_m'),
    (obstacle(position_m=[0, 0, float('inf')]), 'obstacles[1]: position_m'),
    (obstacle(quaternion=[0, 0, 0, 2]), 'obstacles[1]: quaternion'),
    (obstacle(velocity_m_s=[0, 0.51, 0]), 'obstacles[1].velocity_m_s'),
    (changed(goals=[{'joints_rad': [0, float('nan'), 0]}]), 'goals[0]: joints_rad'),
    (changed(goals=[{}]), 'goals[0]'),
    (changed(goals=[{'joints_rad': [0, 0, 0], 'position_m': [0, 0, 0]}]), 'goals[0]'),
    (changed(goals=[{'position_m': [0, 0]}]), 'goals[0]: position_m'),
    (changed(goals=[{'position_m': [0, 0, 1], 'quaternion': [9, 9, 9, 9]}]),
     'goals[0]: quaternion'),
])
def test_every_mistake_is_named_with_file_and_path(tmp_path, content, where):
    path = written(tmp_path, content)
    with pytest.raises(ConfigurationError) as caught:
        load_scenes(path)
    assert str(path) in caught.value.where and where in caught.value.where
    assert caught.value.allowed or 'missing' in caught.value.what


def test_files_that_cannot_be_read_are_named(tmp_path):
    for path in (tmp_path / 'nothing.yaml', tmp_path):
        with pytest.raises(ConfigurationError) as caught:
            load_scenes(path)
        assert str(path) in caught.value.where
    with pytest.raises(ConfigurationError, match='several'):
        load_scene(written(tmp_path, [GOOD, GOOD]))


def test_a_scene_is_checked_against_its_robot():
    class Robot:
        name, dof, base_frame, reach_m = 'two', 2, 'base', 1.0
        joint_names = ('a', 'b')

        class limits:  # noqa: N801
            lower_rad, upper_rad = np.array([-1.0, -1.0]), np.array([1.0, 1.0])

    robot = Robot()
    Scene(0, (), np.zeros(2), (Goal(joints_rad=np.zeros(2)),)).check(robot)
    for scene, where in (
            (Scene(0, (), np.zeros(3), ()), 'start_rad'),
            (Scene(0, (), np.array([0.0, 1.5]), ()), 'start_rad[1]'),
            (Scene(0, (), np.zeros(2), (Goal(joints_rad=np.array([0.0, 3.0])),)), 'goals[0]'),
            (Scene(0, (), np.zeros(2), (Goal(position_m=np.array([0, 0, 9.0])),)), 'goals[0]')):
        with pytest.raises(ConfigurationError) as caught:
            scene.check(robot)
        assert where in caught.value.where


@given(speed=st.floats(0.01, 0.5), time_s=st.floats(0.0, 500.0))
def test_movers_keep_to_the_published_bounds(speed, time_s):
    step = 1e-4
    (s0, v0), (s1, v1) = (to_and_fro(t, speed) for t in (time_s, time_s + step))
    assert abs(v0) <= speed + 1e-12
    assert abs(v1 - v0) <= 2.0 * step + 1e-9
    assert abs(s1 - s0 - (v0 + v1) / 2 * step) <= 1e-8
    swing = speed**2 / (2 * REVERSAL_M_S2)
    assert -swing - 1e-9 <= s0 <= TRAVEL_M + swing + 1e-9


def test_a_mover_cruises_a_metre_returns_and_repeats():
    mover = Mover.of(Obstacle('sphere', (0.1,), np.array([0.0, 0.0, 1.0]),
                              velocity_m_s=np.array([0.3, 0.4, 0.0])))
    np.testing.assert_allclose(mover.at(1.0)[0], [0.3, 0.4, 1.0])
    np.testing.assert_allclose(mover.at(2.0)[0], [0.6, 0.8, 1.0])
    period = 2 * TRAVEL_M / 0.5 + 4 * 0.5 / REVERSAL_M_S2
    turned = mover.at(period / 2 + 1.0)
    np.testing.assert_allclose(turned[1], [-0.3, -0.4, 0.0])
    np.testing.assert_allclose(turned[0], [0.3, 0.4, 1.0], atol=1e-9)
    np.testing.assert_allclose(mover.at(7 * period + 0.3)[0], mover.at(0.3)[0], atol=1e-9)
    np.testing.assert_array_equal(mover.at(-1.0), [[0, 0, 1], [0, 0, 0]])
    standing = Mover.of(Obstacle('sphere', (0.1,), np.ones(3)))
    np.testing.assert_array_equal(standing.at(77.0), [[1, 1, 1], [0, 0, 0]])


def test_plants_by_name_seed_and_file(tmp_path):
    default = Plant.make('default', seed=5, links=7)
    assert default == Plant.default(5, 7) != Plant.default(6, 7)
    masses, friction = default.scales(7)
    assert (np.abs(masses - 1) <= 0.1).all() and np.ptp(masses) > 0.02
    assert (np.abs(friction - 1) <= 0.3).all() and np.ptp(friction) > 0.06
    assert (default.delay_s, default.noise_rad, default.payload_kg) == (0.01, 1e-4, 0.0)
    assert Plant.make('nominal', seed=5, links=7) == Plant() == Plant.nominal()
    path = written(tmp_path, {'mass_scale': 1.2, 'friction_scale': [1, 2, 1], 'delay_s': 0.02,
                              'payload_kg': 0.5, 'noise_rad': 0, 'drop_rate': 0.1})
    loaded = Plant.make(path, seed=0, links=3)
    assert loaded == Plant(1.2, (1.0, 2.0, 1.0), 0.02, 0.5, 0.0, 0.1)
    assert set(loaded.summary()) == set(yaml.safe_load(path.read_text()))
    with pytest.raises(ConfigurationError, match='friction_scale'):
        Plant.make(path, seed=0, links=7)


def test_drives_of_a_plant_may_be_softer(tmp_path):
    path = written(tmp_path, {'stiffness_scale': [0.1, 0.2, 0.3], 'damping_scale': 0.5})
    softer, slacker = Plant.make(path, seed=0, links=3).drive_scales(3)
    np.testing.assert_array_equal(softer, [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(slacker, [0.5, 0.5, 0.5])
    with pytest.raises(ConfigurationError, match='stiffness_scale'):
        Plant.make(path, seed=0, links=7)
    np.testing.assert_array_equal(Plant().drive_scales(2), np.ones((2, 2)))


@pytest.mark.parametrize(('content', 'where'), [
    ({'mass_scale': 0}, 'mass_scale'), ({'mass_scale': 'x'}, 'mass_scale'),
    ({'friction_scale': [1, -1]}, 'friction_scale'), ({'delay_s': -0.1}, 'delay_s'),
    ({'delay_s': 9}, 'delay_s'), ({'payload_kg': float('nan')}, 'payload_kg'),
    ({'noise_rad': '1e-4x'}, 'noise_rad'), ({'drop_rate': 1.0}, 'drop_rate'),
    ({'masses': 1}, ''), ([1], ''), ('a: : b', 'line'),
])
def test_bad_plants_are_refused(tmp_path, content, where):
    path = written(tmp_path, content)
    with pytest.raises(ConfigurationError) as caught:
        Plant.load(path)
    assert str(path) in caught.value.where and where in caught.value.where
