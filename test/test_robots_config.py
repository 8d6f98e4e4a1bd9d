# SPDX-License-Identifier: Apache-2.0
"""Robot files: what ships loads, what is wrong is refused with file, value and allowed."""

import pickle
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError, MissingDependencyError
from diffusion_control.robots.config import config_folder, find_file
from diffusion_control.robots.shape import cover_capsule
from diffusion_control.robots.urdf import resolve


@pytest.fixture(scope='module')
def content() -> dict[str, Any]:
    return yaml.safe_load((config_folder() / 'panda.yaml').read_text())


def refused(content: dict[str, Any], folder: Path) -> str:
    """Write a robot file, load it, and return the error's block."""
    file = folder / 'robot.yaml'
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError) as error:
        robots.load(str(file))
    assert error.value.exit_code == 2
    assert str(file) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(('name', 'joints'), [('panda', 7), ('ur5', 6)])
def test_shipped_robot_is_complete(name: str, joints: int) -> None:
    arm = robots.load(name)
    assert (arm.name, arm.kind, arm.dof) == (name, 'arm', joints)
    assert arm.urdf_path.is_file()
    for values in (*vars(arm.limits).values(), *vars(arm.drive).values(), arm.home_rad):
        assert values.shape == (joints,)
    assert (arm.home_rad > arm.limits.lower_rad).all()
    assert (arm.home_rad < arm.limits.upper_rad).all()
    assert not arm.controller.command_topic.startswith('/')
    torque = np.abs(arm.gravity(arm.home_rad))
    assert (torque < 0.6 * arm.limits.torque_nm).all()


def test_panda_numbers() -> None:
    limits = robots.load('panda').limits
    assert limits.velocity_rad_s.tolist() == [2.175] * 4 + [2.61] * 3
    assert limits.acceleration_rad_s2.tolist() == [15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0]
    assert limits.jerk_rad_s3 == pytest.approx(500 * limits.acceleration_rad_s2)
    assert limits.torque_nm.tolist() == [87.0] * 4 + [12.0] * 3


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ConfigurationError, match='panda, ur5'):
        robots.load('pandda')
    assert {'panda', 'ur5'} <= set(robots.available())
    assert find_file('panda').name == 'panda.yaml'


def test_the_same_robot_after_pickling() -> None:
    arm = robots.load('panda')
    other = pickle.loads(pickle.dumps(arm))
    assert other.joint_names == arm.joint_names
    assert (other.collision.pairs == arm.collision.pairs).all()
    text = arm.urdf_text.replace('0.107', '0.207')
    longer = pickle.loads(pickle.dumps(robots.load('panda', urdf_text=text)))
    step = longer.tool_pose(arm.home_rad)[0] - arm.tool_pose(arm.home_rad)[0]
    assert step == pytest.approx([0.0, 0.0, -0.1], abs=1e-6)


