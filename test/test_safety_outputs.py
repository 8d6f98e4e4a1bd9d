# SPDX-License-Identifier: Apache-2.0
"""What each receiver gets, what it does on silence, and how a robot is seen to follow."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from safety_world import Pusher

from diffusion_control import robots, safety
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots import RobotState
from diffusion_control.safety.committed import at, stand
from diffusion_control.safety.follow import REMEMBERED_TICKS, Follower
from diffusion_control.safety.outputs import make_output
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.safety.polyline import nearest_on_polyline

Array = NDArray[np.float64]

ARM = robots.load('panda')
NAMES = tuple(ARM.joint_names)
SPIN = np.array([1.3, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
POSITION = {'command_out_type': 'float64_multi_array'}
VELOCITY = {**POSITION, 'command_interface': 'velocity', 'accept_no_timeout': True}


def test_a_velocity_receiver_needs_consent() -> None:
    with pytest.raises(ConfigurationError) as error:
        safety.make(ARM, rate_hz=100.0, command_out_type='float64_multi_array',
                    command_interface='velocity')
    assert 'accept_no_timeout' in str(error.value)
    assert safety.make(ARM, rate_hz=100.0, **VELOCITY) is not None
    assert safety.make(ARM, rate_hz=100.0, **POSITION) is not None


class Streamed:
    """A receiver of single samples, perfectly tracked, driven by a pusher."""

    def __init__(self, **params: object) -> None:
        """Begin at rest at home."""
        self.monitor = safety.make(ARM, rate_hz=100.0, **params)
        self.pusher, self.now_s = Pusher(ARM.limits), 50.0
        self.velocity_type = params.get('command_interface') == 'velocity'
        self.q, self.dq = ARM.home_rad.copy(), np.zeros(7)
        self.frozen_at: list[Array] = []

    def tick(self, *, motion: bool = True, drift: float = 0.0) -> safety.SafetyDecision:
        """Run one period."""
        committed = self.monitor.committed
        pushed = None if committed is None or not motion else self.pusher.motion(
            committed, self.now_s, SPIN)
        decision = self.monitor.step(
            RobotState(self.q.copy(), self.dq.copy(), self.now_s), pushed, (), self.now_s)
        before = self.q.copy()
        if decision.send and decision.sample is not None:
            if self.velocity_type:
                self.q = self.q + 0.01 * (decision.sample.velocity + drift)
            else:
                self.q = decision.sample.position.copy()
        self.dq = (self.q - before) / 0.01
        self.now_s += 0.01
        return decision


@pytest.mark.parametrize('params', [POSITION, {'command_out_type': 'joint_state'}])
def test_position_samples_are_c_one_period_ahead(params: dict[str, object]) -> None:
    stream = Streamed(**params)
    for _ in range(60):
        decision = stream.tick()
        assert decision.sample is not None and decision.command is not None
        ahead = decision.command.sample(decision.command.stamp_s + 0.01)
        np.testing.assert_allclose(decision.sample.position, ahead.position, atol=1e-12)
        np.testing.assert_allclose(decision.sample.velocity, ahead.velocity, atol=1e-9)
    assert decision.state == 'NOMINAL' and np.abs(stream.dq).max() > 1.0
    assert decision.tail_s == pytest.approx(0.27)


def test_velocity_samples_integrate_to_c_and_correct_drift() -> None:
    stream = Streamed(**VELOCITY)
    for _ in range(200):
        decision = stream.tick(drift=0.01)
        assert decision.state in ('HOLD', 'NOMINAL'), decision.text()
        sample = decision.sample
        assert sample is not None
        assert (np.abs(sample.velocity) <= ARM.limits.velocity_rad_s).all()
    assert decision.tail_s == math.inf and decision.command is not None
    assert np.abs(stream.q - at(decision.command, stream.now_s)[0]).max() < 0.025


def test_a_whole_trajectory_needs_no_sample() -> None:
    stream = Streamed()
    assert stream.tick().sample is None


def test_a_short_silence_of_a_freezing_receiver_delays_c() -> None:
    output = make_output(SafetyParameters(command_out_type='joint_state'),
                         ARM.limits.velocity_rad_s)
    motion = Pusher(ARM.limits).motion(stand(ARM.home_rad, 10.0, NAMES, ''), 9.98, SPIN)
    last_s, now_s = 10.05, 10.10
    frozen = at(motion, last_s + 0.01)[0]
    assert output.after_silence(motion, last_s, last_s + 0.012) is motion
    delayed = output.after_silence(motion, last_s, now_s)
    np.testing.assert_allclose(at(delayed, now_s)[0], frozen, atol=1e-9)
    long = output.after_silence(motion, last_s, last_s + 1.0)
    np.testing.assert_allclose(long.position, np.tile(frozen, (2, 1)))
    assert output.tail_s(0.3) == pytest.approx(0.27) and output.tail_s(0.0) == 0.0


def test_a_trajectory_receiver_goes_on_in_silence() -> None:
    output = make_output(SafetyParameters(), ARM.limits.velocity_rad_s)
    motion = Pusher(ARM.limits).motion(stand(ARM.home_rad, 10.0, NAMES, ''), 9.98, SPIN)
    assert output.after_silence(motion, 10.0, 12.0) is motion
    assert output.tail_s(0.3) == pytest.approx(0.31) and output.tail_s(0.0) == 0.0
    assert output.sample(motion, 10.0, np.zeros(7)) is None


# --- following ----------------------------------------------------------------------------

def test_nearest_on_polyline_is_the_nearest() -> None:
    rng = np.random.default_rng(2)
    corners = np.cumsum(rng.normal(size=(8, 3)), axis=0)
    dense = np.vstack([a + s * (b - a) for a, b in zip(corners, corners[1:], strict=False)
                       for s in np.linspace(0, 1, 400)[:, None]])
    for _ in range(30):
        point = corners[rng.integers(8)] + rng.normal(size=3)
        found = np.linalg.norm(nearest_on_polyline(corners, point)[0] - point)
        assert found == pytest.approx(np.linalg.norm(dense - point, axis=1).min(), abs=1e-2)
    np.testing.assert_array_equal(nearest_on_polyline(corners[:1], corners[3])[0], corners[0])


def followed(follower: Follower, seconds: float) -> float:
    """Let the follower remember a motion; return the time at its end."""
    motion = Pusher(ARM.limits).motion(stand(ARM.home_rad, 10.0, NAMES, ''), 9.98, SPIN)
    now_s = 10.0
    for _ in range(round(seconds * 100)):
        follower.remember(motion, now_s)
        now_s += 0.01
    return now_s - 0.01


@pytest.mark.parametrize('seconds', [0.1, 0.2, 0.9, 2.0])
def test_a_robot_that_follows_with_its_delay_has_no_error(seconds: float) -> None:
    follower = Follower(ARM, 0.02)
    now_s = followed(follower, seconds)
    motion = Pusher(ARM.limits).motion(stand(ARM.home_rad, 10.0, NAMES, ''), 9.98, SPIN)
    late = motion.sample(max(now_s - 0.02, 10.0 if seconds < REMEMBERED_TICKS / 100 else 0.0))
    result = follower.measure(RobotState(late.position, late.velocity, now_s))
    assert result.error_rad < 2e-4 and result.deviation_m < 2e-4


def test_lag_on_the_path_is_an_error_but_no_deviation() -> None:
    follower = Follower(ARM, 0.0)
    now_s = followed(follower, 0.2)
    motion = Pusher(ARM.limits).motion(stand(ARM.home_rad, 10.0, NAMES, ''), 9.98, SPIN)
    late = motion.sample(now_s - 0.07)
    result = follower.measure(RobotState(late.position, np.zeros(7), now_s))
    assert result.error_rad > 0.03 and result.deviation_m < 5e-4 and result.stands


def test_a_push_beside_the_path_is_a_deviation_that_is_forgotten_slowly() -> None:
    follower = Follower(ARM, 0.0)
    now_s = followed(follower, 0.3)
    motion = Pusher(ARM.limits).motion(stand(ARM.home_rad, 10.0, NAMES, ''), 9.98, SPIN)
    q = motion.sample(now_s).position
    pushed = q + np.array([0, 0.05, 0, 0, 0, 0, 0])
    first = follower.measure(RobotState(pushed, np.zeros(7), now_s))
    assert 0.02 < first.deviation_m < 0.06 and first.error_rad == pytest.approx(0.05, abs=1e-3)
    again = RobotState(q, np.zeros(7), now_s)
    assert follower.measure(again).deviation_m == pytest.approx(0.9 * first.deviation_m)
    assert follower.measure(again).deviation_m == pytest.approx(0.9 * first.deviation_m)
    follower.forget()
    assert follower.measure(replace(again, stamp_s=now_s)).deviation_m == 0.0
