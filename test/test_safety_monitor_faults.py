# SPDX-License-Identifier: Apache-2.0
"""The faults of the contract in closed loop with an ideal robot: it stops, stands, comes back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from safety_world import (
    ARM,
    GOOD,
    check_commands,
    drive,
    rest_bound_s,
    spinning,
    states,
    world,
)

from diffusion_control.robots import RobotState
from diffusion_control.safety import SafetyDecision


def test_emergency_stop_brakes_in_the_same_tick_and_stands_in_time() -> None:
    w = spinning()
    speed = w.dq.copy()
    start_s = w.now_s
    first = drive(w, 0.01, health=replace(GOOD, emergency_stop=True))[0]
    assert first.state == 'EMERGENCY' and first.action == 'brake' and first.verified
    assert first.mode == 'stop' and first.intervention
    assert first.tail_s <= rest_bound_s(speed, w.monitor)
    decisions = drive(w, 0.6, health=GOOD)
    assert start_s + first.tail_s <= w.now_s and np.abs(w.dq).max() == 0.0
    assert {d.state for d in decisions} == {'EMERGENCY'}
    check_commands(w, [first, *decisions])
    assert states(drive(w, 0.01, health=replace(GOOD, reset_requested=True))) == ['HOLD']
    again = drive(w, 0.5, health=GOOD)
    assert states(again) == ['HOLD', 'NOMINAL'] and np.abs(w.dq).max() > 0.5
    check_commands(w, again)


def test_a_brake_is_chosen_once_and_then_finished() -> None:
    w = spinning()
    health = replace(GOOD, pause_requested=True)
    decisions = drive(w, 0.6, health=health)
    actions = [d.action for d in decisions]
    assert actions[0] == 'brake' and set(actions[1:]) == {'tail', 'hold'}
    first = decisions[0].command
    assert first is not None
    np.testing.assert_allclose(w.q, first.position[-1], atol=1e-9)


def test_tracker_silence_stops_then_latches() -> None:
    w = spinning()
    decisions = drive(w, 1.0, velocity=None)
    path = states(decisions)
    assert path[:2] == ['NOMINAL', 'STOPPING'] and path[-1] == 'EMERGENCY'
    stopped = next(k for k, d in enumerate(decisions) if d.state == 'STOPPING')
    assert stopped <= 5 and np.abs(w.dq).max() == 0.0
    check_commands(w, decisions)


def test_safety_dying_leaves_the_robot_at_rest_within_tail_s() -> None:
    w = spinning()
    last = drive(w, 0.01)[0]
    w.advance(int((last.tail_s + 0.001) * 1000) + 1)
    assert last.tail_s < 0.4 and np.abs(w.dq).max() == 0.0


def test_waking_after_a_gap_sends_nothing_until_reset() -> None:
    w = spinning()
    w.advance(3000)
    stood = w.q.copy()
    count = len(w.sent)
    decisions = drive(w, 0.01, health=replace(GOOD, own_gap_s=3.0))
    decisions += drive(w, 0.5, health=GOOD)
    assert {d.state for d in decisions} == {'EMERGENCY'}
    assert not any(d.send for d in decisions) and len(w.sent) == count
    np.testing.assert_array_equal(w.q, stood)
    drive(w, 0.01, health=replace(GOOD, reset_requested=True))
    back = drive(w, 0.5, health=GOOD)
    assert states(back) == ['HOLD', 'NOMINAL'] and np.abs(w.dq).max() > 0.5
    check_commands(w, back)


def test_own_gap_is_found_without_health_too() -> None:
    w = spinning()
    w.now_s += 0.25
    assert drive(w, 0.01)[0].reason_code == 'own_gap'


def test_a_paused_clock_keeps_the_stored_tail() -> None:
    w = spinning()
    before = w.monitor.committed
    assert before is not None
    state, now_s = w.state(), w.now_s
    for k in range(200):
        age = 0.01 * k
        health = replace(GOOD, state_age_s=age, motion_age_s=age, obstacles_age_s=age,
                         clock_paused=k > 4)
        decision = w.monitor.step(state, None, w.observed, now_s, health=health)
        assert decision.command is not None and decision.state in ('NOMINAL', 'STOPPING')
    assert decision.command is not None and decision.state == 'STOPPING'
    ahead_s = now_s + np.linspace(0.0, 0.6, 61)
    np.testing.assert_allclose(
        decision.command.sample_many(ahead_s)[0], before.sample_many(ahead_s)[0], atol=1e-6)
    w.sent.append((now_s, decision.command))
    resumed = drive(w, 0.01, health=replace(GOOD, state_age_s=2.0, motion_age_s=2.0))
    resumed += drive(w, 0.8, health=GOOD)
    assert states(resumed) == ['STOPPING', 'HOLD', 'NOMINAL']
    moving = [d for d in resumed if d.state == 'STOPPING']
    assert len(moving) > 10
    for decision in moving:
        assert decision.command is not None
        np.testing.assert_allclose(decision.command.position[-1], before.position[-1], atol=1e-6)
    check_commands(w, resumed)


def test_a_clock_that_goes_back_stops_without_a_jump() -> None:
    w = spinning()
    where = w.q.copy()
    committed = w.monitor.committed
    assert committed is not None
    w.now_s -= 50.0
    w.sent.clear()
    decision = w.tick(None, state=RobotState(w.q, w.dq, w.now_s), health=GOOD)
    assert decision.reason_code == 'clock_jumped' and decision.state == 'STOPPING'
    assert decision.command is not None
    assert np.abs(decision.command.position[0] - where).max() < 0.05
    assert np.abs(decision.command.velocity[0]).max() > 0.5
    assert states(drive(w, 1.0, velocity=np.zeros(7), health=GOOD))[-1] == 'NOMINAL'


def test_a_frozen_robot_stops_the_set_point_which_comes_back_to_it() -> None:
    w = spinning()
    w.frozen = True
    start_s = w.now_s
    decisions: list[SafetyDecision] = []
    while w.monitor.machine.state == 'NOMINAL' and w.now_s < start_s + 1.0:
        decisions += drive(w, 0.01)
    assert decisions[-1].reason_code == 'robot_not_following'
    assert w.now_s - start_s < 0.25
    decisions += drive(w, 1.0)
    w.set_points.clear()
    decisions += drive(w, 2.0)
    assert states(decisions) == ['NOMINAL', 'STOPPING', 'HOLD']
    assert np.abs(np.array(w.set_points) - w.q).max() < 1e-3
    check_commands(w, decisions)


@pytest.mark.parametrize('frozen_s', [1.0, 2.0, 2.11, 2.23])
def test_a_released_robot_does_not_jump_and_is_trusted_when_it_answers(frozen_s: float) -> None:
    w = spinning()
    w.frozen = True
    decisions = drive(w, frozen_s)
    w.frozen = False
    stood = w.q.copy()
    drive(w, 0.02)
    assert np.abs(w.q - stood).max() < 1e-3
    decisions += drive(w, 1.2)
    assert states(decisions) == ['NOMINAL', 'STOPPING', 'HOLD', 'NOMINAL']
    assert np.abs(w.dq).max() > 0.5
    check_commands(w, decisions)


def test_shadow_computes_and_sends_nothing() -> None:
    w = world(shadow=True)
    decisions = drive(w, 0.3, state=RobotState(ARM.home_rad, np.zeros(7), 1e3 + 0.15))
    assert not any(d.send for d in decisions) and decisions[-1].command is not None


def test_disarming_forgets_the_motion_but_not_an_emergency() -> None:
    w = spinning()
    w.monitor.disarm()
    assert w.monitor.committed is None and w.monitor.machine.state == 'HOLD'
    other = ARM.home_rad + 0.2
    decision = w.monitor.step(RobotState(other, np.zeros(7), w.now_s), None, (), w.now_s)
    assert decision.command is not None
    np.testing.assert_allclose(decision.command.position[0], other)
    w.monitor.step(None, None, (), w.now_s, health=replace(GOOD, emergency_stop=True))
    w.monitor.disarm()
    assert w.monitor.machine.state == 'EMERGENCY'
