# SPDX-License-Identifier: Apache-2.0
"""`bench tracking` on a small scale, and the property that it pins: no jump, no limit broken."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError, MissingDependencyError
from diffusion_control.evaluation import bench_tracking as bench
from diffusion_control.evaluation import bench_tracking_crocoddyl as crocoddyl
from diffusion_control.evaluation import bench_tracking_quality as quality
from diffusion_control.evaluation import benches
from diffusion_control.evaluation.bench_tracking_checks import REQUIRED, of_part, result_of
from diffusion_control.evaluation.bench_tracking_modes import FORGOTTEN, KEPT, modes_row
from diffusion_control.evaluation.bench_tracking_peers import peer_rows
from diffusion_control.evaluation.bench_tracking_switch import KINDS, switching
from diffusion_control.evaluation.bench_tracking_ticks import time_ticks
from diffusion_control.evaluation.bench_tracking_warm import (
    CLASSES,
    EVENTS,
    shift_of_work,
    warm_starts,
)
from diffusion_control.evaluation.bench_tracking_world import (
    START_S,
    command_violations,
    pair_of,
    quintic_plan,
    resting,
    spliced,
)
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.tracking.parameters import TrackerParameters
from diffusion_control.tracking.protocol import WARM_STARTS

ARM = robots.load('panda')
TINY = bench.Amount(40, 10, 60, 8, 60, 100)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 800), st.integers(0, 10**6))
def test_a_switch_never_jumps_and_no_command_breaks_a_limit(
    kind: str, latency_ms: int, seed: int
) -> None:
    """Any latency, plans early and late, flips between equal modes, plans that start elsewhere."""
    row = switching(ARM, 'mpc', kind, 1e-3 * latency_ms, ticks=130, seed=seed)
    assert row['switches'] > 0
    assert row['jump_rad'] <= 1e-3 and row['velocity_jump_rad_s'] <= 1e-3
    assert row['velocity_step_share'] <= 1.0
    assert not any(row['violations'].values())


def test_naive_switching_does_jump() -> None:
    row = switching(ARM, 'mpc', 'flips', 0.4, ticks=150, seed=0)
    assert row['naive_jump_rad'] > 0.05 and row['naive_velocity_jump_rad_s'] > 0.5


def test_a_planner_that_knows_its_plan_does_not_flip_between_modes() -> None:
    kept, forgotten = (
        modes_row('panda', 'mpc', kind, ticks=400, seed=2) for kind in (KEPT, FORGOTTEN))
    assert kept['flips'] / kept['goals'] < 0.3 * forgotten['flips'] / forgotten['goals']
    assert kept['goals'] > forgotten['goals'], 'flips cost time'
    for row in (kept, forgotten):
        assert row['switches'] > 15 and row['jump_rad'] <= 1e-3
        assert row['velocity_step_share'] <= 1.0 and not any(row['violations'].values())


def test_a_plan_reaches_its_goal_and_uses_the_asked_share_of_the_limits() -> None:
    goal = ARM.home_rad + 0.5
    plan = quintic_plan(ARM, resting(ARM.home_rad), START_S, goal, 1.0)
    _, velocity, acceleration = plan.sample_many(np.linspace(plan.start_s, plan.end_s, 500))
    used = max((np.abs(velocity) / ARM.limits.velocity_rad_s).max(),
               (np.abs(acceleration) / ARM.limits.acceleration_rad_s2).max())
    assert 0.95 < used < 1.1
    np.testing.assert_allclose(plan.position[-1], goal)


def test_violations_are_counted_by_limit() -> None:
    still = np.repeat(ARM.home_rad[None], 20, axis=0)
    zero = np.zeros_like(still)
    assert not any(command_violations(ARM, still, zero, zero).values())
    fast, out = zero.copy(), still.copy()
    fast[3:6, 2] = fast[9:, 2] = 1.01 * ARM.limits.velocity_rad_s[2]
    out[0, 1] = ARM.limits.upper_rad[1] + 1e-3
    found = command_violations(ARM, out, fast, zero)
    assert found == {'position': 1, 'velocity': 2, 'acceleration': 0, 'torque': 0}


def test_two_arms_are_one_robot_with_twice_the_joints() -> None:
    both, rng = pair_of(ARM), np.random.default_rng(0)
    q, v, a = (np.concatenate((ARM.home_rad, ARM.home_rad)) + rng.normal(0, 0.1, 14),
               rng.normal(0, 1, 14), rng.normal(0, 1, 14))
    torque = both.mass_matrix(q) @ a + both.bias(q, v)
    np.testing.assert_allclose(torque, both.inverse_dynamics(q, v, a), atol=1e-9)
    np.testing.assert_allclose(both.torque_slopes(q, v, a)[0], torque, atol=1e-9)


def test_a_shift_of_work_has_every_class() -> None:
    asked = shift_of_work(ARM, 260, 0)
    kinds = {one.kind for one in asked}
    assert kinds == set(CLASSES)
    assert all(sum(one.kind == kind for one in asked) >= 6 for kind in EVENTS)


def test_every_warm_start_is_asked_every_problem() -> None:
    rows = warm_starts('panda', 'mpc', 'hard', ticks=230, seed=0)
    assert len(rows) == len(CLASSES) * len(WARM_STARTS)
    ticks = {(row['class'], row['ticks']) for row in rows}
    assert len(ticks) == len(CLASSES), 'the same ticks for each warm start'
    events = [row for row in rows if row['class'] in EVENTS]
    spent = {name: sum(row['iterations_mean'] * row['ticks'] for row in events
                       if row['warm_start'] == name) for name in WARM_STARTS}
    assert spent['best'] < 0.8 * spent['cold']


def test_ours_are_among_the_solvers() -> None:
    rows = peer_rows('panda', problems=12, seed=0)
    assert [row['solver'] for row in rows[:2]] == ['mpc', 'mpc_osqp']
    assert rows[0]['error_p99_rad_s2'] == 0.0 and rows[0]['solved'] == 12


@pytest.mark.parametrize(('joints', 'horizon'), [(6, 20), (14, 10), (None, 40)])
def test_ticks_are_timed_for_other_robots_and_horizons(
    joints: int | None, horizon: int
) -> None:
    row = time_ticks(
        'panda', 'mpc', 'hard', ticks=12, seed=0, joints=joints, horizon=horizon)
    assert row['solved_share'] == 1.0 and row['joints'] == (joints or 7)
    assert row['cpu_p50_s'] <= row['cpu_p99_s'] <= row['cpu_p100_s']
    assert not row['usual'] and not any(row['violations'].values())


def test_the_observer_earns_its_share_under_a_payload() -> None:
    kept = quality.quality_row('panda', 'mpc', 'payload', 'smooth', ticks=260, seed=1)
    lost = quality.quality_row(
        'panda', 'mpc' + quality.WITHOUT, 'payload', 'smooth', ticks=260, seed=1)
    assert kept['time_rms_m'] < lost['time_rms_m'] and kept['time_rms_m'] < 2e-3
    assert not any(kept['violations'].values())


def test_infeasible_plans_sent_as_they_are_break_limits() -> None:
    row = quality.quality_row('panda', quality.DIRECT, 'default', 'infeasible', ticks=150, seed=0)
    assert row['violations']['velocity'] > 0 and row['truth_velocity_share'] > 1.2


def test_the_whole_bench_says_what_the_contract_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, 'QUICK', TINY)
    monkeypatch.setattr(quality, 'PLANS', ('smooth',))
    monkeypatch.setattr(quality, 'TRACKERS', ('mpc', quality.DIRECT))
    monkeypatch.delenv(crocoddyl.VARIABLE, raising=False)
    monkeypatch.setattr(bench.switch, 'LATENCIES_MS', (0, 400))
    options = bench.BenchTrackingOptions(quick=True, out=tmp_path, command='x')
    result = bench.bench_tracking(options)
    assert set(REQUIRED) <= {check['name'] for check in result['checks']}
    assert result['failed'] == []
    stored = json.loads((tmp_path / 'bench_tracking-panda' / 'result.json').read_text())
    assert stored == result
    again = bench.bench_tracking(bench.BenchTrackingOptions(
        quick=True, out=tmp_path, command='x', resume=True))
    assert again['rows'] == result['rows'], 'nothing is measured twice'


def rows_of(**cpu: float) -> list[dict[str, Any]]:
    return [{'part': 'warm', 'name': 'x', 'rows': [
        {'tracker': 'mpc', 'load': 'hard', 'class': 'recovery', 'warm_start': name, 'ticks': 6000,
         'iterations_mean': 1.0, 'limited_share': 1.0, 'cpu_mean_s': value, 'cpu_p99_s': value,
         'plan_share': 0.0, 'solved': 6000} for name, value in cpu.items()]}]


@pytest.mark.parametrize('quick', [True, False])
def test_the_gain_fails_where_the_default_is_not_the_best(quick: bool) -> None:
    from diffusion_control import parameters
    default = str(parameters.defaults('tracker')['warm_start'])
    cpu = dict.fromkeys(WARM_STARTS, 2e-4)
    for value, expected in ((1e-4, True), (4e-4, False)):
        result = result_of(
            rows_of(**{**cpu, default: value}), commit='', command='', quick=quick)
        found = {check['name']: check for check in result['checks']}['warm_start_gain']
        assert found['ok'] is (None if quick else expected)
    assert of_part(result['rows'], 'warm')


def test_episodes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match='episodes'):
        bench.BenchTrackingOptions(episodes=3)


def test_all_benches_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(what: str, model: str, options: dict[str, Any]) -> Any:
        return lambda: {
            'schema_version': 1, 'rows': [{'n': what}], 'checks': [{'name': what}],
            'failed': [what] if what == 'safety' else []}

    monkeypatch.setattr(benches, '_prepared', one)
    result = benches.run_bench(benches.ALL, '')
    assert [row['bench'] for row in result['rows']] == list(benches.BENCHES)
    assert [check['name'] for check in result['checks']] == list(benches.BENCHES)
    assert result['failed'] == ['safety']


def test_a_spliced_command_goes_on_as_before_until_the_motion_starts() -> None:
    old = quintic_plan(ARM, resting(ARM.home_rad), START_S, ARM.home_rad + 0.4, 0.8)
    there = old.sample(START_S + 0.22)
    motion = quintic_plan(ARM, there, START_S + 0.22, ARM.home_rad - 0.2, 0.8)
    sent = spliced(old, motion, START_S + 0.2)
    assert sent.start_s == START_S + 0.2 and sent.end_s == pytest.approx(motion.end_s)
    before, after = START_S + np.linspace(0.2, 0.2199, 9), START_S + np.linspace(0.2201, 0.9, 50)
    np.testing.assert_allclose(
        np.array(sent.sample_many(before)[:2]), np.array(old.sample_many(before)[:2]), atol=1e-6)
    np.testing.assert_allclose(
        sent.sample_many(after)[0], motion.sample_many(after)[0], atol=1e-9)
    assert spliced(None, motion, START_S) is motion


def test_goals_in_the_simulation_are_reached_without_touching_anything() -> None:
    rng, here = np.random.default_rng(0), np.asarray(ARM.home_rad)
    for _ in range(12):
        goal = quality.free_goal(ARM, here, rng)
        way = here + np.linspace(0.0, 1.0, 60)[:, None] * (goal - here)
        clear = ARM.collision.path_clearance(way, np.zeros(60), ObstacleArrays.pack(()))[1]
        assert float(np.min(clear)) > 0.015 and np.abs(goal - here).max() > 0.1
        here = goal


def test_with_soft_drives_a_payload_costs_millimetres_that_the_observer_takes_back() -> None:
    rows = {(name, plant): quality.quality_row('panda', name, plant, 'smooth', ticks=260, seed=1)
            for plant in (quality.SOFT, quality.SOFT_PAYLOAD)
            for name in ('mpc', 'mpc' + quality.WITHOUT)}
    lost, kept = (rows[name, quality.SOFT_PAYLOAD] for name in ('mpc' + quality.WITHOUT, 'mpc'))
    assert lost['rest_rms_m'] > 5e-3 and kept['rest_rms_m'] < 0.5 * lost['rest_rms_m']
    light = rows['mpc' + quality.WITHOUT, quality.SOFT]
    assert light['rest_rms_m'] < 0.5 * lost['rest_rms_m']
    found = {check['name']: check for check in result_of(
        [{'part': 'quality', **row} for row in rows.values()], commit='', command='',
        quick=False)['checks']}
    assert found['payload_error_without_observer_m']['value'] == lost['time_rms_m']
    assert found['observer_share']['value'] > 0.0


def test_crocoddyl_is_absent_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(crocoddyl.VARIABLE, raising=False)
    row = quality.quality_row('panda', quality.PEERS[0], 'default', 'smooth', ticks=5, seed=0)
    assert 'not installed' in row[quality.ABSENT]


PEER = """
import json, sys
import numpy as np
asked = json.loads(sys.stdin.buffer.readline())
if asked['iterations'] == 7:
    print(json.dumps({'error': 'gravity of crocoddyl is 9 Nm from that of pin.rnea'}))
    sys.exit(1)
