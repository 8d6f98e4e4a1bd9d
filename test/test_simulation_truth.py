# SPDX-License-Identifier: Apache-2.0
"""What the simulator measures and records, and that it does so again with the same seed."""

from __future__ import annotations

import numpy as np
from simulated_arm import KEYS, arm, follow, make, motion, tool_ball

from diffusion_control.simulation import Plant
from diffusion_control.simulation.truth import merge


def test_measurements_are_noisy_and_some_are_lost():
    sim = make(plant=Plant(noise_rad=1e-3, drop_rate=0.3))
    states = [sim.step(None, 0.001) for _ in range(2000)]
    late = states[200:]
    stamps = np.array([s.stamp_s for s in late])
    lost = np.mean(np.diff(stamps) == 0.0)
    assert 0.25 < lost < 0.35
    positions = np.array([s.position for s in late])
    assert 0.9e-3 < positions.std(axis=0).mean() < 1.1e-3
    velocities = np.array([s.velocity for s in late])
    assert 0.04 < velocities.std(axis=0).mean() < 0.06
    exact = make().step(None, 0.001)
    np.testing.assert_array_equal(exact.position, make().step(None, 0.001).position)


def test_the_same_seed_gives_the_same_bits():
    def run(seed):
        sim = make(plant='default', seed=seed, record=True,
                   obstacles=[tool_ball(velocity_m_s=np.array([0.1, 0.0, 0.0]))])
        states = [sim.step(motion(sim.robot, sim.time_s, 0.2, 2.0), 0.01) for _ in range(40)]
        first = sim.recorder.arrays(), np.array([s.position for s in states])
        sim.reset()
        again = [sim.step(motion(sim.robot, sim.time_s, 0.2, 2.0), 0.01) for _ in range(40)]
        np.testing.assert_array_equal(first[1], np.array([s.position for s in again]))
        return first
    (one, seen_one), (two, seen_two), (other, _) = run(4), run(4), run(5)
    for key in KEYS:
        np.testing.assert_array_equal(one[key], two[key])
    np.testing.assert_array_equal(seen_one, seen_two)
    assert not np.array_equal(one['q'], other['q'])


def test_the_truth_is_written_in_chunks_and_merged(tmp_path):
    ball = tool_ball()
    kept, filed = make(obstacles=[ball], record=True), make(obstacles=[ball], record=tmp_path)
    for sim in (kept, filed):
        sim.reset(time_s=1.7e9)
        follow(sim, 2.35, start_s=1.7e9)
    assert filed.close() == tmp_path / 'truth.npz'
    assert filed.close() is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ['truth.npz']
    expected = kept.recorder.arrays()
    with np.load(tmp_path / 'truth.npz', allow_pickle=False) as truth:
        assert set(truth.files) == KEYS == set(expected)
        for key in KEYS:
            np.testing.assert_array_equal(truth[key], expected[key])
        rows = len(truth['t_s'])
        assert rows == 2350 and truth['obstacles'].shape == (rows, 1, 4)
        np.testing.assert_allclose(np.diff(truth['t_s']), 0.001, atol=1e-6)
        assert tuple(truth['joint_names']) == arm('panda').joint_names


def test_what_a_killed_simulator_leaves_is_merged(tmp_path):
    sim = make(record=tmp_path)
    sim.advance(3500)
    path = merge(tmp_path)
    assert path is not None
    with np.load(path) as truth:
        assert len(truth['t_s']) == 3000 and truth['q'].shape == (3000, 7)
        assert truth['obstacles'].shape == (3000, 0, 4)
    assert merge(tmp_path) is None


def test_ddq_and_dq_are_the_derivatives_of_what_is_recorded():
    sim = make(record=True, plant='default')
    follow(sim, 0.5)
    rows = sim.recorder.arrays()
    np.testing.assert_allclose(np.diff(rows['q'], axis=0), 1e-3 * rows['dq'][1:], atol=1e-9)
    np.testing.assert_allclose(np.diff(rows['dq'], axis=0), 1e-3 * rows['ddq'][1:], atol=1e-9)
