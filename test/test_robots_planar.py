# SPDX-License-Identifier: Apache-2.0
"""Poses on a plane."""

import numpy as np
import pytest

from diffusion_control.robots import planar


def test_a_pose_and_its_inverse_cancel():
    rng = np.random.default_rng(3)
    for pose in rng.uniform(-4.0, 4.0, (20, 3)):
        for product in (planar.compose(planar.inverse(pose), pose),
                        planar.compose(pose, planar.inverse(pose))):
            assert product == pytest.approx(np.zeros(3), abs=1e-12)


def test_poses_are_composed_as_matrices_are():
    first, second = np.array([1.0, 2.0, np.pi / 2]), np.array([0.5, 0.25, 0.3])
    assert planar.compose(first, second) == pytest.approx([0.75, 2.5, np.pi / 2 + 0.3])
    many = planar.compose(first, np.stack([second, 0.0 * second]))
    assert many[1] == pytest.approx(first) and many.shape == (2, 3)


def test_vectors_turn_and_their_height_stays():
    assert planar.turned(np.array([9.0, 9.0, np.pi / 2]), np.array([1.0, 0.0, 0.7])) == (
        pytest.approx([0.0, 1.0, 0.7]))


def test_yaw_goes_through_a_quaternion_and_is_unwrapped():
    for yaw in (-3.0, -0.1, 0.0, 2.5):
        assert planar.yaw_of(planar.quaternion_of(yaw)) == pytest.approx(yaw)
    assert planar.unwrapped(-3.0, 6.0) == pytest.approx(-3.0 + 2 * np.pi)
    assert planar.unwrapped(0.1, -12.6) == pytest.approx(0.1 - 4 * np.pi)
