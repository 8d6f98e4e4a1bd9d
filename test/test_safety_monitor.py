# SPDX-License-Identifier: Apache-2.0
"""The monitor in closed loop with an ideal robot: nothing unverified leaves, all faults stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safety_world import Mover, Pusher, World

from diffusion_control import robots, safety
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots import Obstacle, ObstacleArrays, RobotState
from diffusion_control.safety import Health, SafetyDecision
from diffusion_control.safety.committed import at
from diffusion_control.safety.verify import moving_until
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]

ARM = robots.load('panda')
SPIN = np.array([1.3, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
GOOD = Health(
    state_age_s=0.0, motion_age_s=0.0, obstacles_age_s=0.0, accepted_plan_age_s=0.1,
    confidence=0.9, planner_alive=True, fallback_alive=True, fallback_plan_age_s=0.3,
    own_gap_s=0.01)


def world(start_rad: Array | None = None, standing: tuple[Obstacle, ...] = (),
          **params: object) -> World:
    return World(ARM, safety.make(ARM, rate_hz=100.0, **params), standing=standing,
                 start_rad=start_rad, check=False)


def drive(
    w: World, seconds: float, velocity: Array | None = SPIN, **inputs: Any
) -> list[SafetyDecision]:
    """Run with a tracker that pushes towards a velocity (None: no tracker)."""
    pusher, out = Pusher(ARM), []
    for _ in range(round(seconds * 100)):
        committed = w.monitor.committed
        motion = None
        if committed is not None and velocity is not None:
            motion = pusher.motion(committed, w.now_s, velocity)
        values = {k: v(w) if callable(v) else v for k, v in inputs.items()}
        out.append(w.tick(**{'motion': motion, **values}))
    return out


def spinning() -> World:
    """Return a world whose robot moves at speed."""
    w = world()
    drive(w, 0.3)
    drive(w, 0.4)
    assert w.monitor.machine.state == 'NOMINAL' and np.abs(w.dq).max() > 1.0
    return w


def states(decisions: list[SafetyDecision]) -> list[str]:
    path: list[str] = []
    for decision in decisions:
        if not path or path[-1] != decision.state:
            path.append(decision.state)
    return path


def check_commands(w: World, decisions: list[SafetyDecision]) -> None:
    """Every command is complete and finite; the set-point at 1 kHz never breaks a limit."""
    for decision in decisions:
        command = decision.command
        assert command is not None and len(command.times_s) <= 40
        assert (command.velocity[-1] == 0.0).all() and np.isfinite(command.position).all()
    set_points = np.array(w.set_points)
    velocity = np.diff(set_points, axis=0) / 1e-3
    acceleration = np.diff(velocity, axis=0) / 1e-3
    assert (np.abs(velocity) <= ARM.limits.velocity_rad_s * 1.001).all()
    assert (np.abs(acceleration) <= ARM.limits.acceleration_rad_s2 * 1.01).all()


def rest_bound_s(speed: Array, monitor: safety.SafetyMonitor) -> float:
    """Return the contract's bound of the time from the first brake until rest [s]."""
    acceleration = 0.75 * ARM.limits.acceleration_rad_s2
    return float((np.abs(speed) / acceleration
                  + acceleration / ARM.limits.jerk_rad_s3).max()) + 0.01 + 0.1


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
    pusher = Pusher(ARM)
    assert w.monitor.committed is not None
    motion = pusher.motion(w.monitor.committed, w.now_s, SPIN)
    for _ in range(3):
        assert w.tick(motion, health=GOOD).action == 'followed'


@pytest.mark.parametrize('spoil', ['position', 'velocity', 'names', 'late', 'open'])
def test_a_motion_that_does_not_start_on_what_is_committed_is_refused(spoil: str) -> None:
    w = spinning()
    pusher = Pusher(ARM)

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
        good = Pusher(ARM).motion(w.monitor.committed, w.now_s, SPIN)
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


# --- the faults of the contract -----------------------------------------------------------

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


# --- obstacles ----------------------------------------------------------------------------

def ahead(w: World, angle: float) -> Obstacle:
    """Return a sphere around where the tool will be after joint 1 turned by `angle`."""
    q = w.q.copy()
    q[0] += angle
    return Obstacle('sphere', (0.06,), ARM.tool_pose(q)[0], key='jump')


