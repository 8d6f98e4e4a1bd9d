# SPDX-License-Identifier: Apache-2.0
"""The emulated controllers do what the real ones do with the same messages."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_control.errors import ConfigurationError
from diffusion_control.simulation.receivers import (
    PROFILES,
    SampleMessage,
    TrajectoryMessage,
    make_receiver,
)
from diffusion_control.simulation.receivers.segments import segment, segment_point
from diffusion_control.trajectory.trajectory import Trajectory

NAMES = ('a', 'b')
LIMIT = np.array([2.0, 2.0])
TICK = 0.001


def receiver(profile='jtc', position=(0.0, 0.0), now_s=100.0):
    built = make_receiver(profile, NAMES, LIMIT)
    built.reset(np.array(position, dtype=float), now_s)
    return built


def run(built, start_s, ticks):
    """Return positions and velocities [ticks, 2] of the updates from `start_s` on."""
    rows = [tuple(np.array(x) for x in built.set_point(start_s + k * TICK)) for k in range(ticks)]
    return np.array([r[0] for r in rows]), np.array([r[1] for r in rows])


def parabola(times):
    """Return q = t^2 / 2 and v = t of the first joint until 1 s, then at rest."""
    q = np.stack([np.asarray(times) ** 2 / 2, np.zeros(len(times))], axis=1)
    v = np.stack([np.asarray(times), np.zeros(len(times))], axis=1)
    return q, v


def ramp(stamp_s, *, names=NAMES, times=(0.0, 0.5, 1.0), last_velocity=0.0, **changes):
    q, v = parabola(times)
    v[-1, 0] = last_velocity
    fields = {'names': names, 'stamp_s': stamp_s, 'times_s': list(times), 'position': q,
              'velocity': v, **changes}
    return TrajectoryMessage(**fields)


def test_segments_meet_both_ends_and_are_of_the_right_degree():
    rng = np.random.default_rng(0)
    q0, v0, a0, q1, v1, a1 = rng.normal(size=(6, 3))
    for start, end, degree in (((q0, None, None), (q1, None, None), 1),
                               ((q0, v0, a0), (q1, v1, None), 3),
                               ((q0, v0, a0), (q1, v1, a1), 5)):
        c = segment(0.7, start, end)
        assert len(c) == degree + 1
        ends = [np.empty((3, 3)) for _ in range(2)]
        for out, at in zip(ends, (0.0, 0.7), strict=True):
            segment_point(c, at, *out)
        for order in range({1: 1, 3: 2, 5: 3}[degree]):
            np.testing.assert_allclose(ends[0][order], start[order], atol=1e-9)
            np.testing.assert_allclose(ends[1][order], end[order], atol=1e-9)


def test_the_cubic_of_the_controller_is_that_of_the_trajectory_type():
    times = np.array([0.0, 0.3, 0.8])
    rng = np.random.default_rng(1)
    q, v = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    v[-1] = 0.0
    trajectory = Trajectory(100.0, times, q, v, rng.normal(size=(3, 2)), NAMES)
    jtc = receiver(position=q[0])
    assert jtc.receive(TrajectoryMessage.of(trajectory), 100.0)
    positions, velocities = run(jtc, 100.0, 900)
    at = 100.0 + (np.arange(900) + 1) * TICK
    expected_q, expected_v, _ = trajectory.sample_many(at)
    np.testing.assert_allclose(positions, expected_q, atol=1e-8)
    np.testing.assert_allclose(velocities[:790], expected_v[:790], atol=1e-6)


def test_jtc_takes_stamp_zero_as_now():
    jtc = receiver()
    jtc.receive(ramp(0.0), 100.0)
    positions, _ = run(jtc, 100.2, 400)
    np.testing.assert_allclose(positions[:, 0], ((np.arange(400) + 1) * TICK) ** 2 / 2, atol=1e-9)


def test_jtc_passes_over_points_in_the_past():
    jtc = receiver(now_s=100.7)
    jtc.receive(ramp(100.0, times=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0)), 100.7)
    positions, velocities = run(jtc, 100.7, 50)
    expected = 0.7 + (np.arange(50) + 1) * TICK
    np.testing.assert_allclose(positions[:, 0], expected**2 / 2, atol=1e-9)
    np.testing.assert_allclose(velocities[:, 0], expected, atol=1e-9)


def test_jtc_leads_from_the_desired_state_to_a_first_point_in_the_future():
    jtc = receiver()
    jtc.receive(ramp(100.0), 100.0)
    before, speed_before = run(jtc, 100.0, 400)
    later = ramp(100.5, times=(0.1, 0.6))
    later.position[:] = [[0.14, 0.0], [0.15, 0.0]]
    later.velocity[:] = 0.0
    jtc.receive(later, 100.4)
    after, speed_after = run(jtc, 100.4, 400)
    period = TICK * speed_before[-1, 0]
    first_step = after[0, 0] - before[-1, 0]
    assert abs(first_step - 2 * period) < 0.1 * period, 'upstream runs P ahead here'
    assert abs(speed_after[0, 0] - speed_before[-1, 0]) < 0.03
    np.testing.assert_allclose(after[199, 0], 0.14, atol=1e-6)
    steps = np.abs(np.diff(after[:, 0]))
    assert steps.max() < 1.6 * period, 'the lead-in has no jump'


def test_jtc_replaces_whole_and_holds_after_the_end():
    jtc = receiver()
    jtc.receive(ramp(100.0), 100.0)
    run(jtc, 100.0, 300)
    jtc.receive(ramp(100.3, times=(0.0, 0.1)), 100.3)
    positions, velocities = run(jtc, 100.3, 1000)
    np.testing.assert_allclose(positions[150:, 0], 0.005, atol=1e-12)
    assert (velocities[150:] == 0.0).all()


def test_jtc_orders_names_and_draws_lines_without_velocities():
    jtc = receiver()
    message = TrajectoryMessage(('b', 'a'), 100.0, [0.0, 1.0], [[0.0, 0.0], [2.0, 1.0]])
    assert jtc.receive(message, 100.0)
    positions, velocities = run(jtc, 100.0, 500)
    np.testing.assert_allclose(positions[-1], [0.5, 1.0], atol=1e-9)
    np.testing.assert_allclose(velocities[-1], [1.0, 2.0], atol=1e-9)


@pytest.mark.parametrize(('reason', 'message'), [
    ('names', ramp(100.0, names=('a', 'c'))),
    ('names', ramp(100.0, names=('a',))),
    ('names', ramp(100.0, names=('a', 'a'))),
    ('names', ramp(100.0, names=('a', 'b', 'c'))),
    ('empty', ramp(100.0, times_s=[], position=[], velocity=[])),
    ('size', ramp(100.0, position=[[0.0, 0.0]])),
    ('size', ramp(100.0, position=[[0.0], [0.0, 1.0], [2.0, 1.0]])),
    ('size', ramp(100.0, velocity=[[0.0, 0.0]])),
    ('size', ramp(100.0, position=[[]])),
    ('not_finite', ramp(100.0, position=np.full((3, 2), np.nan))),
    ('not_finite', ramp(np.inf)),
    ('times', ramp(100.0, times_s=[0.0, 0.5, 0.5])),
    ('times', ramp(100.0, times_s=[0.0, -0.5, 0.5])),
    ('end_velocity', ramp(100.0, last_velocity=1e-3)),
    ('past', ramp(98.0)),
    ('type', SampleMessage([0.0, 0.0])),
])
def test_jtc_refuses_whole_messages_and_counts_why(reason, message):
    jtc = receiver()
    jtc.receive(ramp(100.0), 100.0)
    run(jtc, 100.0, 100)
    assert not jtc.receive(message, 100.1)
    assert jtc.counters == {'accepted': 1, reason: 1}
    positions, _ = run(jtc, 100.1, 100)
    np.testing.assert_allclose(positions[-1, 0], 0.2**2 / 2, atol=1e-9)


def test_reset_forgets_the_running_and_the_waiting_trajectory():
    jtc = receiver()
    jtc.receive(ramp(100.0), 100.0)
    run(jtc, 100.0, 100)
    jtc.receive(ramp(100.1), 100.1)
    jtc.reset(np.array([0.3, 0.4]), 100.1)
    positions, velocities = run(jtc, 100.1, 500)
    assert (positions == [0.3, 0.4]).all() and (velocities == 0.0).all()


def test_forward_position_interpolates_over_one_period_and_freezes():
    drive = receiver('forward_position')
    assert drive.receive(SampleMessage([0.1, -0.1]), 100.0)
    positions, velocities = run(drive, 100.0, 12)
    np.testing.assert_allclose(positions[5], [0.05, -0.05], atol=1e-9)
    np.testing.assert_allclose(velocities[5], [10.0, -10.0])
    np.testing.assert_allclose(positions[11], [0.1, -0.1], atol=1e-12)
    assert (velocities[11] == 0.0).all()
    drive.receive(SampleMessage([0.2, 0.0]), 100.005 + 1.0)
    positions, _ = run(drive, 101.005, 2000)
    np.testing.assert_allclose(positions[-1], [0.2, 0.0])


def test_forward_velocity_runs_on_when_nobody_speaks():
    drive = receiver('forward_velocity')
    drive.receive(SampleMessage([0.5, 0.0]), 100.0)
    positions, velocities = run(drive, 100.0, 10_001)
    np.testing.assert_allclose(positions[-1, 0], 5.0, atol=1e-6)
    assert (velocities[-1] == [0.5, 0.0]).all()
    drive.receive(SampleMessage([0.0, 0.0]), 110.0)
    positions, _ = run(drive, 110.0, 100)
    np.testing.assert_allclose(positions[:, 0], 5.0, atol=1e-6)


@pytest.mark.parametrize('profile', ['forward_position', 'forward_velocity'])
def test_a_sample_of_the_wrong_length_deactivates_a_forward_controller(profile):
    drive = receiver(profile)
    assert drive.receive(SampleMessage([0.1, 0.1]), 100.0)
    assert not drive.receive(SampleMessage([np.nan, 0.0]), 100.1)
    assert drive.receive(SampleMessage([0.2, 0.2]), 100.1)
    assert not drive.receive(SampleMessage([0.1]), 100.2)
    assert not drive.receive(SampleMessage([0.1, 0.1]), 100.3)
    assert drive.counters == {'accepted': 2, 'not_finite': 1, 'size': 1, 'inactive': 1}
    before = np.array(drive.set_point(100.4)[0])
    np.testing.assert_allclose(drive.set_point(105.0)[0], before, atol=1e-9)
    drive.reset(np.zeros(2), 106.0)
    assert drive.receive(SampleMessage([0.1, 0.1]), 106.0)


def test_isaac_takes_joints_by_name_and_keeps_the_others():
    drive = receiver('isaac')
    assert drive.receive(SampleMessage([0.3], ('b',)), 100.0)
    np.testing.assert_allclose(drive.set_point(100.5)[0], [0.0, 0.3])
    assert drive.receive(SampleMessage([0.1, 0.2], ('b', 'a')), 101.0)
    np.testing.assert_allclose(drive.set_point(102.0)[0], [0.2, 0.1])
    for bad in (SampleMessage([0.1], ('c',)), SampleMessage([0.1, 0.2]),
                SampleMessage([0.1, 0.2], ('a', 'a')), SampleMessage([0.1, 0.2], ('a',)),
                SampleMessage([np.inf], ('a',))):
        assert not drive.receive(bad, 103.0)
    np.testing.assert_allclose(drive.set_point(104.0)[0], [0.2, 0.1])


def test_gazebo_lags_by_its_gain_and_keeps_the_velocity_limit():
    gz = receiver('gz')
    gz.receive(TrajectoryMessage(NAMES, 100.0, [0.0, 0.001], [[0.0, 0.0], [0.1, 10.0]]), 100.0)
    positions, velocities = run(gz, 100.0, 1001)
    np.testing.assert_allclose(positions[100, 0], 0.1 * (1 - np.exp(-1.0)), atol=2e-3)
    np.testing.assert_allclose(positions[1000, 0], 0.1, atol=1e-4)
    np.testing.assert_allclose(velocities[5:1000, 1].max(), LIMIT[1])
    np.testing.assert_allclose(positions[1000, 1], 2.0, atol=1e-2)


def test_every_profile_can_be_made_and_others_are_refused():
    for profile in PROFILES:
        assert receiver(profile).profile == profile
    with pytest.raises(ConfigurationError, match='unknown receiver'):
        make_receiver('diff', NAMES, LIMIT)
