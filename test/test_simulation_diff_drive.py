# SPDX-License-Identifier: Apache-2.0
"""The receiver of twists: limits, time-out, braking, stamps, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simulated_base import base

from diffusion_control.simulation.receivers.diff_drive import DiffDrive
from diffusion_control.simulation.receivers.messages import SampleMessage, TwistMessage

DRIVE = base().drive


def receiver(timeout_s=0.5, drive=DRIVE):
    made = DiffDrive(drive, timeout_s)
    made.reset(np.zeros(3), 10.0)
    return made


def run(made, start_s, seconds):
    """Return the output of every millisecond."""
    return np.array([made.twist(start_s + k * 1e-3).copy() for k in range(round(1e3 * seconds))])


def send(made, twist, now_s, stamp_s=0.0):
    return made.receive(TwistMessage(np.array(twist, dtype=float), stamp_s), now_s)


def test_it_stands_without_a_twist():
    assert not run(receiver(), 10.0, 0.1).any()


def test_it_speeds_up_and_brakes_within_its_limits():
    made = receiver()
    assert send(made, (0.6, 0.0, 1.8), 10.0)
    rising = run(made, 10.0, 0.49)
    np.testing.assert_allclose(np.diff(rising[:500, 0]).max(), 1e-3 * DRIVE.acceleration_max_m_s2)
    np.testing.assert_allclose(
        np.diff(rising[:400, 2]).max(), 1e-3 * DRIVE.yaw_acceleration_max_rad_s2)
    assert send(made, (0.0, 0.0, 0.0), 10.49)
    falling = run(made, 10.49, 0.5)
    np.testing.assert_allclose(np.diff(falling[:, 0]).min(), -1e-3 * DRIVE.braking_max_m_s2)
    assert not falling[-1].any()


@pytest.mark.parametrize('timeout_s', [0.2, 0.5])
def test_silence_keeps_the_twist_until_the_time_out(timeout_s):
    made = receiver(timeout_s)
    for k in range(100):
        send(made, (0.5, 0.0, 1.0), 10.0 + 0.01 * k)
        run(made, 10.0 + 0.01 * k, 0.01)
    out = run(made, 11.0, 1.5)
    held = round(1000 * timeout_s) - 10
    np.testing.assert_allclose(out[:held], np.tile([0.5, 0.0, 1.0], (held, 1)), atol=1e-12)
    np.testing.assert_allclose(
        out[held + 15:held + 200, 0],
        0.5 - DRIVE.braking_max_m_s2 * 1e-3 * (np.arange(15, 200)), atol=6e-3)
    assert not out[-1].any()


def test_the_time_out_counts_from_the_stamp():
    made = receiver()
    assert send(made, (0.1, 0.0, 0.0), 10.0, stamp_s=9.7)
    out = run(made, 10.0, 0.5)
    assert out[195, 0] == pytest.approx(0.1) and out[210, 0] < 0.1


def test_what_is_old_or_no_twist_is_refused():
    made = receiver()
    assert not send(made, (0.1, 0.0, 0.0), 10.0, stamp_s=9.4)
    assert not send(made, (np.nan, 0.0, 0.0), 10.0)
    assert not send(made, (0.1, 0.0), 10.0)
    assert not made.receive(SampleMessage([0.1, 0.0, 0.0]), 10.0)
    assert made.counters == {'old': 1, 'not_finite': 1, 'size': 1, 'type': 1}
    assert not run(made, 10.0, 0.1).any()


def test_limits_of_speed_are_kept_and_no_sideways_speed_is_taken():
    made = receiver()
    for k, (twist, expected) in enumerate((
            ((5.0, 1.0, 9.0), (0.6, 0.0, 1.8)), ((-5.0, 0.0, -9.0), (-0.3, 0.0, -1.8)))):
        at = 10.0 + 2.0 * k
        for part in range(20):
            send(made, twist, at + 0.1 * part)
            out = run(made, at + 0.1 * part, 0.1)
        np.testing.assert_allclose(out[-1], expected)


def test_turning_round_brakes_first():
    made = receiver(5.0)
    send(made, (0.3, 0.0, 0.0), 10.0)
    run(made, 10.0, 0.5)
    send(made, (-0.3, 0.0, 0.0), 10.5)
    out = run(made, 10.5, 1.0)[:, 0]
    rate = np.diff(out) / 1e-3
    positive, negative = out[:-1] > 2e-3, out[1:] < -2e-3
    np.testing.assert_allclose(rate[positive], -DRIVE.braking_max_m_s2)
    assert rate[negative].min() == pytest.approx(-DRIVE.acceleration_max_m_s2)
    assert out[-1] == pytest.approx(-0.3)


def test_an_omnidirectional_base_is_limited_as_a_vector():
    made = receiver(5.0, replace(DRIVE, kind='omni'))
    send(made, (3.0, 4.0, 0.0), 10.0)
    out = run(made, 10.0, 1.0)
    np.testing.assert_allclose(out[-1], [0.36, 0.48, 0.0])
    np.testing.assert_allclose(out[1:, 0] * 4, out[1:, 1] * 3)


def test_it_starts_anew_after_a_reset():
    made = receiver(5.0)
    send(made, (0.3, 0.0, 0.5), 10.0)
    run(made, 10.0, 0.5)
    made.reset(np.zeros(3), 10.5)
    assert not run(made, 10.5, 0.2).any()