BAD: list[tuple[str, Any, str]] = [
    ('colour', 'red', 'unknown key colour'),
    ('joint_names', ['panda_joint1', 'panda_joint1'], 'different names'),
    ('joint_names', ['a', 'b', 'c', 'd', 'e', 'f', 'g'], 'panda_joint7'),
    ('kind', 'boat', 'arm'),
    ('home_rad', [0.0] * 6, '7 finite numbers'),
    ('home_rad', [0.0] * 7, 'inside the position limits'),
    ('home_rad', ['x'] * 7, '7 finite numbers'),
    ('home_rad', [float('nan')] * 7, '7 finite numbers'),
    ('tool_frame', 'panda_foot', 'panda_hand'),
    ('tool_frame', 'panda_link3', 'fixed to panda_joint7'),
    ('base_frame', 'panda_link1', 'fixed to universe'),
    ('locked_joints', {}, 'panda_finger_joint1'),
    ('locked_joints', {'panda_finger_joint1': 0.0, 'panda_finger_joint2': 0.5}, '0.04'),
    ('urdf', 'panda.urdf', 'absolute path'),
    ('limits.velocity_rad_s', [9.0] * 7, '2.175 (URDF)'),
    ('limits.upper_rad', [2.9] * 7, 'wider than the URDF'),
    ('limits.lower_rad', [3.0] * 7, 'less than upper_rad'),
    ('limits.jerk_rad_s3', [0.0] * 7, 'positive'),
    ('limits.speed', [1.0] * 7, 'unknown key speed'),
    ('drive.damping', [-1.0] * 7, 'none negative'),
    ('controller.command_topic', '/command', 'relative'),
    ('controller.command_type', 'telegram', 'joint_trajectory'),
    ('shape.floor_m', 'low', 'finite number'),
    ('shape.floor_from_link', 'panda_link9', 'panda_link3'),
    ('shape.ignored_pairs', [['panda_link1']], 'pairs'),
    ('shape.ignored_pairs', [['panda_link1', 'elbow']], 'panda_leftfinger'),
    ('shape.spheres', {'panda_link1': [[0.0, 0.0, 0.0, -0.1]]}, 'positive radius'),
    ('shape.spheres', {'elbow': [[0.0, 0.0, 0.0, 0.1]]}, 'panda_link1'),
    ('shape.spheres', {}, 'at least one link'),
    ('shape.capsules', {'panda_link1': [[[0, 0, 0], 0.1]]}, '[[x, y, z], [x, y, z], radius]'),
]


@pytest.mark.parametrize(('key', 'value', 'says'), BAD)
def test_bad_file_is_refused(
    key: str, value: Any, says: str, content: dict[str, Any], tmp_path: Path
) -> None:
    bad = deepcopy(content)
    *path, last = key.split('.')
    target = bad
    for part in path:
        target = target[part]
    target[last] = value
    if key == 'limits.lower_rad':
        bad['home_rad'] = [3.0] * 7
    if key == 'shape.spheres':
        bad['shape'] = {'spheres': value}
    assert says in refused(bad, tmp_path)


@pytest.mark.parametrize('key', ['name', 'urdf', 'limits', 'home_rad', 'shape'])
def test_missing_key_is_refused(key: str, content: dict[str, Any], tmp_path: Path) -> None:
    bad = {name: value for name, value in content.items() if name != key}
    assert f'key {key} is missing' in refused(bad, tmp_path)


@pytest.mark.parametrize('text', ['[1, 2]', 'a: [', '3', ''])
def test_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / 'robot.yaml'
    file.write_text(text)
    with pytest.raises(ConfigurationError, match='robot.yaml'):
        robots.load(str(file))


def test_text_that_is_no_urdf_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='no URDF'):
        robots.load('panda', urdf_text='<robot')


def test_missing_package_is_a_missing_dependency() -> None:
    with pytest.raises(MissingDependencyError, match='no_such_package'):
        resolve('package://no_such_package/robot.urdf', 'here')


def test_capsules_become_spheres(content: dict[str, Any], tmp_path: Path) -> None:
    good = deepcopy(content)
    good['shape'] = {'capsules': {
        'panda_link3': [[[0.0, 0.0, 0.0], [0.0, 0.0, -0.12], 0.06]],
        'panda_hand': [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], 0.1]]}}
    file = tmp_path / 'robot.yaml'
    file.write_text(yaml.safe_dump(good))
    collision = robots.load(str(file)).collision
    assert collision.links == ('panda_link3', 'panda_hand')
    assert collision.radius == pytest.approx([np.hypot(0.06, 0.02)] * 4 + [0.1])


def test_spheres_contain_their_capsule() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        start, end = rng.uniform(-0.3, 0.3, (2, 3))
        radius = rng.uniform(0.01, 0.1)
        spheres = cover_capsule(start, end, radius)
        direction = rng.normal(size=(2000, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        point = start + rng.random((2000, 1)) * (end - start) + radius * direction
        gap = np.linalg.norm(point[:, None] - spheres[:, :3], axis=2) - spheres[:, 3]
        assert gap.min(axis=1).max() <= 1e-12
