# SPDX-License-Identifier: Apache-2.0
"""The state machine edge by edge, in simulated time."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
from safety_machine import DT, GOOD, LIMITS, MOVING, Run, contains

from diffusion_control.safety.health import Health
from diffusion_control.safety.state_machine import (
    DEGRADED,
    EMERGENCY,
    FALLBACK,
    HOLD,
    LEVEL,
    NOMINAL,
    STOPPING,
    Machine,
    advance,
    emergency,
    time_scale,
)


def test_starts_in_hold_and_needs_ten_good_cycles() -> None:
    machine = Machine()
    assert machine.state == HOLD and machine.mode == 'stop'
    for k in range(1, 11):
        machine = advance(machine, GOOD, DT, LIMITS)
        assert machine.state == (NOMINAL if k >= 10 else HOLD), k
    assert machine.mode == 'planner'


def test_one_bad_cycle_starts_the_count_anew() -> None:
    machine = Machine()
    for k in range(30):
        bad = k == 7
        machine = advance(machine, replace(GOOD, pause_requested=bad), DT, LIMITS)
        assert machine.state == (NOMINAL if k >= 17 else HOLD), k


def test_defaults_of_health_never_move_the_robot() -> None:
    run = Run(start=Health())
    assert run.machine.state in (HOLD, STOPPING, EMERGENCY)
    assert Run().go(0.02, replace(Health(), armed=True)).machine.mode == 'stop'


STOP_CAUSES: list[tuple[str, dict[str, Any], str]] = [
    ('joint_states_stale', {'state_age_s': 0.052}, 'joint_states stale 52 ms > 50 ms'),
    ('tracker_motion_stale', {'motion_age_s': 0.041}, 'tracker motion stale 41 ms > 40 ms'),
    ('obstacles_stale', {'obstacles_age_s': 0.21}, 'obstacles stale 210 ms > 200 ms'),
    ('scan_stale', {'scan_age_s': 0.4}, 'scan stale 400 ms > 300 ms'),
    ('map_stale', {'map_age_s': math.nan}, 'map stale'),
    ('clock_paused', {'clock_paused': True}, 'ROS time stands still'),
    ('clock_jumped', {'clock_jumped': True}, 'backwards'),
    ('paused', {'pause_requested': True}, 'safety/pause'),
    ('not_armed', {'armed': False}, 'not been seen at rest'),
    ('robot_not_following', {'follow_error_rad': 0.2}, '0.200 rad > 0.100 rad'),
    ('no_verified_step', {'unverified_s': 0.2}, 'no verified step'),
]
EMERGENCY_CAUSES: list[tuple[str, dict[str, Any]]] = [
    ('joint_states_lost', {'state_age_s': 0.21}), ('tracker_lost', {'motion_age_s': 0.21}),
    ('emergency_stop', {'emergency_stop': True}), ('stop_service', {'stop_requested': True}),
    ('own_gap', {'own_gap_s': 0.21}), ('own_gap', {'own_gap_s': math.nan})]


@pytest.mark.parametrize(('code', 'change', 'text'), STOP_CAUSES)
def test_each_stop_cause_stops_holds_and_recovers(
    code: str, change: dict[str, Any], text: str
) -> None:
    run = Run()
    run.go(0.01, replace(MOVING, **change))
    assert run.machine.state == STOPPING and run.machine.reason_code == code
    assert text in run.machine.cause
    assert run.machine.text().endswith('-> braking, hold')
    assert run.machine.mode == 'stop'
    run.go(0.2, replace(MOVING, **change))
    assert run.machine.state == STOPPING
    run.go(0.02, replace(GOOD, **change))
    assert run.machine.state == HOLD and run.machine.reason_code == code
    run.go(0.09, GOOD)
    assert run.machine.state == HOLD
    run.go(0.01, GOOD)
    assert run.machine.state == NOMINAL
    assert run.states == [STOPPING, HOLD, NOMINAL]


@pytest.mark.parametrize(('code', 'change', 'text'), STOP_CAUSES)
def test_a_stop_is_never_left_before_the_robot_stands(
    code: str, change: dict[str, Any], text: str
) -> None:
    run = Run().go(0.01, replace(MOVING, **change)).go(3.0, MOVING)
    assert run.states == [STOPPING]


@pytest.mark.parametrize(('code', 'change'), EMERGENCY_CAUSES)
@pytest.mark.parametrize('start', ['nominal', 'stopping', 'hold', 'fallback'])
def test_each_emergency_cause_latches(code: str, change: dict[str, Any], start: str) -> None:
    run = Run()
    if start == 'stopping':
        run.go(0.02, replace(MOVING, pause_requested=True))
    elif start == 'hold':
        run.go(0.05, replace(GOOD, pause_requested=True))
    elif start == 'fallback':
        run.go(0.02, replace(GOOD, rejected_in_row=3))
    run.go(0.01, replace(MOVING, **change))
    assert run.machine.state == EMERGENCY and run.machine.reason_code == code
    assert run.machine.mode == 'stop'
    run.go(20.0, GOOD)
    assert run.machine.state == EMERGENCY


def test_reset_only_at_rest_and_with_the_cause_gone() -> None:
    run = Run().go(0.01, replace(MOVING, emergency_stop=True))
    run.go(0.01, replace(GOOD, emergency_stop=True, reset_requested=True))
    assert run.machine.state == EMERGENCY and 'emergency_stop' in run.machine.reset_refusal
    run.go(0.01, replace(MOVING, reset_requested=True))
    assert run.machine.state == EMERGENCY and 'stand' in run.machine.reset_refusal
    run.go(0.01, replace(GOOD, reset_requested=True, state_age_s=1.0))
    assert run.machine.state == EMERGENCY and 'joint_states' in run.machine.reset_refusal
    run.go(0.01, replace(GOOD, reset_requested=True))
    assert run.machine.state == HOLD and run.machine.reset_refusal == ''
    run.go(0.2, GOOD)
    assert run.states == [EMERGENCY, HOLD, NOMINAL]


def test_reset_outside_of_emergency_does_nothing() -> None:
    for change in ({}, {'pause_requested': True}, {'rejected_in_row': 3}):
        plain = Run().go(0.3, replace(GOOD, **change))
        asked = Run().go(0.3, replace(GOOD, **change, reset_requested=True))
        assert plain.states == asked.states


def test_what_never_came_is_missing_not_lost() -> None:
    machine = Machine()
    silent = replace(GOOD, state_age_s=math.inf, motion_age_s=math.inf)
    for _ in range(500):
        machine = advance(machine, silent, DT, LIMITS)
    assert machine.state == HOLD and 'never received' in machine.cause
    for _ in range(20):
        machine = advance(machine, GOOD, DT, LIMITS)
    assert machine.state == NOMINAL
    machine = advance(machine, silent, DT, LIMITS)
    assert machine.state == EMERGENCY


def test_worst_finding_wins_whatever_the_order() -> None:
    changes: list[tuple[dict[str, Any], str]] = [
        ({'rejected_in_row': 3}, FALLBACK), ({'confidence': 0.0}, DEGRADED),
        ({'obstacles_age_s': 1.0}, STOPPING), ({'emergency_stop': True}, EMERGENCY)]
    for some in itertools.chain.from_iterable(
            itertools.combinations(changes, n) for n in range(1, 5)):
        merged: dict[str, Any] = {}
        for change, _ in some:
            merged.update(change)
        expected = max((state for _, state in some), key=lambda s: LEVEL[s])
        assert Run().go(0.01, replace(MOVING, **merged)).machine.state == expected, merged


@pytest.mark.parametrize('field', [
    'state_age_s', 'motion_age_s', 'obstacles_age_s', 'follow_error_rad', 'unverified_s',
    'accepted_plan_age_s', 'confidence', 'own_gap_s'])
def test_nan_is_never_good(field: str) -> None:
    change: dict[str, Any] = {field: math.nan}
    run = Run().go(1.0, replace(GOOD, **change))
    assert run.machine.state != NOMINAL


def test_degraded_for_low_and_for_missing_confidence() -> None:
    run = Run().go(0.01, replace(GOOD, confidence=0.05))
    assert run.machine.state == DEGRADED and 'confidence 0.05 < 0.10' in run.machine.cause
    assert time_scale(run.machine, GOOD, LIMITS) == 0.5 and run.machine.mode == 'planner'
    run.go(0.11, GOOD)
    assert run.machine.state == NOMINAL and time_scale(run.machine, GOOD, LIMITS) == 1.0
    late = Run().go(0.6, replace(GOOD, confidence=None))
    assert late.machine.state == DEGRADED and 'missing' in late.machine.cause


def test_flickering_confidence_ends_in_fallback_only_while_it_is_bad() -> None:
    run = Run().go(2.0, lambda t: replace(GOOD, confidence=0.0 if int(t * 20) % 2 else 0.9))
    assert contains(run.states, [DEGRADED, FALLBACK])
    just_recovered = Run().go(0.95, replace(GOOD, confidence=0.0)).go(1.0, GOOD)
    assert just_recovered.states == [DEGRADED, NOMINAL]


def test_no_goal_expects_no_plan_and_a_new_goal_gets_its_time() -> None:
    idle = replace(GOOD, goal_active=False, accepted_plan_age_s=60.0, confidence=None)
    run = Run().go(5.0, idle)
    assert run.states == []
    waiting = replace(idle, goal_active=True)
    run.go(0.40, waiting)
    assert run.states == []
    run.go(0.10, waiting)
    assert run.states == [DEGRADED]
    said_idle = Run().go(5.0, replace(waiting, planner_idle=True))
    assert said_idle.states == []


def test_fallback_is_slow_until_its_plan_is_there() -> None:
    run = Run().go(0.1, replace(GOOD, rejected_in_row=3, fallback_plan_age_s=5.0))
    assert run.machine.state == FALLBACK and run.machine.mode == 'fallback'
    assert time_scale(run.machine, replace(GOOD, fallback_plan_age_s=5.0), LIMITS) == 0.5
    assert time_scale(run.machine, replace(GOOD, fallback_plan_age_s=0.02), LIMITS) == 1.0


def test_planner_lost_stays_lost_through_another_stop() -> None:
    dead = replace(GOOD, accepted_plan_age_s=math.inf, confidence=None, planner_alive=False)
    run = Run().go(2.0, dead).go(1.0, replace(dead, obstacles_age_s=1.0)).go(0.5, dead)
    assert run.states == [DEGRADED, FALLBACK, STOPPING, HOLD, FALLBACK]
    run.go(3.0, replace(dead, goal_active=False))
    assert run.machine.state == FALLBACK
    run.go(0.2, GOOD)
    assert run.machine.state == NOMINAL


def test_both_plan_sources_dead_holds_until_one_is_back() -> None:
    dead = replace(GOOD, accepted_plan_age_s=math.inf, fallback_alive=False)
    run = Run().go(3.0, dead)
    assert run.states == [DEGRADED, FALLBACK, STOPPING, HOLD]
    assert run.machine.reason_code == 'plan_sources_dead'
    run.go(0.3, replace(dead, fallback_alive=True))
    assert run.machine.state == FALLBACK


def test_a_stop_for_another_reason_does_not_count_against_the_planner() -> None:
    starved = replace(GOOD, obstacles_age_s=1.0, accepted_plan_age_s=9.0, confidence=None)
    run = Run().go(3.0, starved).go(0.3, replace(GOOD, accepted_plan_age_s=9.0))
    assert run.states == [STOPPING, HOLD, NOMINAL]


def test_steady_thresholds_follow_the_real_time_factor() -> None:
    slow = replace(GOOD, real_time_factor=0.25)
    aged: dict[str, Any] = {'state_age_s': 0.19, 'motion_age_s': 0.15, 'obstacles_age_s': 0.7,
                            'accepted_plan_age_s': 1.7}
    assert Run().go(1.0, replace(slow, **aged)).states == []
    assert Run().go(0.1, replace(slow, state_age_s=0.21)).states[0] == STOPPING
    unknown = replace(GOOD, real_time_factor=math.nan)
    assert Run().go(0.1, replace(unknown, state_age_s=0.06)).states[0] == STOPPING
    floor = replace(GOOD, real_time_factor=0.0)
    assert Run().go(0.1, replace(floor, state_age_s=0.49)).states == []
    assert Run().go(0.1, replace(floor, state_age_s=0.51)).states[0] == STOPPING


def test_standing_for_lack_of_a_verified_step_keeps_the_tracker_proposing() -> None:
    run = Run().go(0.1, replace(GOOD, unverified_s=0.2))
    assert run.machine.state == HOLD and run.machine.mode == 'planner'
    run.go(0.05, replace(GOOD, unverified_s=0.2, state_age_s=0.1))
    assert run.machine.mode == 'stop'


def test_internal_error_latches() -> None:
    machine = emergency(Run().machine, 'internal_error', 'ValueError: x')
    assert machine.state == EMERGENCY
    assert emergency(machine, 'other', 'y') is machine
