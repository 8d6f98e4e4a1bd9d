# SPDX-License-Identifier: Apache-2.0
"""Plans of a recorded run as demonstrations."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from learning_world import panda

from diffusion_control import cli
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.closed_loop import LoopOptions, run_episode
from diffusion_control.learning.data_set import read_about, read_parts
from diffusion_control.learning.from_bag import from_bag
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.scene import Scene

pytest.importorskip('sensor_msgs', reason='the message definitions of ROS are not installed')
BOX = Obstacle('box', (0.1, 0.2, 0.3), np.array([-0.5, 0.4, 0.6]), key='box/1')
MOVER = Obstacle(
    'sphere', (0.05,), np.array([-0.6, -0.5, 0.5]), velocity_m_s=np.array([0.0, 0.1, 0.0]),
    key='mover/2')


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scene]:
    """Return a kept run among a box and a mover, straight to one goal."""
    home, folder = panda().home_rad, tmp_path_factory.mktemp('runs')
    goal = home + np.array([0.8, 0.2, -0.1, 0.1, 0.2, -0.1, 0.3])
    scene = Scene(
        seed=1, obstacles=(BOX, MOVER), start_rad=home, goals=(Goal(joints_rad=goal),))
    run_episode(panda(), scene, 'straight_line', LoopOptions(duration_s=6.0), keep=folder)
    return (folder / 'latest').resolve(), scene


def test_a_plan_of_a_run_is_a_demonstration(run: tuple[Path, Scene], tmp_path: Path) -> None:
    folder, scene = run
    count = from_bag(folder, tmp_path, robot_config='panda', commit='abc')
    data, about = read_parts(tmp_path), read_about(tmp_path)
    assert count == len(data) == about['scenes'] >= 1
    assert about['joint_names'] == list(panda().joint_names)
    assert about['runs'] == {str(folder.resolve()): count}
    goal = scene.goals[0].joints_rad
    first = int(np.argmin(np.abs(data.start - scene.start_rad).max(1)))
    np.testing.assert_allclose(data.start[first], scene.start_rad, atol=1e-3)
    np.testing.assert_allclose(data.goal[first], goal, atol=1e-3)
    assert 0.5 < data.duration[first] < 3.0
    assert np.abs(data.goal - data.start).max(1).min() > 0.05, 'those that stay teach nothing'
    along = (data.free[first] - scene.start_rad) @ (goal - scene.start_rad)
    share = along / ((goal - scene.start_rad) @ (goal - scene.start_rad))
    beside = data.free[first] - scene.start_rad - share[:, None] * (goal - scene.start_rad)
    assert np.abs(beside).max() < 5e-3 and (np.diff(share) > 0).all()


def test_obstacles_that_stand_are_kept(run: tuple[Path, Scene], tmp_path: Path) -> None:
    from_bag(run[0], tmp_path, robot_config='panda', commit='abc')
    data = read_parts(tmp_path)
    assert (data.count == 1).all() and (data.code[:, 0] == 2).all()
    np.testing.assert_allclose(data.centre[0, 0], BOX.position_m, atol=0.02)
    np.testing.assert_allclose(data.half[0, 0], [0.05, 0.1, 0.15], atol=1e-6)


def test_the_file_is_as_good_as_its_folder(run: tuple[Path, Scene], tmp_path: Path) -> None:
    """And is named after the folder, so that the runs of one data set do not overwrite another."""
    from_bag(run[0], tmp_path / 'a', robot_config='panda', commit='abc')
    from_bag(run[0] / 'run.mcap', tmp_path / 'b', robot_config='panda', commit='abc')
    names = [[path.name for path in (tmp_path / name).glob('*.npz')] for name in 'ab']
    assert names[0] == names[1] == [f'part_{run[0].name}.npz']
    np.testing.assert_array_equal(
        read_parts(tmp_path / 'a').free, read_parts(tmp_path / 'b').free)


def test_a_second_run_joins_the_data_set(run: tuple[Path, Scene], tmp_path: Path) -> None:
    other = tmp_path / 'other'
    shutil.copytree(run[0], other)
    count = from_bag(run[0], tmp_path / 'd', robot_config='panda', commit='abc')
    from_bag(other, tmp_path / 'd', robot_config='panda', commit='abc')
    about = read_about(tmp_path / 'd')
    assert len(about['runs']) == 2 and about['scenes'] == 2 * count
    assert len(read_parts(tmp_path / 'd')) == 2 * count


def test_a_run_without_a_plan_from_rest_is_refused(
    run: tuple[Path, Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('diffusion_control.learning.from_bag.AT_REST_RAD_S', -1.0)
    with pytest.raises(ConfigurationError, match='begins at rest'):
        from_bag(run[0], tmp_path / 'd', robot_config='panda', commit='abc')
    assert not (tmp_path / 'd').exists()


def test_the_verb_reads_a_run(
    run: tuple[Path, Scene], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ['--out', str(tmp_path / 'd')]
    assert cli.run(['data', 'from-bag', str(run[0]), *out]) == 0
    assert 'demonstrations' in capsys.readouterr().out
    assert cli.run(['data', 'from-bag', *out]) == 2
    assert cli.run(['data', 'from-bag', str(tmp_path / 'nothing'), *out]) == 2
    assert cli.run(['data', 'from-bag', str(tmp_path), '--out', str(tmp_path / 'e')]) == 2
    assert 'Traceback' not in capsys.readouterr().err
