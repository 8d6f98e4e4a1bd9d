# SPDX-License-Identifier: Apache-2.0
"""The adversarial episodes and `bench safety`, on a small scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation import bench_safety as bench
from diffusion_control.evaluation.adversarial_episode import (
    ARRANGEMENTS,
    FILTER,
    FULL,
    OFF,
    TAIL,
    Adversarial,
    run_adversarial,
)
from diffusion_control.evaluation.adversary import KINDS, Adversary
from diffusion_control.evaluation.arm_hostile import HostileArm
from diffusion_control.evaluation.base.adversary import KINDS as BASE_KINDS
from diffusion_control.evaluation.base.adversary import BaseAdversary
from diffusion_control.evaluation.base.drive_limits import too_fast
from diffusion_control.evaluation.base.hostile import HostileBase
from diffusion_control.evaluation.base.pusher import BasePusher
from diffusion_control.evaluation.bench_safety import (
    TIMING,
    BenchSafetyOptions,
    _key,
    _tasks,
)
from diffusion_control.evaluation.bench_safety_checks import REQUIRED, result_of
from diffusion_control.evaluation.benches import robot_to_bench
from diffusion_control.evaluation.hostile import hostility_of
from diffusion_control.evaluation.side import Sight
from diffusion_control.robots import Obstacle
from diffusion_control.robots.obstacles import ObstacleArrays
from diffusion_control.simulation.wanderer import SEGMENT_S, Wanderer
from diffusion_control.trajectory.trajectory import Trajectory

ARM = robots.load_arm('panda')
BASE = robots.load_base('base')
TIMED = HostileArm.timed


@pytest.mark.parametrize('seed', range(8))
def test_a_wanderer_keeps_to_the_published_bounds(seed: int) -> None:
    start = Obstacle('sphere', (0.1,), np.array([0.5, 0.0, 0.5]),
                     velocity_m_s=np.array([0.0, 0.5, 0.0]))
    wanderer = Wanderer.of(start, np.random.default_rng(seed))
    times = np.arange(-0.1, 20.0, 0.004)
    states = [wanderer.at(time) for time in times]
    position, velocity = (np.array([state[k] for state in states]) for k in (0, 1))
    assert np.linalg.norm(velocity, axis=1).max() <= 0.5 + 1e-9
    change = np.linalg.norm(np.diff(velocity, axis=0), axis=1) / 0.004
    assert change.max() <= 2.0 and change.max() > 1.5
    np.testing.assert_allclose(
        np.diff(position, axis=0), 0.004 * (velocity[1:] + velocity[:-1]) / 2, atol=1e-5)
    first = velocity[(times > 0.0) & (times < SEGMENT_S)]
    assert (first[:, 1] > 0.0).all() and not first[:, [0, 2]].any()
    assert SEGMENT_S * len(wanderer.position_m) > 20.0
    again = Wanderer.of(start, np.random.default_rng(seed))
    np.testing.assert_array_equal(again.position_m, wanderer.position_m)


@pytest.mark.parametrize('kind', KINDS)
def test_an_adversary_stays_within_the_joint_limits(kind: str) -> None:
    random = np.random.default_rng(3)
    scene = HostileArm(ARM).scene(3, random)
    adversary = Adversary(ARM, kind, random)
    q = np.array(scene.start_rad)
    for tick in range(500):
        velocity = adversary.velocity(q, Sight(scene.obstacles), 0.01 * tick)
        assert (np.abs(velocity) <= 0.9 * ARM.limits.velocity_rad_s + 1e-9).all()
        q = q + 0.01 * velocity
        assert (q >= ARM.limits.lower_rad).all() and (q <= ARM.limits.upper_rad).all()
    assert np.abs(q - np.array(scene.start_rad)).max() > 0.02


@pytest.mark.parametrize(('robot', 'movers'), [(ARM, 2), (BASE, 3)])
def test_a_hostile_scene_has_movers_within_their_bounds(robot: Any, movers: int) -> None:
    for seed in range(5):
        scene = hostility_of(robot).scene(seed, np.random.default_rng(seed))
        speeds = [float(np.linalg.norm(o.velocity_m_s)) for o in scene.obstacles]
        assert sum(speed > 0 for speed in speeds) == movers and max(speeds) <= 0.5
        packed = ObstacleArrays.pack(scene.obstacles)
        assert robot.collision.clearance(np.asarray(scene.start_rad), packed)[0] > 0.0


@pytest.mark.parametrize('kind', BASE_KINDS)
def test_an_adversary_of_a_base_stays_within_its_drive(kind: str) -> None:
    random = np.random.default_rng(5)
    scene = HostileBase(BASE).scene(5, random)
    adversary = BaseAdversary(BASE, kind, random)
    twists = np.array([
        adversary.velocity(np.asarray(scene.start_rad), Sight(scene.obstacles), 0.01 * tick)
        for tick in range(200)])
    assert not too_fast(twists / 0.9, BASE.drive, 1e-9).any()
    assert np.abs(twists[:, [0, 2]]).max() > 0.1 and not twists[:, 1].any()


def test_a_searched_motion_of_a_base_finds_what_random_twists_miss() -> None:
    ball = Obstacle('cylinder', (0.1, 1.0), np.array([-0.5, 0.25, 0.5]), key='b')
    around = ObstacleArrays.pack((ball,))
    adversary = BaseAdversary(BASE, 'mover', np.random.default_rng(0))
    pose, least = np.zeros(3), np.inf
    for tick in range(300):
        u, _, rate = adversary.velocity(pose, Sight((ball,)), 0.01 * tick)
        pose = pose + 0.01 * np.array([u * np.cos(pose[2]), u * np.sin(pose[2]), rate])
        least = min(least, BASE.collision.clearance(pose, around)[0])
    assert least < 0.0


def test_a_pushed_base_changes_its_twist_within_its_accelerations() -> None:
    pusher, drive = BasePusher(BASE), BASE.drive
    still = pusher.motion(_standing(), 1.0, np.zeros(3))
    motion = pusher.motion(_standing(), 1.0, np.array([0.5, 0.0, 1.5]))
    assert np.abs(still.velocity).max() == 0.0
    assert motion.start_s == pytest.approx(1.02) and not motion.velocity[-1].any()
    speed = np.hypot(motion.velocity[:, 0], motion.velocity[:, 1])
    change = np.diff(speed) / np.diff(motion.times_s)
    assert 0.85 < change.max() / drive.acceleration_max_m_s2 < 0.95
    assert 0.3 < -change.min() / drive.braking_max_m_s2 < 0.95


def test_an_unfiltered_robot_touches_things_and_a_filtered_one_does_not() -> None:
    off, full = run_adversarial(ARM, 2, OFF), run_adversarial(ARM, 2, FULL)
    assert off.touched and off.violation_count > 0
    assert full.violation_count == 0 and full.moved_rad > 0.3
    assert (off.kind, off.rate_hz, off.delay_s) == (full.kind, full.rate_hz, full.delay_s)


def _standing() -> Trajectory:
    still = np.zeros((2, 3))
    return Trajectory(0.9, np.array([0.0, 0.1]), still, still, still, BASE.joint_names, 'odom')


@pytest.mark.parametrize('timeout_s', [0.2, 0.5])
def test_an_unfiltered_base_touches_things_and_a_filtered_one_does_not(timeout_s: float) -> None:
    off = run_adversarial(BASE, 3, OFF, timeout_s=timeout_s)
    full = run_adversarial(BASE, 3, FULL, timeout_s=timeout_s)
    assert off.touched and off.violation_count > 0
    assert full.violation_count == 0 and full.moved_m is not None and full.moved_m > 0.1
    assert full.receiver_timeout_s == timeout_s and full.interventions > 0.1


@pytest.mark.parametrize('robot', [ARM, BASE])
def test_the_same_seed_gives_the_same_episode(robot: Any) -> None:
    assert run_adversarial(robot, 5, FULL) == run_adversarial(robot, 5, FULL)


@pytest.mark.parametrize(('robot', 'count'), [('panda', 4 + 4 + 3), ('base', 1 + 7 + 3)])
def test_bench_safety_runs_all_parts_and_resumes(
    robot: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = bench.Amount({FULL: 1, OFF: 1, FILTER: 1, TAIL: 1}, 1, 30)
    monkeypatch.setattr(bench, 'QUICK', small)
    options = bench.BenchSafetyOptions(
        robot_config=robot, quick=True, out=tmp_path, commit='abc')
    result = bench.bench_safety(options)
    assert {check['name'] for check in result['checks']} >= set(REQUIRED)
    assert result['failed'] == [] and len(result['rows']) == count
    printed = capsys.readouterr().out
    assert 'filter and verification' in printed and 'thread time (us)' in printed
    monkeypatch.setattr(bench, 'run_task', lambda *args: pytest.fail('nothing is left to run'))
    again = bench.bench_safety(
        bench.BenchSafetyOptions(
            robot_config=robot, quick=True, out=tmp_path, commit='abc', resume=True))
    assert json.loads(json.dumps(again['rows'])) == json.loads(json.dumps(result['rows']))


def row(arrangement: str, seed: int, **values: Any) -> dict[str, Any]:
    episode = Adversarial(seed, arrangement, 'push', 100.0, 0.01, 0, 0)
    return {'part': 'adversarial', 'name': arrangement, **episode.row(), **values}


@pytest.mark.parametrize(('values', 'name'), [
    ({'contact_moving': 1}, 'violations_filter_on'),
    ({'violations': {'torque': 1}}, 'violations_filter_on'),
    ({'unverified_command': 2}, 'violations_filter_on')])
def test_one_violation_in_a_thousand_fails(values: dict[str, Any], name: str) -> None:
    rows = [row(FULL, k) for k in range(999)] + [row(FULL, 999, **values)]
    rows += [row(OFF, k, contact_moving=int(k % 2 == 0)) for k in range(1000)]
    result = result_of(rows, TIMED, commit='', command='', quick=True)
    assert name in result['failed'] and 'contact_share_filter_off' not in result['failed']


def test_each_time_out_is_judged_by_itself() -> None:
    rows = [row(FULL, k, receiver_timeout_s=t) for k in range(1000) for t in (0.2, 0.5)]
    rows[1]['contact_moving'] = 1
    result = result_of(rows[:-2], TIMED, commit='', command='', quick=True)
    checks = {check['name']: check for check in result['checks']}
    assert not checks['violations_filter_on']['ok'] and checks['violations_filter_on_0.2s']['ok']
    assert checks['violations_filter_on_0.5s']['value'] == 1
    assert 'violations_filter_on_0.5s' in result['failed']


@pytest.mark.parametrize(('what', 'robot', 'config'), [
    ('safety', 'base', 'panda'), ('safety', 'arm', 'base'), ('tracking', 'base', '')])
def test_a_bench_for_a_robot_of_another_kind_is_refused(
    what: str, robot: str, config: str
) -> None:
    with pytest.raises(ConfigurationError, match='--robot'):
        robot_to_bench(what, robot, config)
    assert robot_to_bench('safety', 'base', '') == 'base'


def test_an_adversary_that_hits_nothing_proves_nothing() -> None:
    rows = [row(OFF, k, contact_moving=int(k < 290)) for k in range(1000)]
    result = result_of(rows, TIMED, commit='', command='', quick=True)
    assert 'contact_share_filter_off' in result['failed']


def test_times_are_judged_by_a_complete_run_only() -> None:
    timing = {'part': 'timing', 'name': '8', 'seed': 0, 'ticks': 6000, 'filter_p99_s': 1.0,
              'full_p99_s': 1.0, 'step_p99_s': 1.0}
    for quick in (True, False):
        result = result_of([timing], TIMED, commit='', command='', quick=quick)
        assert ('tick_filter_p99_s' in result['failed']) is not quick


def test_all_arrangements_have_a_name() -> None:
    from diffusion_control.evaluation.bench_safety_table import ARRANGEMENT_NAMES
    assert set(ARRANGEMENT_NAMES) == set(ARRANGEMENTS)


def test_a_row_of_fewer_ticks_is_another_row() -> None:
    quick, whole = (
        [task.key for task in _tasks(BenchSafetyOptions(quick=quick), hostility_of(ARM))]
        for quick in (True, False))
    timed = [{key for key in keys if key[0] == TIMING} for keys in (quick, whole)]
    assert timed[0] and timed[1] and not timed[0] & timed[1]
    row = {'part': TIMING, 'name': whole[0][1], 'seed': 0, 'asked_ticks': whole[0][3]}
    assert _key(row) == whole[0]
