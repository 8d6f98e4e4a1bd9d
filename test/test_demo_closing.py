# SPDX-License-Identifier: Apache-2.0
"""The end of a demo: `latest` is the last run that has its summary, whatever ended this one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from rich.console import Console

from diffusion_control.demo import closing, faults
from diffusion_control.demo.options import DemoOptions, FaultsOptions
from diffusion_control.demo.runner import RunRecord
from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.run_folder import RunFolder
from diffusion_control.evaluation.summary_schema import unjudged
from diffusion_control.nodes.demo_monitor import Seen


def close(folder: RunFolder, known: RunRecord, **options: Any) -> int:
    """Close a run that injected nothing and return its exit code."""
    setup: Any = SimpleNamespace(folder=folder, options=DemoOptions(**options))
    console = Console(file=open('/dev/null', 'w'))
    return closing.close_run(setup, known, {}, Seen(), console)[0]


@pytest.fixture
def earlier(tmp_path: Path) -> RunFolder:
    """Return the folder of an earlier run, which is the latest."""
    folder = RunFolder.create(tmp_path)
    folder.make_latest()
    return folder


def latest(tmp_path: Path) -> Path:
    return (tmp_path / 'latest').resolve()


def test_a_run_without_motion_or_recording_is_not_the_latest(
    earlier: RunFolder, tmp_path: Path
) -> None:
    assert close(RunFolder.create(tmp_path), RunRecord(interrupted=True)) == 130
    moved = RunRecord(first_motion_steady_s=1.0)
    assert close(RunFolder.create(tmp_path), moved, record=False) == 0
    assert latest(tmp_path) == earlier.path.resolve()


def test_a_run_is_the_latest_once_its_summary_is_written(
    earlier: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path)
    record = RunRecord(first_motion_steady_s=1.0, interrupted=True)
    monkeypatch.setattr(closing, '_notes', lambda *given: {})

    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(closing, 'judge_run', interrupted)
    with pytest.raises(KeyboardInterrupt):
        close(folder, record)
    assert latest(tmp_path) == earlier.path.resolve()
    judged = SimpleNamespace(summary=unjudged(0), result={'failed': []})
    monkeypatch.setattr(closing, 'judge_run', lambda *given: judged)
    assert close(folder, record) == 130
    assert latest(tmp_path) == folder.path.resolve()
    assert json.loads((tmp_path / 'latest' / 'summary.json').read_text())['exit_code'] == 130


def test_faults_go_on_only_with_rows_of_the_same_robot_and_planner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def one(name: str, seed: int, options: FaultsOptions) -> dict[str, Any]:
        made.append(seed)
        return {'name': name, 'seed': seed, 'ok': True}

    monkeypatch.setattr(faults, 'one_run', one)
    monkeypatch.setattr(faults, 'fault_table', lambda rows: '')
    asked = FaultsOptions(faults=('cpu_hog',), seeds=(0, 2), out=tmp_path)
    assert faults.run(asked)['checks'][0]['n'] == 2
    with (tmp_path / faults.ROWS).open('a') as stream:
        stream.write('{"name": "cpu_h')
    more = replace(asked, seeds=(1, 4), resume=True)
    assert faults.run(more)['checks'][0]['n'] == 3 and made == [0, 1, 2, 3]
    with pytest.raises(ConfigurationError, match='other settings'):
        faults.run(replace(more, planner='cem'))
