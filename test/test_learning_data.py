# SPDX-License-Identifier: Apache-2.0
"""Demonstrations: free by another judge, the same from the same seed, whole on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning_world import demonstrations, distances, panda, random_demonstrations, write_data
from scipy.interpolate import BSpline

from diffusion_control import cli
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.scene_geometry import standing
from diffusion_control.evaluation.scene_tiers import generate_scene
from diffusion_control.learning import arm_expert, generate
from diffusion_control.learning.data_card import describe
from diffusion_control.learning.data_set import (
    MOST_OBSTACLES,
    read_parts,
    stack,
    write_about,
    write_part,
)
from diffusion_control.learning.demonstration import Demonstration, Question
from diffusion_control.learning.generate import GenerateOptions, Part, of_scene
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays

SCENES = {1_000_000: 'hard', 1_000_002: 'easy'}
KNOTS = np.concatenate([np.zeros(3), np.linspace(0.0, 1.0, 12), np.ones(3)])
SHARE = 0.65  # of the limits, which the expert plans with


@pytest.fixture(scope='module')
def shown() -> dict[int, list[Demonstration]]:
    """Return what the expert shows in two scenes."""
    return {seed: of_scene(panda(), seed) for seed in SCENES}


def spline_of(found: Demonstration) -> BSpline:
    """Return a demonstration as a clamped cubic B-spline over [0, 1], by scipy."""
    ends = [np.repeat(end[None], 3, 0) for end in (found.question.start, found.question.goal)]
    return BSpline(KNOTS, np.concatenate([ends[0], found.free, ends[1]]), 3)


def own_distance(position: Any) -> float:
    """Return the least distance of the robot to itself and to the floor [m]."""
    model = panda().collision
    centres, radius = model.centres(position), model.radius
    a, b = np.asarray(model.pairs).T
    pairs = np.linalg.norm(centres[a] - centres[b], axis=1) - radius[a] - radius[b]
    floor = (centres[:, 2] - radius - model.floor_m)[model.floor_first:]
    return float(min(pairs.min(), floor.min()))


@pytest.mark.parametrize('seed', SCENES)
def test_shown_motions_are_free(shown: dict[int, list[Demonstration]], seed: int) -> None:
    scene, robot = generate_scene(panda(), seed, SCENES[seed]), panda()
    obstacles = standing(scene.obstacles)
    assert 1 <= len(shown[seed]) <= 3 and obstacles
    for found in shown[seed]:
        way = spline_of(found)(np.linspace(0.0, 1.0, 300))
        near = np.array([
            distances(robot, q, obstacles)[:, robot.collision.obstacle_first:].min() for q in way])
        own = np.array([own_distance(q) for q in way])
        assert near.min() > min(0.015, near[0], near[-1]) - 0.003 and near.min() > 0
        assert own.min() > min(0.005, own[0], own[-1]) - 0.003 and own.min() > 0
        assert (way > robot.limits.lower_rad).all() and (way < robot.limits.upper_rad).all()


@pytest.mark.parametrize('seed', SCENES)
def test_shown_motions_answer_their_question(
    shown: dict[int, list[Demonstration]], seed: int
) -> None:
    scene = generate_scene(panda(), seed, SCENES[seed])
    for found in shown[seed]:
        question = found.question
        assert (question.scene, question.tier) == (seed, SCENES[seed])
        np.testing.assert_array_equal(question.start, scene.start_rad)
        np.testing.assert_array_equal(question.goal, scene.goals[0].joints_rad)
        assert not question.obstacles.velocity_m_s.any()
        spline = spline_of(found)
        np.testing.assert_allclose(spline(0.0), scene.start_rad, atol=1e-12)
        np.testing.assert_allclose(spline(1.0), scene.goals[0].joints_rad, atol=1e-12)
        assert np.abs(spline.derivative(1)([0.0, 1.0])).max() < 1e-12
    lasting = [found.duration_s for found in shown[seed]]
    assert lasting == sorted(lasting)


@pytest.mark.parametrize('seed', SCENES)
def test_durations_are_the_shortest_inside_the_limits(
    shown: dict[int, list[Demonstration]], seed: int
) -> None:
    limits, phase = panda().limits, np.linspace(0.0, 1.0, 2001)
    for found in shown[seed]:
        spline, lasting = spline_of(found), found.duration_s
        speed = np.abs(spline.derivative(1)(phase)) / lasting / limits.velocity_rad_s
        force = np.abs(spline.derivative(2)(phase)) / lasting**2 / limits.acceleration_rad_s2
        assert 0.97 * SHARE < max(speed.max(), np.sqrt(SHARE * force.max())) < 1.05 * SHARE


def test_the_motions_of_a_scene_differ(shown: dict[int, list[Demonstration]]) -> None:
    for found in shown.values():
        ways = [spline_of(one)(np.linspace(0.0, 1.0, 50)) for one in found]
        assert all(np.abs(ways[i] - ways[j]).max() > 1e-3
                   for i in range(len(ways)) for j in range(i))


def test_the_same_seed_gives_the_same_bytes(
    shown: dict[int, list[Demonstration]], tmp_path: Path
) -> None:
    write_part(tmp_path / 'a', 'part_001000000', stack(shown[1_000_000]))
    part = Part('panda', 1_000_000, 1, tmp_path / 'b')
    assert generate.write_demonstrations(part) == len(shown[1_000_000])
    assert part.path.read_bytes() == (tmp_path / 'a' / part.path.name).read_bytes()
    write_part(tmp_path / 'c', 'part_001000000', stack(shown[1_000_002]))
    assert part.path.read_bytes() != (tmp_path / 'c' / part.path.name).read_bytes()


def test_an_unsolvable_question_is_not_shown() -> None:
    goal = panda().home_rad.copy()
    goal[0] += 0.5
    tool, _ = panda().tool_pose(goal)
    inside = (Obstacle('sphere', (0.1,), tool),)
    question = Question(1, 'easy', panda().home_rad, goal, ObstacleArrays.pack(inside))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arm_expert, 'SEARCH_CHECKS', 1000)
        assert not arm_expert.demonstrate(panda(), question, inside, count=2, seed=0)


def test_parts_come_back_as_they_were(tmp_path: Path) -> None:
    folder, whole = write_data(tmp_path / 'd'), stack(random_demonstrations(12))
    back = read_parts(folder)
    assert len(back) == 12
    for name in ('scene', 'hard', 'count', 'code'):
        np.testing.assert_array_equal(getattr(back, name), getattr(whole, name))
        assert getattr(back, name).dtype == getattr(whole, name).dtype
    for name in ('start', 'goal', 'free', 'duration', 'centre', 'rotation', 'half'):
        assert getattr(back, name).dtype == np.float64
        np.testing.assert_allclose(getattr(back, name), getattr(whole, name), atol=2e-7)
    for index, found in enumerate(random_demonstrations(12)):
        packed, unpacked = found.question.obstacles, back.obstacles(index)
        assert len(unpacked.code) == 1 + index % 3 and not unpacked.velocity_m_s.any()
        np.testing.assert_array_equal(unpacked.code, packed.code)
        np.testing.assert_allclose(unpacked.half_m, packed.half_m, atol=1e-7)
        np.testing.assert_allclose(unpacked.rotation, packed.rotation, atol=1e-7)
    assert not [path for path in folder.iterdir() if path.name.startswith('.')]


def test_a_part_of_no_or_too_many_obstacles_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        stack([])
    ball = Obstacle('sphere', (0.05,), np.array([0.5, 0.0, 0.5]))
    one = random_demonstrations(1)[0]
    for count in (MOST_OBSTACLES, MOST_OBSTACLES + 1):
        packed = ObstacleArrays.pack((ball,) * count)
        many = Demonstration(
            Question(0, 'easy', one.question.start, one.question.goal, packed), one.free, 1.0)
        if count <= MOST_OBSTACLES:
            assert stack([many]).count[0] == count
        else:
            with pytest.raises(ConfigurationError, match=str(MOST_OBSTACLES)):
                stack([many])


def _cut(data: bytes) -> bytes:
    return data[:len(data) // 2]


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 3
    return data[:middle] + bytes(b ^ 0x55 for b in data[middle:middle + 60]) + data[middle + 60:]


@pytest.mark.parametrize('damage', [
    _cut, _flipped, lambda data: b'', lambda data: b'no archive', lambda data: data[:-10]])
def test_a_damaged_part_is_refused(tmp_path: Path, damage: Any) -> None:
    folder = write_data(tmp_path / 'd')
    part = folder / 'part_001000050.npz'
    part.write_bytes(damage(part.read_bytes()))
    with pytest.raises(ConfigurationError) as caught:
        read_parts(folder)
    assert str(part) in caught.value.where and '--resume' in caught.value.remedy


def test_a_part_without_an_array_or_of_other_lengths_is_refused(tmp_path: Path) -> None:
    folder = write_data(tmp_path / 'd')
    part = folder / 'part_001000050.npz'
    with np.load(part) as archive:
        arrays = dict(archive)
    np.savez(part, **{name: array for name, array in arrays.items() if name != 'goal'})
    with pytest.raises(ConfigurationError, match='damaged'):
        read_parts(folder)
    np.savez(part, **{**arrays, 'goal': arrays['goal'][:-1]})
    with pytest.raises(ConfigurationError, match='damaged'):
        read_parts(folder)


def test_a_pickle_in_a_part_is_refused(tmp_path: Path) -> None:
    folder = write_data(tmp_path / 'd')
    np.savez(folder / 'part_001000050.npz', scene=np.array([{}], dtype=object))
    with pytest.raises(ConfigurationError, match='damaged'):
        read_parts(folder)


@pytest.mark.parametrize('text', [None, 'not json', '[]', '{}', '{"schema_version": 2}'])
def test_no_data_set_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / 'data.json').write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        describe(tmp_path)
    assert 'data.json' in caught.value.where


def test_a_data_set_without_demonstrations_is_refused(tmp_path: Path) -> None:
    write_about(tmp_path, {'seed': 0})
    with pytest.raises(ConfigurationError, match='without demonstrations'):
        describe(tmp_path)


def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    write_about(tmp_path, {'seed': 0, 'expert': 'a', 'scenes': 5, 'commit': 'x'})
    before = (tmp_path / 'data.json').read_text()
    write_about(tmp_path, {'seed': 0, 'expert': 'a', 'scenes': 9, 'commit': 'y'})
    assert json.loads((tmp_path / 'data.json').read_text())['scenes'] == 9
    for other in ({'seed': 1, 'expert': 'a'}, {'seed': 0, 'expert': 'b'}, {'seed': 0}):
        with pytest.raises(ConfigurationError, match='otherwise'):
            write_about(tmp_path, {**other, 'scenes': 5, 'commit': 'x'})
    assert json.loads((tmp_path / 'data.json').read_text())['expert'] == 'a'
    assert json.loads(before)['schema_version'] == 1


def test_the_card_describes_and_its_hash_changes_with_the_data(tmp_path: Path) -> None:
    folder = write_data(tmp_path / 'd')
    card, found = describe(folder), random_demonstrations(12)
    assert card['demonstrations'] == 12 and card['scenes_solved'] == 6 and card['seed'] == 3
    assert card['duration_p50_s'] == 2.0 and card['obstacles_mean'] == 2.0
    assert card['hard_share'] == pytest.approx(
        sum(one.question.tier == 'hard' for one in found) / 12, abs=1e-4)
    assert describe(write_data(tmp_path / 'same', commit='other'))['sha256'] == card['sha256']
    for name in ('goal', 'duration', 'half', 'scene'):
        part = folder / 'part_001000000.npz'
        kept = part.read_bytes()
        with np.load(part) as archive:
            arrays = dict(archive)
        arrays[name].reshape(-1)[0] += 1
        np.savez(part, **arrays)
        assert describe(folder)['sha256'] != card['sha256'], name
        part.write_bytes(kept)


def _fake_scene(robot: Any, seed: int) -> list[Demonstration]:
    """Return one demonstration for a scene, without a search."""
    found = random_demonstrations(1, seed)[0]
    question = found.question
    return [Demonstration(
        Question(seed, 'easy', question.start, question.goal, question.obstacles), found.free,
        1.0)]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `generate` be done at once: parts of two made-up scenes."""
    monkeypatch.setattr(generate, 'SCENES_PER_PART', 2)
    monkeypatch.setattr(generate, 'of_scene', _fake_scene)