def moving_contact(w: World, obstacles: tuple[Obstacle, ...]) -> float:
    """Return the least clearance over the set-points that moved [m]."""
    arrays = ObstacleArrays.pack(obstacles)
    rows = np.array(w.set_points)[::4]
    moved = np.abs(np.diff(rows, axis=0)).max(axis=1) > 1e-6
    return float(ARM.collision.path_clearance(
        rows[1:][moved], np.zeros(int(moved.sum())), arrays)[0].min())


def test_an_obstacle_ahead_is_approached_slower_and_not_touched() -> None:
    w = world()
    obstacle = ahead(w, 0.9)
    w.standing = (obstacle,)
    w.observed = w.observe()
    decisions = drive(w, 2.5)
    assert {'followed', 'slowed', 'tail', 'hold'} <= {d.action for d in decisions}
    assert all(d.verified for d in decisions)
    assert moving_contact(w, (obstacle,)) >= 0.0099
    assert decisions[-1].state == 'HOLD' and decisions[-1].reason_code == 'no_verified_step'
    assert decisions[-1].mode == 'planner' and decisions[-1].counters.slowed > 0
    check_commands(w, decisions)
    away = drive(w, 0.5, velocity=-SPIN)
    assert states(away) == ['HOLD', 'NOMINAL'] and w.dq[0] < -0.5


def test_an_obstacle_that_appears_ahead_makes_it_brake_at_once() -> None:
    w = spinning()
    w.set_points.clear()
    jumped = ahead(w, 0.42)
    w.standing = (jumped,)
    w.observed = w.observe()
    decisions = drive(w, 1.0)
    assert decisions[0].action in ('slowed', 'tail', 'brake')
    assert moving_contact(w, (jumped,)) > 0.0
    w.standing = ()
    assert drive(w, 0.5)[-1].state == 'NOMINAL'


def test_an_obstacle_on_the_stored_tail_gets_the_hardest_brake_and_is_counted() -> None:
    w = spinning()
    w.set_points.clear()
    jumped = ahead(w, 0.3)
    w.standing = (jumped,)
    w.observed = w.observe()
    decisions = drive(w, 1.0)
    assert decisions[0].counters.tail_invalidated == 1
    assert decisions[0].action == 'brake' and not decisions[0].verified
    assert np.abs(w.dq).max() == 0.0
    check_commands(w, decisions)


def test_standing_still_under_an_approaching_obstacle_is_counted() -> None:
    w = world()
    drive(w, 0.3, velocity=np.zeros(7))
    tool = ARM.tool_pose(w.q)[0]
    w.standing = (Obstacle('sphere', (0.1,), tool, key='0', may_move=True),)
    w.observed = w.observe()
    decision = drive(w, 0.1, velocity=np.zeros(7))[-1]
    assert decision.verified and decision.clearance_m < 0.0
    assert decision.counters.stood_in_contact > 0
    moved = drive(w, 0.5, velocity=SPIN)
    assert np.abs(w.dq).max() == 0.0 or moved[-1].verified


@pytest.mark.parametrize('seed', [3, 5, 7])
def test_a_reckless_tracker_among_turning_movers_touches_nothing_while_moving(seed: int) -> None:
    rng = np.random.default_rng(seed)
    movers = [Mover(Obstacle('sphere', (0.08,), np.array(place), key=str(k)), 0.45)
              for k, place in enumerate(((0.75, 0.3, 0.4), (0.2, -0.7, 0.5)))]
    standing = (Obstacle('box', (0.2, 0.2, 0.3), np.array([0.55, -0.3, 0.15]), key='b'),
                Obstacle('cylinder', (0.06, 0.5), np.array([-0.1, 0.5, 0.25]), key='c'))
    w = World(ARM, safety.make(ARM, rate_hz=100.0), movers=movers, standing=standing, seed=seed)
    decisions: list[SafetyDecision] = []
    for _ in range(6):
        decisions += drive(w, 0.4, rng.choice([-1.0, 1.0], 7) * ARM.limits.velocity_rad_s * 0.8)
    assert min(w.moving_clearance_m) > 0.0 and min(w.own_clearance_m) > 0.0
    assert len(w.moving_clearance_m) > 300
    set_points = np.array(w.set_points)
    assert (set_points >= ARM.limits.lower_rad).all()
    assert (set_points <= ARM.limits.upper_rad).all()
    check_commands(w, decisions)


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
