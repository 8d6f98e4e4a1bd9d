# SPDX-License-Identifier: Apache-2.0
"""What the network is told, against the judge's geometry; the code of motions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from learning_world import OBSTACLES, distances, panda
from scipy.spatial.transform import Rotation

from diffusion_control.errors import ConfigurationError
from diffusion_control.planners.arm_features import ArmFeatures
from diffusion_control.planners.motion_code import MotionCode
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays

GROUPS, LOOKS, BEFORE = 4, 10, 21  # numbers of an obstacle before its distances
NEAR, LOOK = slice(BEFORE, BEFORE + GROUPS * LOOKS), 24 + 6  # places and axes of a look
Array = Any


@pytest.fixture(scope='module')
def features() -> ArmFeatures:
    return ArmFeatures(panda())


def question() -> tuple[Array, Array]:
    """Return start and goal."""
    home = panda().home_rad
    return home, home + np.array([0.9, 0.3, -0.4, 0.5, 0.2, -0.3, 0.6])


def seen(found: dict[str, Array], obstacle: int) -> Array:
    """Return the distances that the network is told, shape [looks, groups] [m]."""
    rows = found['obstacles'][0, obstacle, NEAR].astype(float)
    return np.arctanh(np.minimum(rows, 1 - 1e-9)).reshape(LOOKS, GROUPS) / 4.0


def turn() -> Array:
    """Return the rotation by which the world is seen: against the middle of the first joint."""
    start, goal = question()
    return Rotation.from_rotvec([0.0, 0.0, -0.5 * (start[0] + goal[0])]).as_matrix()


def turned(q: Array) -> Array:
    """Return a configuration as it is seen."""
    start, goal = question()
    return q - 0.5 * (start[0] + goal[0]) * np.eye(7)[0]


def weights() -> Array:
    """Return the share of the way at each look: the smoothest rest-to-rest line's control points.

    It minimises the integral of q'^2 + 0.002 q''^2 over clamped cubic B-splines of 14 control
    points whose first three are 0 and last three are 1 (by scipy, on a fine grid).
    """
    from scipy.interpolate import BSpline
    knots = np.concatenate([np.zeros(3), np.linspace(0.0, 1.0, 12), np.ones(3)])
    spline, phase = BSpline(knots, np.eye(14), 3), np.linspace(0.0, 1.0, 1001)
    rows = np.concatenate([
        spline.derivative(1)(phase), np.sqrt(0.002) * spline.derivative(2)(phase)])
    inner = np.linalg.lstsq(rows[:, 3:11], -rows[:, 11:].sum(1), rcond=None)[0]
    return np.concatenate([[0.0], inner, [1.0]])


def expected(obstacles: tuple[Obstacle, ...], times: Array) -> Array:
    """Return the least distance of each group at each look by brute force, [k, looks, groups]."""
    robot = panda()
    start, goal = question()
    joint = np.asarray(robot.collision.joint)
    groups = [np.isin(joint, which) for which in ((3, 4), (5,), (6,), (7,))]
    result = []
    for weight, time in zip(weights(), times, strict=True):
        near = distances(robot, start + weight * (goal - start), obstacles, time)
        result.append([[row[group].min() for group in groups] for row in near])
    return np.array(result).transpose(1, 0, 2)


def test_distances_are_those_of_the_judge(features: ArmFeatures) -> None:
    found = features(*question(), ObstacleArrays.pack(OBSTACLES))
    wanted = expected(OBSTACLES, np.zeros(LOOKS))
    assert wanted.min() < 0.0 and 0.5 < wanted.max(), 'inside and far'
    for index in range(len(OBSTACLES)):
        told = seen(found, index)
        near = wanted[index] < 0.5  # beyond, tanh and float32 say little
        np.testing.assert_allclose(told[near], wanted[index][near], atol=3e-4)
        assert (told[~near] > 0.45).all()
    assert found['obstacle_mask'].tolist() == [[1.0, 1.0, 1.0]]


def test_movers_are_foretold_up_to_the_latest(features: ArmFeatures) -> None:
    speed = np.array([0.1, -0.2, 0.15])
    moving = tuple(replace(o, velocity_m_s=speed * (1 + k)) for k, o in enumerate(OBSTACLES))
    found = features(*question(), ObstacleArrays.pack(moving), 2.0, 1.2)
    times = np.minimum(2.0 * weights(), 1.2)
    assert 0.0 < times[1] < times[4] < 1.2 == times[-1]
    wanted = expected(moving, times)
    for index in range(len(moving)):
        near = wanted[index] < 0.5
        np.testing.assert_allclose(seen(found, index)[near], wanted[index][near], atol=3e-4)
    standing = features(*question(), ObstacleArrays.pack(OBSTACLES), 2.0, 1.2)
    assert np.abs(found['obstacles'] - standing['obstacles']).max() > 0.1
    np.testing.assert_array_equal(
        found['obstacles'][..., :BEFORE], standing['obstacles'][..., :BEFORE])


def test_shape_place_and_size_are_told(features: ArmFeatures) -> None:
    found = features(*question(), ObstacleArrays.pack(OBSTACLES))['obstacles'][0]
    np.testing.assert_array_equal(found[:, :3], np.eye(3))
    np.testing.assert_allclose(
        found[:, 3:6], [2 * turn() @ o.position_m for o in OBSTACLES], atol=1e-6)
    np.testing.assert_allclose(
        found[:, 6:9], 6 * np.array([[0.09, 0, 0], [0.05, 0.11, 0.15], [0.05, 0, 0.35]]),
        atol=1e-6)
    assert not found[0, 9:BEFORE].any(), 'a ball has no axes'
    upright = found[2, 15:BEFORE]
    np.testing.assert_allclose(upright, [0, 0, 0, 0, 0, 1], atol=1e-6)


def test_the_order_of_obstacles_only_permutes_the_rows(features: ArmFeatures) -> None:
    straight = features(*question(), ObstacleArrays.pack(OBSTACLES))
    order = [2, 0, 1]
    mixed = features(*question(), ObstacleArrays.pack(tuple(OBSTACLES[k] for k in order)))
    np.testing.assert_array_equal(mixed['obstacles'][0], straight['obstacles'][0, order])
    for name in ('state', 'goal', 'obstacle_mask'):
        np.testing.assert_array_equal(mixed[name], straight[name])


def test_without_obstacles_one_empty_place_is_told(features: ArmFeatures) -> None:
    found = features(*question(), ObstacleArrays.pack(()))
    assert found['obstacle_mask'].tolist() == [[0.0]]
    assert found['obstacles'].shape == (1, 1, features.lengths['obstacles'])
    assert not found['obstacles'].any()
    some = features(*question(), ObstacleArrays.pack(OBSTACLES))
    np.testing.assert_array_equal(found['state'], some['state'])
    np.testing.assert_array_equal(found['goal'], some['goal'])
    assert found['state'].shape == (1, 24 + LOOKS * LOOK - LOOK)
    for name, length in features.lengths.items():
        assert found[name].shape[-1] == length and found[name].dtype == np.float32


@pytest.mark.parametrize('axis', range(3))
def test_a_half_turn_of_a_box_changes_nothing(features: ArmFeatures, axis: int) -> None:
    box = OBSTACLES[1]
    x, y, z, w = box.quaternion
    turned = (np.array([w, z, -y, -x]), np.array([-z, w, x, -y]), np.array([y, -x, w, -z]))[axis]
    half = replace(box, quaternion=turned)  # q times the half turn about a local axis
    first = features(*question(), ObstacleArrays.pack((box,)))['obstacles']
    np.testing.assert_allclose(
        features(*question(), ObstacleArrays.pack((half,)))['obstacles'], first, atol=2e-6)
    other = replace(box, quaternion=np.array([0.0, 0.0, 0.0, 1.0]))
    assert np.abs(features(
        *question(), ObstacleArrays.pack((other,)))['obstacles'] - first).max() > 0.05


def test_start_goal_and_the_places_of_links_are_told(features: ArmFeatures) -> None:
    robot, (start, goal) = panda(), question()
    found = features(start, goal, ObstacleArrays.pack(()))
    for name, true in (('state', start), ('goal', goal)):
        q, first = turned(true), true[:1]
        np.testing.assert_allclose(found[name][0, :24], np.concatenate([
            q / 2, np.sin(q), np.cos(q), first / 2, np.sin(first), np.cos(first)]), atol=1e-6)
    joint = np.asarray(robot.collision.joint)
    for name, q in (('state', turned(start)), ('goal', turned(goal))):
        places = found[name][0, 24:48].reshape(8, 3) / 2.0
        centres = robot.collision.centres(q)
        gap = np.linalg.norm(centres[:, None] - places, axis=2)
        assert gap.min(0).max() < 1e-6, 'each is the centre of a sphere'
        assert set(joint[gap.argmin(0)]) == {3, 4, 5, 6, 7}
        _, tool = robot.tool_pose(q)
        np.testing.assert_allclose(found[name][0, 48:54], tool[:, [0, 2]].ravel(), atol=1e-6)
    assert np.abs(found['state'][0, 24:48] - found['goal'][0, 24:48]).max() > 0.1


def test_the_way_from_an_obstacle_to_the_tool_is_told(features: ArmFeatures) -> None:
    speed = np.array([0.1, -0.2, 0.15])
    moving = tuple(replace(o, velocity_m_s=speed * (1 + k)) for k, o in enumerate(OBSTACLES))
    found = features(*question(), ObstacleArrays.pack(moving), 2.0, 1.2)['obstacles'][0]
    start, goal = question()
    for k, obstacle in enumerate(moving):
        told = found[k, NEAR.stop:].reshape(LOOKS, 3) / 2.0
        for look, weight in enumerate(weights()):
            tool, _ = panda().tool_pose(start + weight * (goal - start))
            place = obstacle.position_m + min(2.0 * weight, 1.2) * obstacle.velocity_m_s
            np.testing.assert_allclose(told[look], turn() @ (tool - place), atol=1e-5)


def test_a_turned_question_is_told_the_same_but_for_the_first_joint(features: ArmFeatures) -> None:
    """All but the three numbers each of the first joint at start and goal."""
    angle = 0.7
    about = Rotation.from_rotvec([0.0, 0.0, angle])
    moving = tuple(replace(o, velocity_m_s=np.array([0.1, 0.2, -0.1])) for o in OBSTACLES)
    around = tuple(replace(
        o, position_m=about.apply(o.position_m), velocity_m_s=about.apply(o.velocity_m_s),
        quaternion=(about * Rotation.from_quat(o.quaternion)).as_quat()) for o in moving)
    here = features(*question(), ObstacleArrays.pack(moving), 2.0, 1.2)
    there = features(
        *(q + angle * np.eye(7)[0] for q in question()), ObstacleArrays.pack(around), 2.0, 1.2)
    for name, value in here.items():
        told = np.abs(value - there[name]).reshape(-1, value.shape[-1]).max(0) > 1e-5
        first = [21, 22, 23] if name in ('state', 'goal') else []
        assert np.flatnonzero(told).tolist() == first, name


def motions(count: int) -> Array:
    """Return residuals with a mean, correlated over knots, another deviation for each joint."""
    random = np.random.default_rng(0)
    mix = 0.5 * np.tril(random.normal(size=(8, 8))) + 2 * np.eye(8)
    raw = np.einsum('ij,bjk->bik', mix, random.normal(size=(count, 8, 7)))
    return 0.3 + raw * np.linspace(0.1, 0.7, 7)


def test_codes_lead_back_to_the_motions() -> None:
    data = motions(500)
    code = MotionCode.fit(data)
    line = np.random.default_rng(1).normal(size=(500, 8, 7))
    coded = code.encode(data + line, line)
    assert coded.dtype == np.float32
    np.testing.assert_allclose(code.decode(coded, line), data + line, atol=1e-5)
    one = code.decode(np.zeros((1, 8, 7), np.float32), line[:1])
    np.testing.assert_allclose(one, line[:1] + data.mean(0), atol=1e-9)


def test_codes_of_the_data_are_white() -> None:
    data = motions(4000)
    coded = MotionCode.fit(data).encode(data, np.zeros((8, 7))).astype(float)
    assert np.abs(coded.mean(0)).max() < 1e-5
    np.testing.assert_allclose(
        np.einsum('bik,bjk->ij', coded, coded) / (4000 * 7), np.eye(8), atol=0.03)
    np.testing.assert_allclose(np.sqrt((coded**2).mean((0, 1))), np.ones(7), atol=0.03)
    raw = data - data.mean(0)
    assert np.abs(np.corrcoef(raw[:, :, 0].T) - np.eye(8)).max() > 0.3, 'as they were not'


def test_a_joint_that_never_leaves_the_line_has_a_code() -> None:
    data = motions(100)
    data[..., 2] = 0.0
    code = MotionCode.fit(data)
    coded = code.encode(data, np.zeros((8, 7)))
    assert np.isfinite(coded).all()
    np.testing.assert_allclose(code.decode(coded, np.zeros((8, 7))), data, atol=1e-5)


def test_a_card_holds_the_code() -> None:
    code = MotionCode.fit(motions(50))
    again = MotionCode.of_card(code.as_dict(), 8, 7)
    for name in ('mean', 'deviation', 'factor'):
        np.testing.assert_array_equal(getattr(again, name), getattr(code, name))


def _without(name: str) -> Any:
    return lambda parts: parts.pop(name)


def _put(name: str, value: Any) -> Any:
    return lambda parts: parts.update({name: value})


@pytest.mark.parametrize('spoil', [
    _without('mean'), _without('deviation'), _without('factor'),
    _put('mean', [[0.0] * 7] * 7), _put('deviation', [1.0] * 6), _put('deviation', 1.0),
    _put('deviation', [1.0] * 6 + [0.0]), _put('deviation', [1.0] * 6 + [-1.0]),
    _put('deviation', [1.0] * 6 + [float('nan')]), _put('deviation', ['a'] * 7),
    _put('factor', np.diag([1.0] * 7 + [0.0]).tolist()), _put('factor', [[1.0] * 8] * 8),
    _put('factor', [[1.0] * 8] * 7), _put('factor', [[1.0], [1.0, 2.0]])])
def test_a_card_that_cannot_be_inverted_is_refused(spoil: Any) -> None:
    normaliser = MotionCode.fit(motions(50)).as_dict()
    spoil(normaliser['residual'])
    with pytest.raises(ConfigurationError, match='normaliser'):
        MotionCode.of_card(normaliser, 8, 7)


@pytest.mark.parametrize('normaliser', [{}, {'residual': None}, {'residual': [1.0]}])
def test_a_card_without_a_code_is_refused(normaliser: Any) -> None:
    with pytest.raises(ConfigurationError, match='normaliser'):
        MotionCode.of_card(normaliser, 8, 7)
