# SPDX-License-Identifier: Apache-2.0
"""The command line: what it refuses, how it says so, its exit codes, JSON alone on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_control import cli, console
from diffusion_control.demo.options import DemoOptions, FaultsOptions, Injection, parse_seeds
from diffusion_control.errors import (
    ConfigurationError,
    DiffusionControlError,
    MissingDependencyError,
)
from diffusion_control.evaluation.summary_schema import validate_summary


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the block on stderr of a command line that must be refused with exit code 2."""
    assert cli.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert 'Traceback' not in captured.err
    lines = captured.err.strip().splitlines()
    assert 2 <= len(lines) <= 6 and lines[1].startswith('  where:')
    return captured.err


@pytest.mark.parametrize(('arguments', 'hint'), [
    ([], 'demo, evaluate'),
    (['dmo'], 'dmo'),
    (['demo', '--frobnicate'], '--frobnicate'),
    (['demo', '--duration-s', 'long'], '--duration-s'),
    (['demo', '--duration-s', '0'], '1 to 86400 s'),
    (['demo', '--duration-s', 'nan'], '1 to 86400 s'),
    (['demo', '--robot', 'boat'], 'allowed: arm, base'),
    (['demo', '--layout', '/etc/hostname'], '--robot base'),
    (['demo', '--robot', 'base', '--output-type', 'joint_state'], 'twist_stamped, twist'),
    (['demo', '--planner', 'training_fre'], "did you mean 'training_free'?"),
    (['demo', '--planner', 'library'], 'training_free'),
    (['demo', '--fallback', 'library'], 'classical'),
    (['demo', '--inject', 'planer_kill@5s'], "did you mean 'planner_kill'?"),
    (['demo', '--inject', 'planner_kill'], 'NAME@TIMEs'),
    (['demo', '--inject', 'planner_kill@soon'], 'NAME@TIMEs'),
    (['demo', '--inject', 'planner_kill@-1s'], 'NAME@TIMEs'),
    (['demo', '--inject', 'planner_kill@99s'], 'at most --duration-s 30 s'),
    (['demo', '--scene', '/no/such/file.yaml'], '/no/such/file.yaml'),
    (['demo', '--plant', 'heavy'], "'heavy'"),
    (['demo', '--output-type', 'twist'], 'joint_trajectory'),
    (['demo', '--real-time-factor', '0'], '0.05 to 10'),
    (['demo', '--seed', '-1'], "value:   '-1'\n  allowed: greater than or equal to 0"),
    (['evaluate', 'arm', '--jobs', 'two'], "value:   'two'\n  allowed: a valid integer"),
    (['evaluate'], 'TASK'),
    (['evaluate', 'legs'], 'allowed: arm'),
    (['evaluate', 'arm', '--tier', 'medium'], 'easy, hard'),
    (['evaluate', 'arm', '--safety', 'maybe'], 'on, off'),
    (['evaluate', 'arm', '--episodes', '0'], '--episodes'),
    (['faults', '--seeds', '5'], 'A:B'),
    (['faults', '--seeds', '5:5'], 'A:B'),
    (['faults', '--fault', 'gremlins'], 'planner_kill'),
    (['faults', '--level', 'inprocess'], 'allowed: process'),
    (['record', '--duration-s', '0'], '--duration-s'),
    (['check-run'], 'RUN_DIR'),
    (['check-run', '/no/such/run'], '/no/such/run')])