@pytest.mark.usefixtures('quick')
def test_resume_keeps_the_parts_that_are_there(tmp_path: Path) -> None:
    options = GenerateOptions(scenes=5, out=tmp_path, seed=7)
    assert generate.generate(options) == 5
    parts = sorted(path.name for path in tmp_path.glob('*.npz'))
    assert parts == ['part_001000007.npz', 'part_001000009.npz', 'part_001000011.npz']
    with pytest.raises(ConfigurationError, match='holds a data set'):
        generate.generate(options)
    digest = describe(tmp_path)['sha256']
    (tmp_path / parts[1]).unlink()
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in (parts[0], parts[2])}
    again = GenerateOptions(scenes=5, out=tmp_path, seed=7, resume=True)
    assert generate.generate(again) == 2
    assert before == {name: (tmp_path / name).stat().st_mtime_ns for name in before}
    assert describe(tmp_path)['sha256'] == digest
    with pytest.raises(ConfigurationError, match='otherwise'):
        generate.generate(GenerateOptions(scenes=5, out=tmp_path, seed=8, resume=True))
    assert describe(tmp_path)['sha256'] == digest


@pytest.mark.usefixtures('quick')
@pytest.mark.parametrize('more', [6, 8])
def test_more_scenes_leave_no_gap(tmp_path: Path, more: int) -> None:
    """A last part of one scene is not taken for a whole one."""
    generate.generate(GenerateOptions(scenes=5, out=tmp_path / 'grown'))
    generate.generate(GenerateOptions(scenes=more, out=tmp_path / 'grown', resume=True))
    generate.generate(GenerateOptions(scenes=more, out=tmp_path / 'at_once'))
    assert read_parts(tmp_path / 'grown').scene.tolist() == [1_000_000 + k for k in range(more)]
    assert describe(tmp_path / 'grown')['sha256'] == describe(tmp_path / 'at_once')['sha256']


