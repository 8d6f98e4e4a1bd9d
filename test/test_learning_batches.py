# SPDX-License-Identifier: Apache-2.0
"""Batches: turned and reversed questions have free answers, and the draws can be repeated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from learning_world import demonstrations, distances, panda
from scipy.interpolate import BSpline

from diffusion_control.learning.arm_batches import ArmBatches, Batch, shortest
from diffusion_control.learning.data_set import MOST_OBSTACLES, Demonstrations, stack
from diffusion_control.learning.generate import of_scene
from diffusion_control.planners.arm_features import ArmFeatures
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.trajectory.spline import straight

KNOTS = np.concatenate([np.zeros(3), np.linspace(0.0, 1.0, 12), np.ones(3)])
SHAPES = {1: 'sphere', 2: 'box', 3: 'cylinder'}


def way_of(start: Any, free: Any, goal: Any, count: int = 120) -> Any:
    """Return positions of a clamped cubic B-spline, by scipy."""
    points = np.concatenate([np.repeat(start[None], 3, 0), free, np.repeat(goal[None], 3, 0)])
    return BSpline(KNOTS, points, 3)(np.linspace(0.0, 1.0, count))


def quaternion(rotation: Any) -> Any:
    from scipy.spatial.transform import Rotation
    return Rotation.from_matrix(rotation).as_quat()


def obstacles_of(data: Demonstrations, row: int) -> tuple[Obstacle, ...]:
    """Return the obstacles of a row as values."""
    found = []
    for k in range(int(data.count[row])):
        shape, half = SHAPES[int(data.code[row, k])], data.half[row, k]
        size = {'sphere': half[:1], 'box': 2 * half, 'cylinder': [half[0], 2 * half[2]]}[shape]
        found.append(Obstacle(
            shape, tuple(size), data.centre[row, k],  # type: ignore[arg-type]
            quaternion(data.rotation[row, k])))
    return tuple(found)


@pytest.fixture(scope='module')
def shown() -> Demonstrations:
    """Return what the expert shows in two scenes."""
    return stack([one for seed in (1_000_000, 1_000_002, 1_000_004)
                  for one in of_scene(panda(), seed)])


@pytest.fixture(scope='module')
def batches(shown: Demonstrations) -> ArmBatches:
    return ArmBatches(panda(), shown, seed=5)


def source_of(shown: Demonstrations, batch: Batch, row: int) -> tuple[int, bool, float]:
    """Return which demonstration a row is, whether it is reversed, and how far it is turned."""
    start, goal = batch.chosen.start[row, 1:], batch.chosen.goal[row, 1:]
    for index in range(len(shown)):
        for back, (a, b) in enumerate(((shown.start, shown.goal), (shown.goal, shown.start))):
            same = np.array_equal(a[index, 1:], start) and np.array_equal(b[index, 1:], goal)
            free = shown.free[index, ::-1 if back else 1, 1:]
            if same and np.array_equal(free, batch.chosen.free[row, :, 1:]):
                return index, bool(back), float(batch.chosen.start[row, 0] - a[index, 0])
    raise AssertionError('a row that no demonstration is behind')


def test_turned_and_reversed_answers_are_as_clear_as_they_were(
    shown: Demonstrations, batches: ArmBatches
) -> None:
    robot = panda()
    batch, _ = batches.draw(0, 0, 12)
    data = batch.chosen
    decoded = batches.code.decode(batch.code, straight(data.start, data.goal))
    np.testing.assert_allclose(decoded, data.free, atol=1e-4)
    assert len({source_of(shown, batch, row)[1] for row in range(12)}) == 2
    for row in range(12):
        index, back, angle = source_of(shown, batch, row)
        way = way_of(data.start[row], decoded[row], data.goal[row])
        before = way_of(shown.start[index], shown.free[index], shown.goal[index])
        before = before[::-1] if back else before
        np.testing.assert_allclose(way[:, 0] - angle, before[:, 0], atol=1e-3)
        moved = np.asarray(robot.collision.joint) > 0  # no motion moves the base
        near = np.array([
            distances(robot, q, obstacles_of(data, row))[:, moved].min() for q in way])
        wanted = np.array([
            distances(robot, q, obstacles_of(shown, index))[:, moved].min() for q in before])
        np.testing.assert_allclose(near, wanted, atol=1e-3)
        assert near.min() > 0.0
        a, b = np.asarray(robot.collision.pairs).T
        for q in way[::10]:
            centres, radius = robot.collision.centres(q), robot.collision.radius
            assert (np.linalg.norm(centres[a] - centres[b], axis=1) > radius[a] + radius[b]).all()
        assert (way > robot.limits.lower_rad).all() and (way < robot.limits.upper_rad).all()


def test_shares_of_turned_and_reversed_questions(
    shown: Demonstrations, batches: ArmBatches
) -> None:
    batch, _ = batches.draw(1, 0, 400)
    found = [source_of(shown, batch, row) for row in range(400)]
    assert 0.42 < np.mean([back for _, back, _ in found]) < 0.58
    turned = np.array([angle for _, _, angle in found])
    assert 0.84 < (np.abs(turned) > 1e-9).mean() < 0.95
    assert turned.min() < -1.0 and turned.max() > 1.0
    assert len({index for index, _, _ in found}) == len(shown)


def test_the_inputs_are_those_of_the_turned_question(batches: ArmBatches) -> None:
    batch, _ = batches.draw(2, 0, 6)
    features = ArmFeatures(panda())
    for row in range(6):
        count = int(batch.chosen.count[row])
        alone = features(
            batch.chosen.start[row], batch.chosen.goal[row], batch.chosen.obstacles(row))
        for name, value in alone.items():
            told = batch.inputs[name][row]
            np.testing.assert_array_equal(told[:value.shape[1]], value[0])
        assert batch.inputs['obstacle_mask'][row].tolist() == [1.0] * count + [0.0] * (
            MOST_OBSTACLES - count)
        assert not batch.inputs['obstacles'][row, count:].any()
    assert batch.code.dtype == np.float32


def test_equal_step_and_rank_give_equal_batches(
    shown: Demonstrations, batches: ArmBatches
) -> None:
    first, noise = batches.draw(3, 1, 8)
    numbers = noise.standard_normal(5)
    again, noise = ArmBatches(panda(), shown, seed=5).draw(3, 1, 8)
    for name, value in first.inputs.items():
        np.testing.assert_array_equal(again.inputs[name], value)
    np.testing.assert_array_equal(again.code, first.code)
    np.testing.assert_array_equal(noise.standard_normal(5), numbers)
    others = [batches.draw(3, 0, 8), batches.draw(4, 1, 8), batches.draw(1, 3, 8),
              ArmBatches(panda(), shown, seed=6).draw(3, 1, 8)]
    for other, noise in others:
        assert not np.array_equal(other.code, first.code)
        assert not np.array_equal(noise.standard_normal(5), numbers)


def test_a_first_joint_at_its_limit_is_not_turned_beyond() -> None:
    data, limits = demonstrations(40), panda().limits
    rising = np.linspace(-0.9, 0.9, 8)
    data.free[:, :, 0] = limits.upper_rad[0] - 1.0 + rising
    data.start[:, 0], data.goal[:, 0] = data.free[:, 0, 0], data.free[:, -1, 0]
    batch, _ = ArmBatches(panda(), data, seed=0).draw(0, 0, 200)
    assert batch.chosen.free[..., 0].max() < limits.upper_rad[0]
    assert batch.chosen.free[..., 0].min() > limits.lower_rad[0]
    assert batch.chosen.free[..., 0].max() > limits.upper_rad[0] - 0.2
    assert batch.chosen.free[..., 0].min() < limits.lower_rad[0] + 0.2


def test_only_the_shortest_of_a_scene_are_kept() -> None:
    data = demonstrations(6)
    scene = np.array([4, 9, 4, 9, 4, 2])
    lasting = np.array([1.0, 3.0, 1.19, 2.0, 1.21, 9.0])
    few = shortest(Demonstrations(**{**vars(data), 'scene': scene, 'duration': lasting}), 1.2)
    assert few.scene.tolist() == [4, 4, 9, 2] and few.duration.tolist() == [1.0, 1.19, 2.0, 9.0]
    np.testing.assert_array_equal(few.goal, data.goal[[0, 2, 3, 5]])


def test_the_line_between_start_and_goal() -> None:
    start, goal = np.zeros((1, 7)), np.arange(7.0)[None]
    line = straight(start, goal)
    assert line.shape == (1, 8, 7)
    way = way_of(start[0], line[0], goal[0], 400)
    share = way[:, 1]
    np.testing.assert_allclose(way, share[:, None] * goal, atol=1e-9)
    assert (np.diff(share) >= -1e-12).all() and share[0] == 0 and share[-1] == 1
    np.testing.assert_allclose(share, 1 - share[::-1], atol=1e-9)