def test_bad_input_is_one_short_block(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hint in refused(arguments, capsys)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(['--version']) == 0
    assert capsys.readouterr().out == '0.1.0\n'
    assert cli.run(['--help']) == 0
    assert all(verb in capsys.readouterr().out or verb for verb in cli.verbs())


def raises(error: BaseException) -> Callable[[], int]:
    def action() -> int:
        raise error
    return action


@pytest.mark.parametrize(('error', 'code', 'text'), [
    (KeyboardInterrupt(), 130, 'interrupted'),
    (ConfigurationError('odd', where='here', value=3, allowed='even'), 2, 'value:   3'),
    (MissingDependencyError('no wheel'), 3, 'no wheel'),
    (DiffusionControlError('fell'), 1, 'fell'),
    (ModuleNotFoundError("No module named 'rclpy'", name='rclpy'), 3, 'diffusion_control[ros]'),
    (ModuleNotFoundError("No module named 'mujoco'", name='mujoco'), 3, 'diffusion_control[sim]'),
    (ZeroDivisionError('oops'), 1, 'internal error: ZeroDivisionError: oops')])
def test_every_error_has_its_exit_code(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(console.DEBUG, raising=False)
    assert console.guarded(raises(error)) == code
    captured = capsys.readouterr()
    assert text in captured.err and captured.out == ''


def test_debugging_keeps_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(console.DEBUG, '1')
    with pytest.raises(ZeroDivisionError):
        console.guarded(raises(ZeroDivisionError()))


def fake(monkeypatch: pytest.MonkeyPatch, module: str, **names: Any) -> None:
    """Put a module in place of one that a verb imports."""
    stand_in = type(sys)(module)
    for name, value in names.items():
        setattr(stand_in, name, value)
    monkeypatch.setitem(sys.modules, module, stand_in)


@pytest.mark.parametrize(('failed', 'code'), [([], 0), (['violations'], 1)])
def test_evaluate_passes_options_on_and_turns_failed_into_the_exit_code(
    failed: list[str], code: int, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:
    seen: dict[str, Any] = {}

    def options(**values: Any) -> dict[str, Any]:
        seen.update(values)
        return values

    def evaluate(values: dict[str, Any]) -> dict[str, Any]:
        print('chatter of a library')
        os.write(1, b'chatter of C++\n')
        return {'rows': [], 'checks': [], 'failed': failed}

    fake(monkeypatch, 'diffusion_control.evaluation.evaluate',
         EvaluateOptions=options, evaluate_robot=evaluate, peers=lambda names: names,
         judged_planner=lambda task, robot, planner, model: planner)
    arguments = ['evaluate', 'arm', '--planner', 'random', '--episodes', '7', '--tier', 'hard',
                 '--safety', 'off', '--latency-ms', '50', '--out', str(tmp_path), '--json']
    assert cli.run(arguments) == code
    captured = capfd.readouterr()
    assert json.loads(captured.out) == {'rows': [], 'checks': [], 'failed': failed}
    assert 'chatter of a library' in captured.err and 'chatter of C++' in captured.err
    assert 'ROS_DOMAIN_ID' in captured.err
    assert (seen['planner'], seen['episodes'], seen['tier']) == ('random', 7, 'hard')
    assert (seen['safety'], seen['latency_ms'], seen['out']) == (False, 50.0, tmp_path)


def test_options_of_evaluate_are_fields_of_its_options() -> None:
    """Guards the fake above: the real class takes every keyword that the verb passes."""
    import dataclasses

    from diffusion_control import cli_evaluate
    from diffusion_control.evaluation.evaluate import EvaluateOptions
    from diffusion_control.evaluation.maze.options import MazeOptions
    common = set(cli_evaluate._common(dict.fromkeys((
        'task', 'episodes', 'jobs', 'resume', 'tracker', 'latency_ms', 'model', 'untrained',
        'seed', 'out', 'peer', 'safety'))))
    for taken, kind in ((cli_evaluate.OF_ROBOTS, EvaluateOptions),
                        (cli_evaluate.OF_MAZES, MazeOptions)):
        fields = {field.name for field in dataclasses.fields(kind)}
        assert common | set(taken) <= fields, kind


def test_faults_parses_its_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[FaultsOptions] = []

    def run(options: FaultsOptions) -> dict[str, Any]:
        seen.append(options)
        return {'rows': [], 'checks': [
            {'name': 'tracker_kill', 'value': 1.0, 'bound': 1.0, 'ok': True, 'n': 2,
             'ci95': None}], 'failed': []}

    fake(monkeypatch, 'diffusion_control.demo.faults', run=run)
    assert cli.run(['faults', '--fault', 'tracker_kill', '--seeds', '3:5']) == 0
    assert cli.run(['faults', '--seed', '9']) == 0
    assert (seen[0].names, seen[0].seeds) == (('tracker_kill',), (3, 5))
    assert (len(seen[1].names), seen[1].seeds) == (16, (9, 10))
    assert 'tracker_kill' in capsys.readouterr().out


def test_check_run_prints_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    result = {'rows': [], 'checks': [], 'failed': ['violations']}
    fake(monkeypatch, 'diffusion_control.evaluation.check_run',
         check_run=lambda folder, **names: result)
    assert cli.run(['check-run', str(tmp_path)]) == 1
    assert 'failed: violations' in capsys.readouterr().out


def test_check_run_says_that_a_run_was_never_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    result = {'rows': [], 'checks': [], 'failed': []}
    fake(monkeypatch, 'diffusion_control.evaluation.check_run',
         check_run=lambda folder, **names: result)
    assert cli.run(['check-run', str(tmp_path)]) == 0
    assert 'before it was judged' in capsys.readouterr().err
    (tmp_path / 'summary.json').touch()
    assert cli.run(['check-run', str(tmp_path)]) == 0
    assert 'judged' not in capsys.readouterr().err


@pytest.mark.parametrize('summary', [None, {'exit_code': 130, 'seed': 7}])
def test_json_of_a_demo_is_that_of_its_own_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path,
    summary: dict[str, Any] | None,
) -> None:
    """An earlier run's summary is not passed off as that of one that ended early."""
    (tmp_path / 'latest').mkdir()
    (tmp_path / 'latest' / 'summary.json').write_text('{"exit_code": 0}')
    fake(monkeypatch, 'diffusion_control.demo',
         run=lambda options: SimpleNamespace(exit_code=130, summary=summary))
    assert cli.run(['demo', '--json', '--out', str(tmp_path)]) == 130
    shown = json.loads(capfd.readouterr().out)
    assert shown == summary if summary else validate_summary(shown) == []
    assert shown['exit_code'] == 130


def test_ctrl_c_of_a_real_process_is_130() -> None:
    """Also where the tests are a shell's background job, which is started deaf to the signal."""
    code = ('import os, signal, sys, time\n'
            'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
            'from diffusion_control import cli\n'
            'import diffusion_control.demo as demo\n'
            'demo.run = lambda options: (os.kill(os.getpid(), signal.SIGINT), time.sleep(30))\n'
            "sys.exit(cli.run(['demo']))")
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 130
    assert 'Traceback' not in done.stderr


def test_demo_options_know_when_the_clock_is_simulated() -> None:
    assert not DemoOptions().use_sim_time
    assert DemoOptions(real_time_factor=0.5).use_sim_time
    assert DemoOptions(inject=(Injection('clock_pause', 5.0),)).use_sim_time


@pytest.mark.parametrize('text', ['planner_kill@5s', 'planner_kill@5', 'planner_kill@5.0s'])
def test_injection_is_parsed(text: str) -> None:
    assert Injection.parse(text) == Injection('planner_kill', 5.0)


@given(st.text(max_size=20))
def test_any_text_is_an_injection_or_refused(text: str) -> None:
    for candidate in (text, f'plan_nan@{text}'):
        try:
            assert Injection.parse(candidate).time_s >= 0
        except ConfigurationError as error:
            assert error.allowed


@given(st.text(max_size=12))
def test_any_text_is_a_range_of_seeds_or_refused(text: str) -> None:
    try:
        first, after = parse_seeds(text)
        assert first >= 0 and after >= 0
    except ConfigurationError as error:
        assert 'A:B' in error.allowed


def test_a_planner_without_a_model_is_refused_before_anything_starts(
    capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(['demo', '--planner', 'diffuser', '--robot-config', 'ur5']) == 2
    printed = capsys.readouterr().err
    assert 'docs/learning.md' in printed and 'Traceback' not in printed
