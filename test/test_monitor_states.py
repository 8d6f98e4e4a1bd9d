# SPDX-License-Identifier: Apache-2.0
"""States of a run: from its first sample on, and not for ever after the monitor's death."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

import numpy as np
from std_msgs.msg import String
from synthetic_run import COMMAND, START_S, SyntheticRun

from diffusion_control.demo.live import live_values
from diffusion_control.evaluation import monitor_states
from diffusion_control.evaluation.judgement import judge_run
from diffusion_control.evaluation.monitor_states import SPOKEN
from diffusion_control.evaluation.picture import STATES as COLOURS
from diffusion_control.evaluation.run_data import load_run
from diffusion_control.evaluation.tables import STATE_STYLE
from diffusion_control.nodes.demo_monitor import Seen
from diffusion_control.safety.state_machine import STATES, Machine

DEATH_S, REST_S = 1.0, 1.3


def killed(rest_s: float) -> SyntheticRun:
    """Return a run whose monitor dies after 1 s, and whose robot stands from a time on."""
    run = SyntheticRun(duration_s=2.0)
    for topic in (*SPOKEN, COMMAND):
        run.drop(topic, DEATH_S, 2.0)
    run.truth['dq'][run.window(0.0, 2.0)] = 0.1
    run.truth['dq'][run.window(rest_s, 2.0)] = 0.0
    return run


def states(run: SyntheticRun, folder: Path) -> list[tuple[float, str]]:
    """Write a run and return its states, times from its beginning."""
    return [(round(at - START_S, 3), state) for at, state in load_run(run.write(folder)).states()]


def test_a_dead_monitor_has_no_state(tmp_path: Path) -> None:
    found = states(killed(REST_S), tmp_path)
    assert [state for _, state in found] == ['HOLD', 'NOMINAL', 'NO_MONITOR', 'AT_REST']
    assert found[2][0] == pytest.approx(DEATH_S, abs=0.02)
    assert found[3][0] == pytest.approx(REST_S, abs=0.002)


@pytest.mark.parametrize(('rest_s', 'last'), [(0.5, 'AT_REST'), (2.0, 'NO_MONITOR')])
def test_at_rest_means_that_the_robot_stands(tmp_path: Path, rest_s: float, last: str) -> None:
    assert [state for _, state in states(killed(rest_s), tmp_path)] == ['HOLD', 'NOMINAL', last]


def test_times_in_states_add_up_and_end_at_rest(tmp_path: Path) -> None:
    summary = judge_run(killed(REST_S).write(tmp_path), {}, picture=False).summary
    assert sum(summary['safety']['time_in_state_s'].values()) == pytest.approx(
        summary['duration_s'])
    assert summary['safety']['time_in_state_s']['NOMINAL'] == pytest.approx(0.98, abs=0.02)
    assert summary['safety']['final_state'] == 'AT_REST'


def test_a_state_counts_from_when_it_was_sent(tmp_path: Path) -> None:
    run = SyntheticRun(duration_s=2.0)
    path = run.write(tmp_path)
    late = load_run(path)
    stream = late.recording.stream('safety/state')
    stream.log_ns[0] += round(0.9e9)  # the recorder came later and got the latched message
    assert late.states() == [(START_S, 'HOLD'), (pytest.approx(START_S + 0.01), 'NOMINAL')]
    stream.publish_ns[0] -= round(0.5e9)
    assert late.states() == [(START_S, 'NOMINAL')], 'said before the truth begins'


def test_a_run_without_states_has_none(tmp_path: Path) -> None:
    run = SyntheticRun(duration_s=2.0)
    run.messages = [m for m in run.messages if m[0] != 'safety/state']
    assert states(run, tmp_path) == []


def test_every_state_has_a_colour_and_begins_as_the_machine_does() -> None:
    assert Machine().state == monitor_states.INITIAL
    shown = {*STATES, monitor_states.NO_MONITOR, monitor_states.AT_REST}
    assert set(COLOURS) == set(STATE_STYLE) == shown


def test_the_live_panel_forgets_a_silent_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen()
    seen.states.append((0.0, 'NOMINAL', ''))
    seen.rates.count('safety')

    def shown() -> Any:
        return live_values(seen, 5.0, 30.0, 0.5, [])['state']

    assert shown() == 'NOMINAL'
    later = time.monotonic() + 1.5
    monkeypatch.setattr(time, 'monotonic', lambda: later)
    assert shown() == 'NO_MONITOR'


def test_a_state_said_twice_is_one(tmp_path: Path) -> None:
    run = SyntheticRun(duration_s=2.0)
    run.messages += [('safety/state', String(data='NOMINAL'), at, 2)
                     for at in np.arange(0.5, 1.5, 0.5)]
    assert [state for _, state in states(run, tmp_path)] == ['HOLD', 'NOMINAL']
