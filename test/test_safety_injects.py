# SPDX-License-Identifier: Apache-2.0
"""Every inject of the contract, as the state machine sees it, in simulated time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from safety_machine import DT, GOOD, LIMITS, MOVING, Run, contains

from diffusion_control.safety.health import Health
from diffusion_control.safety.state_machine import (
    DEGRADED,
    EMERGENCY,
    FALLBACK,
    HOLD,
    NOMINAL,
    STOPPING,
)


def lost_planner(t: float) -> Health:
    return replace(MOVING, accepted_plan_age_s=0.1 + t, planner_alive=False)


def test_inject_planner_kill() -> None:
    run = Run().go(6.0, lost_planner)
    assert run.states == [DEGRADED, FALLBACK]
    assert run.when(DEGRADED) <= 2 * 0.2 + 0.05 + DT
    assert run.when(FALLBACK) - run.when(DEGRADED) == pytest.approx(1.0, abs=2 * DT)


def test_inject_planner_kill_with_fallback_hold() -> None:
    limits = replace(LIMITS, fallback_holds=True)
    run = Run(limits).go(6.0, lambda t: replace(lost_planner(t), at_rest=t > 2.0))
    assert contains(run.states, [DEGRADED, FALLBACK])
    assert run.machine.state == HOLD and run.machine.reason_code == 'fallback_hold'


def test_inject_fallback_kill() -> None:
    assert Run().go(5.0, replace(MOVING, fallback_alive=False)).states == []


def test_inject_plan_nan() -> None:
    def one_rejected(t: float) -> Health:
        if t < 0.2:
            return replace(MOVING, accepted_plan_age_s=0.2 + t, rejected_in_row=1)
        return replace(MOVING, accepted_plan_age_s=(t - 0.2) % 0.2)
    assert Run().go(3.0, one_rejected).states == []


def test_inject_plan_nan_3() -> None:
    def three_rejected(t: float) -> Health:
        if t < 0.6:
            return replace(MOVING, accepted_plan_age_s=0.2 + t, rejected_in_row=1 + int(t / 0.2))
        return replace(MOVING, accepted_plan_age_s=(t - 0.6) % 0.2)
    run = Run().go(3.0, three_rejected)
    assert contains(run.states, [FALLBACK, NOMINAL]) and run.machine.state == NOMINAL


def test_inject_tracker_kill() -> None:
    run = Run().go(5.0, lambda t: replace(MOVING, motion_age_s=t, at_rest=t >= 0.4))
    assert run.states == [STOPPING, EMERGENCY]
    assert run.when(STOPPING) < 0.065 and run.when(EMERGENCY) < 0.225


@pytest.mark.parametrize('gap_s', [0.25, 3.0])
def test_inject_safety_hang_wakes_into_a_silent_emergency(gap_s: float) -> None:
    run = Run().go(0.01, replace(MOVING, own_gap_s=gap_s))
    assert run.machine.state == EMERGENCY and run.machine.silent
    run.go(5.0, GOOD)
    assert run.machine.state == EMERGENCY and run.machine.silent
    run.go(0.01, replace(GOOD, reset_requested=True))
    assert not run.machine.silent


def test_waking_in_an_older_emergency_is_silent_too() -> None:
    run = Run().go(0.01, replace(MOVING, emergency_stop=True))
    assert not run.machine.silent
    run.go(0.01, replace(MOVING, own_gap_s=3.0))
    assert run.machine.silent


def test_inject_emergency_stop() -> None:
    run = Run().go(0.01, replace(MOVING, emergency_stop=True)).go(5.0, GOOD)
    assert run.states == [EMERGENCY]


@pytest.mark.parametrize('tail_s', [0.1, 0.4])
def test_inject_joint_states_stop(tail_s: float) -> None:
    def gone(t: float) -> Health:
        return replace(MOVING, state_age_s=t if t < 5.0 else 0.005, at_rest=t > tail_s)
    run = Run().go(8.0, gone)
    assert contains(run.states, [STOPPING, EMERGENCY]) and run.machine.state == EMERGENCY
    assert run.when(STOPPING) <= 0.05 + 0.03


def test_inject_obstacles_stop() -> None:
    def gone(t: float) -> Health:
        return replace(MOVING, obstacles_age_s=t if t < 2.0 else 0.02, at_rest=t > 0.6)
    run = Run().go(4.0, gone)
    assert run.states == [STOPPING, HOLD, NOMINAL]
    assert run.when(STOPPING) <= 0.2 + 0.03


def test_inject_obstacle_jump() -> None:
    def blocked(t: float) -> Health:
        return replace(MOVING, unverified_s=t if t < 3.0 else 0.0, at_rest=t > 0.4)
    run = Run().go(5.0, blocked)
    assert run.states == [STOPPING, HOLD, NOMINAL]


def test_inject_robot_frozen() -> None:
    def frozen(t: float) -> Health:
        error = min(1.1 * t, 0.2) if t < 1.0 else 0.0
        return replace(MOVING, follow_error_rad=error, at_rest=t > 0.5)
    run = Run().go(4.0, frozen)
    assert run.states == [STOPPING, HOLD, NOMINAL] and run.when(STOPPING) <= 0.25


def test_inject_clock_pause() -> None:
    def paused(t: float) -> Health:
        """/clock stands from 0 to 2 s; noticed after 50 ms; then all inputs come again."""
        stands = 0.05 < t < 2.0
        age = t if t < 2.03 else 0.005
        return replace(MOVING, clock_paused=stands, state_age_s=age, motion_age_s=age,
                       obstacles_age_s=age, accepted_plan_age_s=age, at_rest=t > 2.3)
    run = Run().go(5.0, paused)
    assert contains(run.states, [STOPPING, NOMINAL]) and run.machine.state == NOMINAL
    assert EMERGENCY not in run.states and run.when(STOPPING) <= 0.05 + 0.03


def test_joint_states_that_stay_away_after_a_clock_pause_are_lost() -> None:
    run = Run().go(1.0, replace(GOOD, clock_paused=True, state_age_s=1.0))
    run.go(0.19, replace(GOOD, state_age_s=1.2))
    assert run.machine.state == HOLD
    run.go(0.05, replace(GOOD, state_age_s=1.4))
    assert run.machine.state == EMERGENCY


def test_inject_cpu_hog() -> None:
    def late(t: float) -> Health:
        return replace(MOVING, state_age_s=0.03, motion_age_s=0.035, own_gap_s=0.06,
                       accepted_plan_age_s=0.4)
    assert Run().go(5.0, late).states == []