@pytest.mark.usefixtures('quick')
def test_fewer_scenes_do_not_delete_what_was_made(tmp_path: Path) -> None:
    generate.generate(GenerateOptions(scenes=6, out=tmp_path))
    digest = describe(tmp_path)['sha256']
    with pytest.raises(ConfigurationError, match='more scenes'):
        generate.generate(GenerateOptions(scenes=2, out=tmp_path, resume=True))
    assert describe(tmp_path)['sha256'] == digest


@pytest.mark.parametrize('bad', [{'scenes': 0}, {'seed': -1}])
def test_a_bad_range_of_scenes_is_refused(tmp_path: Path, bad: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        generate.generate(GenerateOptions(out=tmp_path / 'd', **bad))  # type: ignore[arg-type]
    assert not (tmp_path / 'd').exists()


@pytest.mark.usefixtures('quick')
def test_the_verb_generates_and_describes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'd'
    assert cli.run(['data', 'generate', '--scenes', '3', '--out', str(out), '--json']) == 0
    card = json.loads(capsys.readouterr().out)
    assert card['demonstrations'] == card['scenes'] == 3 and card['robot'] == 'panda'
    assert cli.run(['data', 'card', str(out), '--json']) == 0
    assert json.loads(capsys.readouterr().out) == card
    assert cli.run(['data', 'generate', '--scenes', '3', '--out', str(out)]) == 2
    assert cli.run(['data', 'card', str(tmp_path / 'nowhere')]) == 2
    assert cli.run(['data', 'card']) == 2
    assert cli.run(['data', 'destroy', str(out)]) == 2
    assert 'Traceback' not in capsys.readouterr().err


def test_take_and_lengths() -> None:
    data = demonstrations(6)
    assert len(data.take(np.array([4, 1]))) == 2
    np.testing.assert_array_equal(data.take(np.array([4, 1])).goal, data.goal[[4, 1]])
    assert len(data.take(data.duration > 1.5)) == 4
