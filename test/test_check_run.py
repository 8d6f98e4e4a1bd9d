# SPDX-License-Identifier: Apache-2.0
"""`check_run` counts exactly the faults that were put into a synthetic run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Float64MultiArray, String
from synthetic_run import COMMAND, START_S, SyntheticRun, stamp

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.check_run import VIOLATIONS, check_run

NONE = dict.fromkeys(VIOLATIONS, 0)


@pytest.fixture
def run() -> SyntheticRun:
    """Return a run without faults."""
    return SyntheticRun(duration_s=1.2)


def judge(run: SyntheticRun, folder: Path) -> dict[str, Any]:
    """Write a run and return its result."""
    return check_run(run.write(folder), commit='abc', command='check-run x')


def violations(run: SyntheticRun, folder: Path) -> dict[str, int]:
    """Write a run and return its violations."""
    return judge(run, folder)['rows'][0]['violations']


def test_run_without_faults(run: SyntheticRun, tmp_path: Path) -> None:
    """Nothing is counted, and every check that can be judged is ok."""
    result = judge(run, tmp_path)
    row = result['rows'][0]
    assert row['violations'] == NONE and result['failed'] == []
    assert set(result) == {
        'schema_version', 'commit', 'command', 'host', 'rows', 'checks', 'failed'}
    assert all(set(check) == {'name', 'value', 'bound', 'ok', 'n', 'ci95'}
               for check in result['checks'])
    assert row['rates']['command']['mean_hz'] == pytest.approx(100.0)
    assert row['rates']['joint_states']['mean_hz'] == pytest.approx(200.0)
    assert row['rates']['planner']['mean_hz'] == pytest.approx(5.0)
    assert row['commands']['start_error_max_rad'] < 1e-5
    assert row['plan']['rejected'] == {'STALE': 1}
    assert row['plan']['source_fraction']['training_free'] == 1.0


def test_command_step(run: SyntheticRun, tmp_path: Path) -> None:
    """A command 5 mrad beside the set-point, and the one that goes back, are both counted."""
    run.replace_command(0.5, run.command(0.5, offset_rad=0.005))
    result = judge(run, tmp_path)
    row = result['rows'][0]
    assert row['commands']['by_reason']['start'] == 2
    assert row['violations'] == {**NONE, 'unverified_command': 1}
    assert row['commands']['start_error_max_rad'] == pytest.approx(0.005, rel=0.01)
    assert result['failed'] == ['unverified_command']


def test_step_below_the_bound_is_none(run: SyntheticRun, tmp_path: Path) -> None:
    """A step of 0.5 mrad is within what a start may differ."""
    run.replace_command(0.5, run.command(0.5, offset_rad=0.0005))
    assert violations(run, tmp_path) == NONE


def test_jump_across_a_plan(run: SyntheticRun, tmp_path: Path) -> None:
    """The largest step right after a plan is reported as the switch jump; others are not."""
    run.replace_command(0.41, run.command(0.41, offset_rad=0.004))
    run.drop('planner/plan', 0.5, 1.2)
    run.replace_command(1.0, run.command(1.0, offset_rad=0.009))
    plan = judge(run, tmp_path)['rows'][0]['plan']
    assert plan['switch_jump_max'] == pytest.approx(0.004, rel=0.01)


def test_set_point_jump_without_a_bad_command(run: SyntheticRun, tmp_path: Path) -> None:
    """A jump of the true set-point that no command explains is counted."""
    run.truth['cmd'][run.window(0.6, 1.2)] += 0.01
    row = judge(run, tmp_path)['rows'][0]
    assert row['commands']['set_point_steps'] == 1
    assert row['violations'] == {**NONE, 'unverified_command': 1}


def test_limits_in_the_truth(run: SyntheticRun, tmp_path: Path) -> None:
    """Two excesses of position and one of velocity are counted by joint; a freeze is exempt."""
    limits = run.robot.limits
    run.truth['q'][run.window(0.2, 0.3), 1] = limits.upper_rad[1] + 1e-3
    run.truth['q'][run.window(0.25, 0.3), 2] = limits.lower_rad[2] - 1e-3
    run.truth['dq'][run.window(0.4, 0.41), 0] = -1.01 * limits.velocity_rad_s[0]
    run.truth['dq'][run.window(0.8, 0.85), 0] = 2.0 * limits.velocity_rad_s[0]
    run.truth['exempt'][run.window(0.8, 0.9)] = True
    assert violations(run, tmp_path) == {**NONE, 'position': 2, 'velocity': 1}


def test_torque_counts_after_20_ms(run: SyntheticRun, tmp_path: Path) -> None:
    """20 samples over the limit are allowed, 21 are not."""
    limit = run.robot.limits.torque_nm
    run.truth['tau_demand'][run.window(0.1, 0.12), 3] = 1.1 * limit[3]
    assert violations(run, tmp_path / 'allowed') == NONE
    run.truth['tau_demand'][run.window(0.3, 0.321), 3] = -1.1 * limit[3]
    assert violations(run, tmp_path / 'long') == {**NONE, 'torque': 1}


def test_contacts(run: SyntheticRun, tmp_path: Path) -> None:
    """One contact at speed, one at rest, one with the floor."""
    run.truth['point_speed_max_m_s'][:] = 0.0
    run.truth['point_speed_max_m_s'][run.window(0.1, 0.3)] = 0.2
    for begin, other, kind, column in ((0.2, 'obstacle 0', 'obstacle', 0),
                                       (0.6, 'obstacle 0', 'obstacle', 0),
                                       (0.9, 'floor', 'self_or_wall', 1)):
        run.truth['contacts'][run.window(begin, begin + 0.05), column] = 1
        run.truth['contact_pairs'].append(
            (START_S + begin, 'panda_hand', other, kind, 0.001))
    assert violations(run, tmp_path) == {
        **NONE, 'contact_moving': 1, 'contacts_at_rest': 1, 'self_or_wall': 1}


def test_speed_of_a_contact_is_a_mean_over_20_ms(run: SyntheticRun, tmp_path: Path) -> None:
    """A single sample of 50 mm/s is 2.5 mm/s in the mean; moving off in contact is moving."""
    run.truth['point_speed_max_m_s'][:] = 0.0
    run.truth['contacts'][run.window(0.2, 0.4), 0] = 1
    run.truth['point_speed_max_m_s'][run.window(0.3, 0.301)] = 0.05
    assert violations(run, tmp_path / 'rest') == {**NONE, 'contacts_at_rest': 1}
    run.truth['point_speed_max_m_s'][run.window(0.3, 0.32)] = 0.006
    assert violations(run, tmp_path / 'moving') == {**NONE, 'contact_moving': 1}


def test_commands_that_stop_for_good_are_a_gap(run: SyntheticRun, tmp_path: Path) -> None:
    """Periods between commands alone would not show it."""
    run.drop(COMMAND, 0.6, run.duration_s + 1.0)
    result = judge(run, tmp_path)
    assert result['rows'][0]['rates']['command']['gaps_over_50ms'] == 1
    assert 'command_gaps_over_50ms' in result['failed']


def test_gap_of_60_ms(run: SyntheticRun, tmp_path: Path) -> None:
    """Five missing commands are one gap; with an injected fault the rate is not judged."""
    run.drop(COMMAND, 0.51, 0.56)
    result = judge(run, tmp_path / 'gap')
    rate = result['rows'][0]['rates']['command']
    assert rate['gaps_over_50ms'] == 1 and rate['period_max_s'] == pytest.approx(0.06)
    assert 'command_gaps_over_50ms' in result['failed']
    run.metadata['inject'] = ['cpu_hog@1']
    assert judge(run, tmp_path / 'fault')['failed'] == []


def test_acceleration_and_rest_of_commands(run: SyntheticRun, tmp_path: Path) -> None:
    """A brake that is too hard counts twice, as the contract says; one that moves on once."""
    lead = np.array([0.0, 0.02, 0.04])
    q, v, _ = run.curve(0.8 + lead)
    hard = run.trajectory(0.8, np.append(lead, 0.05), np.vstack([q, q[-1] + v[-1] * 0.005]),
                          np.vstack([v, 0 * v[-1]]))
    run.replace_command(0.8, hard)
    assert violations(run, tmp_path / 'hard') == {
        **NONE, 'acceleration': 1, 'unverified_command': 1}
    run = SyntheticRun(duration_s=1.2)
    run.replace_command(0.8, run.trajectory(0.8, lead, q, v))
    row = judge(run, tmp_path / 'moving')['rows'][0]
    assert row['violations'] == {**NONE, 'unverified_command': 1}
    assert row['commands']['by_reason']['not_at_rest'] == 1


def test_command_into_an_obstacle(run: SyntheticRun, tmp_path: Path) -> None:
    """Commands that would touch an obstacle are found by the geometry alone."""
    tool = run.robot.tool_pose(run.curve([0.9])[0][0])[0]
    run.truth['obstacles'][:, 0] = [*tool, 0.05]
    run.messages = [m for m in run.messages if m[0] != 'obstacles']
    for k, at in enumerate(np.arange(0.5, 1.2, 0.02)):
        run.messages.append(('obstacles', run.markers(at), at, k + 1))
    row = judge(run, tmp_path)['rows'][0]
    assert row['commands']['by_reason']['obstacle'] > 20
    assert row['violations'] == {**NONE, 'unverified_command': 1}


def test_moving_obstacle_is_continued(run: SyntheticRun, tmp_path: Path) -> None:
    """An obstacle that will be in the way at constant velocity counts before it is there."""
    tool = run.robot.tool_pose(run.curve([0.5])[0][0])[0]
    t = run.truth['t_s'] - START_S
    run.truth['obstacles'][:, 0, :3] = tool
    run.truth['obstacles'][:, 0, 0] += 0.13 + 0.5 * (0.5 - t)
    run.truth['obstacles'][:, 0, 3] = 0.02
    frozen = run.truth['obstacles'].copy()
    for moving in (True, False):
        other = SyntheticRun(duration_s=1.2)
        other.truth['obstacles'] = frozen
        other.messages = [m for m in other.messages if m[0] != 'obstacles']
        for k, at in enumerate(np.arange(0.0, 0.5, 0.02)):
            shown = at if moving else 0.48
            message = other.markers(shown)
            other.messages.append(('obstacles', message, at, k + 1))
        other.drop(COMMAND, 0.53, 1.2)
        other.truth = {key: value if key in ('joint_names', 'contact_pairs') else value[:560]
                       for key, value in other.truth.items()}
        found = judge(other, tmp_path / str(moving))['rows'][0]['commands']['by_reason']
        assert (found['obstacle'] > 0) is moving


def test_holding_still_is_never_unverified(tmp_path: Path) -> None:
    """An obstacle drives into a robot that is told to stay: at rest, and no fault of a command."""
    run = SyntheticRun(duration_s=1.2, amplitude=0.0)
    home = run.robot.home_rad
    run.truth['obstacles'][:, 0] = [*run.robot.tool_pose(home)[0], 0.05]
    run.truth['contacts'][run.window(0.3, 0.5), 0] = 1
    for k, (topic, _, at, sequence) in enumerate(run.messages):
        if topic == COMMAND:
            message = run.trajectory(at, [0.0], home[None], np.zeros((1, 7)))
            run.messages[k] = (topic, message, at, sequence)
        elif topic == 'obstacles':
            run.messages[k] = (topic, run.markers(at), at, sequence)
    found = judge(run, tmp_path)['rows'][0]
    assert found['violations'] == {**NONE, 'contacts_at_rest': 1}


def test_second_writer(run: SyntheticRun, tmp_path: Path) -> None:
    """A writer with numbers of its own is found, though its commands are good ones."""
    for number, at in ((1, 0.4), (2, 0.8)):
        run.messages.append((COMMAND, run.command(at + 0.005), at + 0.005, number))
    result = judge(run, tmp_path)['rows'][0]
    assert result['commands']['by_reason']['writer'] == 2
    assert result['violations'] == {**NONE, 'unverified_command': 2}


def test_writer_that_is_not_safety(run: SyntheticRun, tmp_path: Path) -> None:
    """Commands of a node with another name are no commands of the monitor."""
    run.writers = [{'gid': '01', 'node': 'teleop'}]
    assert violations(run, tmp_path / 'other') == {**NONE, 'unverified_command': 1}
    run.writers = [{'gid': '01', 'node': 'safety'}]
    assert violations(run, tmp_path / 'safety') == NONE


def test_freeze_restarts_the_set_point(run: SyntheticRun, tmp_path: Path) -> None:
    """After a freeze the receiver holds where the robot was; the replay must know it."""
    held = run.truth['q'][400].copy()
    run.truth['q'][run.window(0.4, 1.2)] = held
    run.truth['cmd'][run.window(0.4, 1.2)] = held
    run.truth['exempt'][run.window(0.4, 0.8)] = True
    still = run.trajectory(0.9, [0.0, 0.1], np.tile(held, (2, 1)), np.zeros((2, 7)))
    run.drop(COMMAND, 0.8, 1.2)
    for k, at in enumerate(np.arange(0.85, 1.2, 0.01)):
        run.messages.append((COMMAND, still, at, 86 + k))
    assert violations(run, tmp_path) == NONE


@pytest.mark.parametrize('step_rad', [0.0, 0.3])
def test_position_samples(run: SyntheticRun, tmp_path: Path, step_rad: float) -> None:
    """Single positions are judged by the freeze rule: small steps pass, a big one does not."""
    run.metadata.update(command_type='joint_state', profile='isaac')
    run.types[COMMAND] = 'sensor_msgs/msg/JointState'
    run.messages = [m for m in run.messages if m[0] != COMMAND]
    for k, at in enumerate(np.arange(0.0, 1.2, 0.01)):
        message = run.joint_state(at)
        message.position[0] += step_rad * (k >= 60)
        run.messages.append((COMMAND, message, at, k + 1))
    row = judge(run, tmp_path)['rows'][0]
    stepped = int(step_rad > 0.0)
    assert row['commands']['by_reason']['start'] == stepped
    assert row['violations'] == {
        **NONE, 'acceleration': stepped, 'unverified_command': stepped}


@pytest.mark.parametrize(('rate_rad_s', 'counted'), [(0.1, 0), (9.0, 1)])
def test_velocity_samples(
    run: SyntheticRun, tmp_path: Path, rate_rad_s: float, counted: int
) -> None:
    """Single velocities must keep the limits; a jump of them is an acceleration."""
    run.metadata.update(command_type='float64_multi_array', profile='forward_velocity')
    run.types[COMMAND] = 'std_msgs/msg/Float64MultiArray'
    run.messages = [m for m in run.messages if m[0] != COMMAND]
    for k, at in enumerate(np.arange(0.0, 1.2, 0.01)):
        rate = 0.1 if k < 60 else rate_rad_s
        run.messages.append((COMMAND, Float64MultiArray(data=[rate] * 7), at, k + 1))
    row = judge(run, tmp_path)['rows'][0]
    assert row['commands']['by_reason']['velocity'] == 60 * counted
    assert row['violations'] == {
        **NONE, 'acceleration': counted, 'unverified_command': counted}


def test_simulated_time(run: SyntheticRun, tmp_path: Path) -> None:
    """With /clock at half speed stamps stay in ROS time and rates in that of the receiver."""
    run.types['/clock'] = 'rosgraph_msgs/msg/Clock'
    run.messages = [(t, m, 2.0 * at, n) for t, m, at, n in run.messages]
    for k, at in enumerate(np.arange(0.0, 1.2, 0.0025)):
        run.messages.append(('/clock', Clock(clock=stamp(START_S + at)), 2.0 * at, k + 1))
    result = judge(run, tmp_path)
    assert result['rows'][0]['violations'] == NONE
    assert result['rows'][0]['rates']['command']['mean_hz'] == pytest.approx(50.0)
    assert result['failed'] == ['command_rate_mean_hz', 'command_period_p99_s']


def test_broken_messages_are_no_motions(run: SyntheticRun, tmp_path: Path) -> None:
    """NaN, wrong names and times that go back are unverified, and nothing breaks."""
    for at, spoil in ((0.3, lambda m: m.points[1].positions.__setitem__(0, float('nan'))),
                      (0.5, lambda m: m.joint_names.__setitem__(0, 'elbow')),
                      (0.7, lambda m: setattr(m.points[2].time_from_start, 'nanosec', 0))):
        message = run.command(at)
        spoil(message)
        run.replace_command(at, message)
    row = judge(run, tmp_path)['rows'][0]
    assert row['commands']['by_reason']['no_motion'] == 3
    assert row['violations'] == {**NONE, 'unverified_command': 3}


def test_goals_are_judged_by_the_truth(tmp_path: Path) -> None:
    """A goal held for 0.3 s is reached, in FALLBACK not by the planner."""
    run = SyntheticRun(duration_s=2.5, amplitude=0.0)
    run.truth['dq'][:] = 0.0
    home = run.robot.home_rad
    run.goal(0.2, home)
    run.goal_pose(1.0, run.robot.tool_pose(home)[0])
    run.goal(2.4, home + 0.5)
    goals = judge(run, tmp_path / 'planner')['rows'][0]['goals']
    assert goals['reached'] == goals['reached_by_planner'] == goals['attempted'] == 2
    run.messages.append(('safety/state', String(data='FALLBACK'), 1.1, 1))
    goals = judge(run, tmp_path / 'fallback')['rows'][0]['goals']
    assert goals['reached'] == 2 and goals['reached_by_planner'] == 1
    assert goals['time_mean_s'] == pytest.approx(0.3, abs=0.02)


def test_truncated_recording_is_said(run: SyntheticRun, tmp_path: Path) -> None:
    """A file cut in the middle is read as far as it goes, and fails by name."""
    run.write(tmp_path)
    path = tmp_path / 'run.mcap'
    path.write_bytes(path.read_bytes()[:-2000])
    result = check_run(tmp_path)
    assert 'recording_complete' in result['failed']


def test_missing_and_damaged_files(run: SyntheticRun, tmp_path: Path) -> None:
    """Each says what is missing and where."""
    with pytest.raises(ConfigurationError, match='no run folder'):
        check_run(tmp_path / 'nowhere')
    run.write(tmp_path)
    (tmp_path / 'truth.npz').write_bytes(b'junk')
    with pytest.raises(ConfigurationError, match='ground truth'):
        check_run(tmp_path)
    (tmp_path / 'run.mcap').write_bytes(b'this is no mcap file at all')
    with pytest.raises(ConfigurationError, match='MCAP'):
        check_run(tmp_path)


def test_shares_nothing_with_the_controllers() -> None:
    """Importing `check_run` loads nothing of safety, tracking, planners, nodes, rclpy, torch."""
    code = (
        'import sys; import diffusion_control.evaluation.check_run\n'
        'bad = [m for m in sys.modules if m.startswith(("diffusion_control.safety", '
        '"diffusion_control.tracking", "diffusion_control.planners", "diffusion_control.nodes", '
        '"rclpy", "torch"))]\n'
        'assert not bad, bad')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
