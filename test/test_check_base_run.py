# SPDX-License-Identifier: Apache-2.0
"""`check-run` of a base: a clean run has no fault, and each fault that is put in is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs the message definitions (extra ros)')

from synthetic_base_run import START_S, SyntheticBaseRun, base, twists_at

from diffusion_control.evaluation.base.drive_limits import accelerates_too_much, too_fast
from diffusion_control.evaluation.base.silence import Silence
from diffusion_control.evaluation.base.twists import judge_twists
from diffusion_control.evaluation.check_run import check_run
from diffusion_control.evaluation.judgement import judge_run
from diffusion_control.evaluation.summary_schema import validate_summary
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.simulation.truth import ONSET_TYPE


def row_of(run: SyntheticBaseRun, folder: Path, **values: Any) -> dict[str, Any]:
    """Return the row that check-run measures."""
    result: dict[str, Any] = check_run(run.write(folder, **values))['rows'][0]
    return result


def test_a_clean_run_has_no_fault(tmp_path: Path) -> None:
    result = check_run(SyntheticBaseRun().write(tmp_path))
    row = result['rows'][0]
    assert result['failed'] == []
    assert row['violations'] == {
        'position': None, 'velocity': 0, 'acceleration': 0, 'torque': None, 'self_or_wall': 0,
        'contact_moving': 0, 'contacts_at_rest': 0, 'unverified_command': 0}
    assert row['rates']['joint_states']['mean_hz'] == pytest.approx(100.0)
    assert row['rates']['command']['mean_hz'] == pytest.approx(100.0)
    assert row['tracking']['rms_tool_m'] < 2e-3 and row['tracking']['rms_q_rad'] < 2e-3
    assert row['plan']['mode_flips'] == 0 and row['plan']['switch_jump_max'] < 5e-3


def test_a_twist_that_would_run_into_a_wall_is_unverified(tmp_path: Path) -> None:
    """0.4 m/s held for 0.5 s and braked go 0.25 m: the wall is nearer than that."""
    run = SyntheticBaseRun(start=(8.0, 1.5, 0.0))
    found = row_of(run, tmp_path)['commands']['by_reason']
    assert found['wall'] > 0 and found['obstacle'] == 0
    without = SyntheticBaseRun(start=(8.0, 1.5, 0.0), with_map=False)
    assert row_of(without, tmp_path)['commands']['by_reason']['wall'] == 0


def test_a_twist_that_would_run_into_an_obstacle_is_unverified(tmp_path: Path) -> None:
    post = Obstacle('box', (0.1, 0.1, 1.0), np.array([3.0, 1.8, 0.5]), key='scene/0')
    row = row_of(SyntheticBaseRun(obstacles=(post,)), tmp_path)
    assert row['commands']['by_reason']['obstacle'] > 0
    assert row['violations']['unverified_command'] == 1


def test_an_obstacle_above_the_base_is_none(tmp_path: Path) -> None:
    lamp = Obstacle('box', (0.1, 0.1, 0.2), np.array([3.0, 1.8, 1.5]), key='scene/0')
    row = row_of(SyntheticBaseRun(obstacles=(lamp,)), tmp_path)
    assert row['violations']['unverified_command'] == 0


@pytest.mark.parametrize(('twist', 'reason'), [
    ((0.9, 0.0, 0.0), 'velocity'), ((0.4, 0.0, 2.5), 'velocity'), ((0.55, 0.0, 1.7), 'velocity'),
    ((0.1, 0.0, 0.3), 'acceleration'), ((np.nan, 0.0, 0.0), 'no_motion')])
def test_bad_twists_are_found(twist: Any, reason: str, tmp_path: Path) -> None:
    row = row_of(SyntheticBaseRun(twists={150: twist}), tmp_path)
    assert row['commands']['by_reason'][reason] >= 1
    assert row['violations']['unverified_command'] >= 1


def test_contacts_and_speeds_come_from_the_truth(tmp_path: Path) -> None:
    run = SyntheticBaseRun()
    run.truth['contacts'][1000:1010, 1] = 1
    run.truth['contact_pairs'] = np.array(
        [(START_S + 1.0, 'base', 'wall 3', 'self_or_wall', 0.001)], dtype=ONSET_TYPE)
    run.truth['dq'][1500:1510] *= 2.0
    row = row_of(run, tmp_path)
    assert row['violations']['self_or_wall'] == 1 and row['violations']['velocity'] == 2


def test_a_goal_is_in_the_map_and_the_summary_is_complete(tmp_path: Path) -> None:
    run = SyntheticBaseRun(duration_s=2.0)
    still = slice(1500, 2000)
    run.truth['q'][still] = run.truth['q'][1500]
    run.truth['dq'][still] = 0.0
    x, y, _ = run.truth['q'][1500]
    folder = run.write(tmp_path, goal=(x + 0.1, y))
    summary = judge_run(folder, {'planner': 'astar', 'seed': 1}).summary
    assert validate_summary(summary) == []
    assert summary['robot'] == 'base' and summary['goals']['reached'] == 1
    assert summary['violations']['torque'] is None
    assert (folder / 'summary.png').stat().st_size > 20_000


def test_silence_is_held_and_then_braked() -> None:
    robot = base()
    silence = Silence(robot.drive, 0.5)
    twist = np.array([0.6, 0.0, 1.0])
    rows = silence.twists(twist, np.array([0.0, 0.5, 0.7, 0.9, 2.0]))
    assert rows[1] == pytest.approx(twist)
    assert rows[2, 0] == pytest.approx(0.3) and rows[2, 2] == pytest.approx(0.2)
    assert rows[3] == pytest.approx(np.zeros(3)) and rows[4] == pytest.approx(np.zeros(3))
    straight = silence.command(np.array([1.0, 2.0, 0.0]), np.array([0.6, 0.0, 0.0]), 7.0)
    assert straight.position[-1] == pytest.approx([1.0 + 0.3 + 0.12, 2.0, 0.0], abs=1e-3)
    turn = silence.command(np.zeros(3), np.array([0.5, 0.0, 1.0]), 0.0)
    at = turn.position_at(np.array([0.4]))[0]
    assert at == pytest.approx([0.5 * np.sin(0.4), 0.5 * (1 - np.cos(0.4)), 0.4], abs=1e-4)


def test_limits_of_the_drive() -> None:
    drive = base().drive
    rows = np.array([[0.59, 0.0, 0.0], [-0.31, 0.0, 0.0], [0.0, 0.0, 1.9], [0.59, 0.0, 1.7]])
    assert too_fast(rows, drive).tolist() == [
        [False, False, False], [True, False, False], [False, True, False], [False, False, True]]
    before, after = np.array([[0.4, 0.0, 0.0]] * 3), np.array(
        [[0.44, 0.0, 0.0], [0.34, 0.0, 0.0], [0.4, 0.0, 0.21]])
    found = accelerates_too_much(before, after, np.full(3, 0.05), drive, 0.0)
    assert found.tolist() == [False, False, True]
    assert accelerates_too_much(
        before[:1], before[:1] + 0.06, np.full(1, 0.05), drive, 0.0).all()
    assert twists_at([0.25])[0, 0] == pytest.approx(0.2)


def test_a_recorder_that_comes_late_compares_with_what_the_receiver_held() -> None:
    sent_s = 5.0 + 0.01 * np.arange(20)
    twists = np.tile([0.3, 0.0, -1.2], (20, 1))
    none = np.zeros(20, dtype=bool)
    flags: dict[str, Any] = {name: none for name in ('foreign', 'touching', 'walls', 'exempt')}
    held = judge_twists(sent_s, twists, base().drive, held=twists[0], **flags)
    assert not held.unverified.any()
    assert judge_twists(sent_s, twists, base().drive, **flags).flags['acceleration'][0]
    turning = base().drive.yaw_acceleration_max_rad_s2
    growing = np.stack([0 * sent_s, 0 * sent_s, turning * (sent_s - 4.9)], axis=1)
    late = judge_twists(sent_s, growing, base().drive, held=np.zeros(3), **flags)
    assert not late.flags['acceleration'].any(), 'it turned at its limit before, too'
