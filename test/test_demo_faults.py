# SPDX-License-Identifier: Apache-2.0
"""Faults with real signals to real processes: the states that follow, and no violation.

The bounds in seconds are judged by `diffusion_control faults` on a quiet machine, not here.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from demo_world import DemoRun, harm, node_processes, run_demo, violations

from diffusion_control.demo import faults
from diffusion_control.demo.fault_table import contains_in_order
from diffusion_control.demo.options import DemoOptions, FaultsOptions


def run_fault(out: Path, domain_id: int, name: str, *more: str) -> DemoRun:
    """Return a short demo with one fault two seconds into the motion."""
    run = run_demo(out, domain_id, '--duration-s', '5', '--inject', f'{name}@2s', *more)
    assert run.summary is not None, run.text
    single = '--output-type' in more and 'joint_trajectory' not in more
    assert (harm if single else violations)(run.summary) == {}, run.text
    assert [row['name'] for row in run.summary['faults']] == [name]
    assert node_processes(domain_id) == []
    return run


@pytest.mark.process
@pytest.mark.parametrize(('name', 'domain', 'path'), [
    ('planner_kill', 111, ('DEGRADED', 'FALLBACK')),
    ('tracker_hang', 112, ('STOPPING', 'EMERGENCY')),
    ('emergency_stop', 113, ('EMERGENCY',)),
    ('joint_states_stop', 114, ('STOPPING', 'EMERGENCY')),
    ('obstacles_stop', 115, ('STOPPING', 'HOLD', 'NOMINAL')),
])
def test_the_states_of_the_table_follow(
    tmp_path: Path, name: str, domain: int, path: tuple[str, ...]
) -> None:
    run = run_fault(tmp_path, domain, name)
    assert run.summary is not None
    states = tuple(run.summary['faults'][0]['state_path'])
    assert contains_in_order(states, path), states


@pytest.mark.process
@pytest.mark.parametrize(('kind', 'domain'), [
    ('joint_trajectory', 116), ('float64_multi_array', 117), ('joint_state', 118)])
def test_the_robot_comes_to_rest_without_the_safety_process(
    tmp_path: Path, kind: str, domain: int
) -> None:
    run = run_fault(tmp_path, domain, 'safety_kill', '--output-type', kind)
    assert run.summary is not None
    fault = run.summary['faults'][0]
    assert fault['state_path'][-1] == 'AT_REST'
    assert fault['rest_s'] is not None


def test_an_interrupted_run_ends_the_whole_table_and_leaves_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[int] = []

    def interrupted(options: DemoOptions, console: object) -> SimpleNamespace:
        ran.append(options.seed)
        return SimpleNamespace(exit_code=130, summary=None, reasons=())

    monkeypatch.setattr(faults, 'run_demo', interrupted)
    with pytest.raises(KeyboardInterrupt):
        faults.run(FaultsOptions(seeds=(0, 3), out=tmp_path))
    assert ran == [0]
    assert not (tmp_path / 'faults.jsonl').exists()