n, knots = len(asked['joint_names']), asked['steps'] + 1
sys.stdout.buffer.write(b'{"ok": true}\\n'); sys.stdout.buffer.flush()
size = 8 * (1 + 2 * n + 3 * knots * n)
while len(data := sys.stdin.buffer.read(size)) == size:
    frame = np.frombuffer(data)
    q, v = frame[1:1 + n], frame[1 + n:1 + 2 * n]
    r = frame[1 + 2 * n:].reshape(3, knots, n)
    out = []
    for k in range(knots - 1):
        a = r[2, k] + 400 * (r[0, k] - q) + 40 * (r[1, k] - v)
        q, v = q + 0.02 * v + 0.0002 * a, v + 0.02 * a
        out.append(a)
    sys.stdout.buffer.write(np.concatenate(([3, 1e-4], np.ravel(out))).tobytes())
    sys.stdout.buffer.flush()
"""


def test_a_peer_in_a_process_of_its_own_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'peer.py').write_text(PEER)
    monkeypatch.setattr(crocoddyl, 'SCRIPT', tmp_path / 'peer.py')
    monkeypatch.setenv(crocoddyl.VARIABLE, sys.executable)
    row = quality.quality_row('panda', quality.PEERS[0], 'default', 'smooth', ticks=150, seed=0)
    assert row['path_rms_m'] < 5e-3 and row['time_rms_m'] < 0.02
    with pytest.raises(MissingDependencyError, match='9 Nm'):
        crocoddyl.CrocoddylPolicy(ARM, TrackerParameters(), 7)


@pytest.mark.skipif(
    not os.environ.get(crocoddyl.VARIABLE), reason=f'{crocoddyl.VARIABLE} names no python')
def test_crocoddyl_follows_a_plan() -> None:
    row = quality.quality_row('panda', quality.PEERS[1], 'default', 'smooth', ticks=120, seed=0)
    assert row['path_rms_m'] < 0.01 and row['truth_torque_share'] < 1.0
