# SPDX-License-Identifier: Apache-2.0
"""The monitor in closed loop with an ideal robot: nothing unverified leaves, whatever comes in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safety_world import (
    ARM,
    GOOD,
    SPIN,
    Pusher,
    World,
    check_commands,
    drive,
    spinning,
    states,
    world,
)

from diffusion_control import safety
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots import RobotState
from diffusion_control.safety import Health
from diffusion_control.safety.committed import at
from diffusion_control.safety.verify import moving_until
from diffusion_control.trajectory.trajectory import Trajectory

# --- arming and following -----------------------------------------------------------------

def test_the_first_command_is_the_measured_position() -> None:
    w = world()
    first = w.tick(None)
    assert first.send and first.state == 'HOLD' and first.command is not None
    assert np.abs(first.command.position - w.q).max() < 1e-3
    assert moving_until(first.command) == 0.0


def test_nothing_is_sent_before_the_robot_is_seen_at_rest() -> None:
    w = world()
    for state in (None, RobotState(ARM.home_rad, np.full(7, 0.5), w.now_s)):
        decision = w.tick(None, state=state)
        assert decision.command is None and not decision.send and not decision.verified
        assert decision.reason_code == 'not_armed' and decision.state != 'NOMINAL'


def test_follows_the_tracker_exactly() -> None:
    w = world()
    decisions = drive(w, 1.0)
    late = decisions[20:]
    assert states(decisions) == ['HOLD', 'NOMINAL']
    assert all(d.action == 'followed' and d.verified and not d.intervention for d in late)
    assert late[-1].counters.interventions <= 12 and late[-1].slack == 0.0
    check_commands(w, decisions)


def test_commands_join_without_a_jump() -> None:
    w = world()
    rng = np.random.default_rng(0)
    last: Trajectory | None = None
    for _ in range(150):
        decision = drive(w, 0.01, rng.uniform(-1, 1, 7))[0]
        if last is not None and decision.command is not None:
            now_s = decision.command.stamp_s
            for got, want in zip(at(decision.command, now_s)[:2], at(last, now_s)[:2],
                                 strict=True):
                np.testing.assert_allclose(got, want, atol=1e-6)
        last = decision.command


def test_a_motion_repeated_by_a_late_tracker_is_followed_on() -> None:
    w = spinning()
    pusher = Pusher(ARM.limits)
    assert w.monitor.committed is not None
    motion = pusher.motion(w.monitor.committed, w.now_s, SPIN)
    for _ in range(3):
        assert w.tick(motion, health=GOOD).action == 'followed'


@pytest.mark.parametrize('spoil', ['position', 'velocity', 'names', 'late', 'open'])
def test_a_motion_that_does_not_start_on_what_is_committed_is_refused(spoil: str) -> None:
    w = spinning()
    pusher = Pusher(ARM.limits)

    def spoiled(w: World) -> Trajectory:
        assert w.monitor.committed is not None
        good = pusher.motion(w.monitor.committed, w.now_s, SPIN)
        if spoil == 'position':
            return replace(good, position=good.position + 2e-3)
        if spoil == 'velocity':
            return replace(good, velocity=np.vstack([good.velocity[:-1] + 0.3,
                                                     good.velocity[-1:]]))
        if spoil == 'names':
            return replace(good, names=tuple(reversed(good.names)))
        if spoil == 'late':
            return replace(good, stamp_s=good.stamp_s + 1.0)
        return replace(good, velocity=good.velocity + 0.1)

    decisions = drive(w, 1.0, motion=spoiled)
    assert all(d.action in ('tail', 'hold', 'brake') for d in decisions)
    assert all(d.verified for d in decisions)
    assert np.abs(w.dq).max() < 1e-9 and decisions[-1].state in ('HOLD', 'EMERGENCY')
    check_commands(w, decisions)


# --- bad inputs ---------------------------------------------------------------------------

def bad_trajectory(kind: str) -> Callable[[World], object]:
    def make(w: World) -> object:
        assert w.monitor.committed is not None
        good = Pusher(ARM.limits).motion(w.monitor.committed, w.now_s, SPIN)
        if kind == 'text':
            return 'motion'
        field = {'nan': 'position', 'inf': 'velocity', 'nan_time': 'times_s'}.get(kind)
        if field is None:
            return replace(good, names=good.names[:3], position=good.position[:, :3],
                           velocity=good.velocity[:, :3], acceleration=good.acceleration[:, :3])
        getattr(good, field).flat[1] = math.inf if kind == 'inf' else math.nan
        return good
    return make


@pytest.mark.parametrize('kind', ['nan', 'inf', 'nan_time', 'shape', 'text'])
def test_a_malformed_motion_counts_as_missing(kind: str) -> None:
    w = spinning()
    decisions = drive(w, 0.6, motion=bad_trajectory(kind))
    assert all(d.action != 'followed' and d.verified for d in decisions)
    assert states(decisions) in (['NOMINAL', 'STOPPING', 'EMERGENCY'],
                                 ['NOMINAL', 'STOPPING', 'HOLD', 'EMERGENCY'])
    assert decisions[-1].counters.malformed == 60 and decisions[-1].counters.errors == 0
    assert np.abs(w.dq).max() == 0.0
    check_commands(w, decisions)


@pytest.mark.parametrize('bad', [
    RobotState(np.full(7, np.nan), np.zeros(7), 1000.0),
    RobotState(np.zeros(7), np.full(7, np.inf), 1000.0),
    RobotState(np.zeros(6), np.zeros(6), 1000.0),
    RobotState(np.zeros(7), np.zeros(7), math.nan),
    RobotState(np.zeros(7), np.zeros(7), 1e9),
    RobotState(np.zeros(7, dtype=object), np.zeros(7), 1000.0),
    None, 'state', 7.0, np.zeros(7)])
@pytest.mark.parametrize('health', [None, GOOD])
def test_a_malformed_state_counts_as_missing(bad: object, health: Health | None) -> None:
    w = spinning()
    decisions = drive(w, 0.6, state=lambda _: bad, health=health)
    assert decisions[-1].state == 'EMERGENCY' and decisions[-1].counters.errors == 0
    assert 'STOPPING' in states(decisions) and np.abs(w.dq).max() == 0.0
    check_commands(w, decisions)


@pytest.mark.parametrize('bad', [None, [], 'x', (1,), (None,)])
def test_malformed_obstacles_count_as_missing(bad: object) -> None:
    w = spinning()
    decisions = drive(w, 0.8, obstacles=lambda _: bad)
    assert states(decisions) == ['NOMINAL', 'STOPPING', 'HOLD']
    assert decisions[-1].reason_code == 'obstacles_stale'
    assert states(drive(w, 0.5)) == ['HOLD', 'NOMINAL']
    check_commands(w, decisions)


@pytest.mark.parametrize('now', [math.nan, math.inf, -math.inf, None, 'now'])
def test_a_useless_clock_ends_in_emergency_and_the_stored_tail(now: Any) -> None:
    w = spinning()
    before = w.monitor.committed
    assert before is not None
    decision = w.monitor.step(w.state(), None, (), now)
    assert decision.state == 'EMERGENCY' and decision.command is not None
    np.testing.assert_allclose(decision.command.position[-1], before.position[-1], atol=1e-9)


def test_no_exception_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    w = spinning()

    def fail(*_: object, **__: object) -> object:
        raise ZeroDivisionError('broken')

    monkeypatch.setattr(w.monitor._chooser, 'follow', fail)
    monkeypatch.setattr(w.monitor._chooser, 'stop', fail)
    monkeypatch.setattr(w.monitor._chooser, 'keep', fail)
    decisions = drive(w, 0.6)
    assert {d.state for d in decisions} == {'EMERGENCY'}
    assert decisions[0].reason_code == 'internal_error' and 'broken' in decisions[0].cause
    assert np.abs(w.dq).max() == 0.0 and decisions[-1].counters.errors == 60
    check_commands(w, decisions)


def test_a_raise_before_arming_sends_nothing() -> None:
    w = world()
    decision = w.monitor.step(None, None, (), math.nan)
    assert decision.command is None and not decision.send


# --- construction -------------------------------------------------------------------------

@pytest.mark.parametrize('params', [
    {'margin': 0.1}, {'margin_m': -0.1}, {'margin_m': math.nan}, {'braking_fraction': 0.0},
    {'state.stale_s': 5.0}, {'command_out_type': 'twist'}, {'shadow': 'yes'},
    {'rejected_limit': True}, {'lead_s': '0.04'}])
def test_bad_parameters_are_refused_by_name(params: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError) as error:
        safety.make(ARM, rate_hz=100.0, **params)
    assert next(iter(params)) in str(error.value)


def test_dotted_and_plain_names_are_the_same() -> None:
    a = safety.SafetyParameters.make(100.0, {'state.stale_s': 0.06, 'obstacles.stale_s': 0.1})
    b = safety.SafetyParameters.make(100.0, {'state_stale_s': 0.06, 'obstacles_stale_s': 0.1})
    assert a == b and a.thresholds.state_stale_s == 0.06
