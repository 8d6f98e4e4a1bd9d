# SPDX-License-Identifier: Apache-2.0
"""`summary.json` has every key of the contract and no other; picture, tables and folder work."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from rich.console import Console
from std_msgs.msg import String
from synthetic_run import SyntheticRun

from diffusion_control.errors import ConfigurationError
from diffusion_control.evaluation.check_run import check_run
from diffusion_control.evaluation.judgement import Judgement, judge_run
from diffusion_control.evaluation.run_folder import RunFolder, finite
from diffusion_control.evaluation.summary import time_in_state
from diffusion_control.evaluation.summary_schema import SCHEMA, fill, validate_summary
from diffusion_control.evaluation.tables import closing_table, live_panel

# The contract's own words (section 2), read by `keys_of`: {..} holds keys, [..] a list of objects,
# {} and {REASON: n} and {node} are open maps.
CONTRACT = """
commit, command, exit_code, robot, planner, seed, duration_s, real_time_factor, first_motion_s,
host{cpu, cores, python, fifo, load_mean, empty_loop_p99_s},
plant{mass_scale, friction_scale, delay_s, payload_kg, noise_rad, drop_rate},
goals{reached, reached_by_planner, attempted, time_mean_s},
rates{planner, tracker, safety, command, joint_states: {mean_hz, period_std_s, period_min_s,
period_max_s, period_p99_s, gaps_over_50ms}},
plan{count, latency_p50_s, latency_p99_s, evaluations_mean, source_fraction{diffusion,
training_free, library, classical, other}, rejected{}, mode_flips, switch_jump_max,
switch_velocity_jump_max},
tracking{rms_q_rad, rms_tool_m, p99_tool_m},
tracker{cpu_p50_s, cpu_p99_s, wall_p99_s, iterations_mean, warm_start_fraction{plan, shifted,
cold}, missed_ticks{receive, state, reference, build, solve, check, publish}},
safety{cpu_p50_s, cpu_p99_s, interventions, fallback_ticks, final_state, time_in_state_s{}, h_min,
clearance_min_m, slack_max},
violations{position, velocity, acceleration, torque, self_or_wall, contact_moving,
contacts_at_rest, unverified_command},
faults[{name, t_s, speed_at_fault, detection_s, first_brake_s, rest_s, state_path,
expected_state, ok}],
deaths[{node, expected}], memory_mb{}
"""
NOTES: dict[str, Any] = {
    'commit': 'abc', 'command': 'diffusion_control demo', 'exit_code': 0,
    'planner': 'training_free', 'seed': 7, 'real_time_factor': 1.0, 'first_motion_s': 6.5,
    'host': {'cpu': 'x', 'cores': 2, 'python': '3.11', 'fifo': False, 'load_mean': 0.5,
             'empty_loop_p99_s': 0.012},
    'plant': {'mass_scale': [1.0, 1.1], 'friction_scale': 1.0, 'delay_s': 0.01,
              'payload_kg': 0.0, 'noise_rad': 1e-4, 'drop_rate': 0.0},
    'faults': [{'name': 'planner_kill', 't_s': 0.8, 'speed_at_fault': 0.6,
                'state_path': ['NOMINAL', 'DEGRADED'], 'expected_state': 'FALLBACK', 'ok': False}],
    'deaths': [{'node': 'planner', 'expected': True}, {'node': 'tracker', 'expected': False}],
    'memory_mb': {'planner': 120.0},
}


def keys_of(text: str) -> Any:
    """Return the contract's notation as nested dicts, lists of one object, None for values."""
    tokens = re.findall(r'\w+|[{}\[\],:]', text)

    def block(stop: str | None) -> dict[str, Any]:
        result: dict[str, Any] = {}
        names: list[str] = []
        while tokens and tokens[0] != stop:
            token = tokens.pop(0)
            if token == ':':  # the value of all names before it
                tokens.pop(0)
                shared = block('}')
                result.update(dict.fromkeys(result, shared))
            elif token == '{':
                result[names[-1]] = block('}')
            elif token == '[':
                tokens.pop(0)
                result[names[-1]] = [block('}')]
                tokens.pop(0)
            elif token != ',':
                names.append(token)
                result[token] = None
        if tokens:
            tokens.pop(0)
        return result
    return block(None)


def plain(schema: Any) -> Any:
    """Return a schema with its open maps as empty dicts, as the contract writes them."""
    if isinstance(schema, dict):
        return {} if set(schema) == {'*'} else {k: plain(v) for k, v in schema.items()}
    return [plain(schema[0])] if isinstance(schema, list) else None


@pytest.fixture(scope='module')
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judgement:
    """Return a judged run with a moving obstacle, two goals and changes of state."""
    run = SyntheticRun(
        duration_s=2.0, obstacles=((0.2, 0.9, 0.3, 0.05), (0.6, -0.8, 0.5, 0.1)))
    seconds = run.truth['t_s'] - run.truth['t_s'][0]
    run.truth['obstacles'][:, 1, 1] += 0.2 * seconds
    run.truth['q'] = run.truth['cmd'] + 0.002
    run.messages = [m for m in run.messages if m[0] != 'obstacles']
    for k, at in enumerate(np.arange(0.0, 2.0, 0.02)):
        run.messages.append(('obstacles', run.markers(at), at, k + 1))
    run.goal(0.1, run.robot.home_rad + 0.3)
    run.goal_pose(1.0, [0.4, 0.2, 0.5])
    run.messages += [('safety/state', String(data=name), at, 2)
                     for name, at in (('DEGRADED', 0.9), ('NOMINAL', 1.4))]
    return judge_run(run.write(tmp_path_factory.mktemp('run')), NOTES)


def test_schema_is_the_contract() -> None:
    """The schema in the code is the contract's list, with the schema version before it."""
    assert plain(SCHEMA) == {'schema_version': None, **keys_of(CONTRACT)}


def test_summary_is_complete(judged: Judgement) -> None:
    """Every key is there; the file holds the same; check_run's numbers are the summary's."""
    summary = json.loads(judged.run.folder.summary_json.read_text())
    assert summary == json.loads(json.dumps(judged.summary))
    assert validate_summary(summary) == []
    again = check_run(judged.run.folder.path)['rows'][0]
    for key in ('rates', 'violations', 'plan', 'tracking'):
        assert summary[key] == finite(again[key])


def test_summary_values(judged: Judgement) -> None:
    """What was put into the run comes out, by name."""
    summary = judged.summary
    assert summary['schema_version'] == 1 and summary['robot'] == 'arm' and summary['seed'] == 7
    assert summary['tracking']['rms_q_rad'] == pytest.approx(0.002)
    assert 1e-4 < summary['tracking']['rms_tool_m'] < 5e-3
    assert summary['tracker']['cpu_p50_s'] == pytest.approx(0.0015)
    assert summary['tracker']['iterations_mean'] == 2.0
    assert summary['tracker']['warm_start_fraction'] == {'plan': 0.5, 'shifted': 0.5, 'cold': 0.0}
    assert summary['tracker']['missed_ticks']['receive'] == 9
    assert summary['tracker']['missed_ticks']['check'] is None
    safety = summary['safety']
    assert safety['interventions'] == 18 and safety['fallback_ticks'] == 9
    assert safety['final_state'] == 'NOMINAL'
    assert safety['time_in_state_s']['DEGRADED'] == pytest.approx(0.5)
    assert safety['h_min'] == pytest.approx(0.091)
    assert safety['clearance_min_m'] == pytest.approx(0.2)
    assert summary['plan']['count'] == 10
    assert summary['plan']['latency_p50_s'] == pytest.approx(0.145)
    assert summary['goals']['attempted'] == 1 and summary['goals']['reached'] == 0
    assert summary['faults'][0]['rest_s'] is None and summary['faults'][0]['ok'] is False


def test_bound_of_p99_follows_the_empty_loop(judged: Judgement) -> None:
    """The bound is 1.3 times what an empty loop does on this machine, at least 15 ms."""
    bound = {c['name']: c['bound'] for c in judged.result['checks']}['command_period_p99_s']
    assert bound == pytest.approx(1.3 * 0.012)


def test_validator_names_what_is_wrong(judged: Judgement) -> None:
    """Missing and extra keys are named by their place."""
    broken = json.loads(json.dumps(judged.summary))
    del broken['plan']['source_fraction']['other'], broken['deaths'][0]['node']
    broken['safety']['mood'], broken['memory_mb'] = 'good', None
    assert sorted(validate_summary(broken)) == [
        'deaths[0].node is missing', 'memory_mb is no object',
        'plan.source_fraction.other is missing', 'safety.mood is extra']
    assert validate_summary(fill({}, SCHEMA)) == []


def test_time_in_state_adds_up() -> None:
    """A state that is entered twice counts twice; the last lasts to the end."""
    changes = [(1.0, 'A'), (2.0, 'B'), (4.0, 'A')]
    assert time_in_state(changes, 5.5) == {'A': 2.5, 'B': 2.0}


def test_picture(judged: Judgement) -> None:
    """The picture is drawn at README width and is not empty."""
    pixels = matplotlib.image.imread(judged.run.folder.summary_png)
    assert pixels.shape[1] > 1000 and pixels.shape[0] > 600
    assert len(np.unique(pixels[::4, ::4, :3].reshape(-1, 3), axis=0)) > 100


def test_tables(judged: Judgement) -> None:
    """Closing table and live panel say what happened, also where nothing was measured."""
    console = Console(width=120, record=True, file=open('/dev/null', 'w'))
    console.print(closing_table(judged.summary))
    text = console.export_text()
    for part in ('0 of 1 reached', 'none', 'planner_kill', 'FAILED', '100.0 Hz', '1 STALE',
                 'died unexpectedly: tracker'):
        assert part in text
    console.print(closing_table(fill({}, SCHEMA)))
    console.print(live_panel({}))
    console.print(live_panel({
        'state': 'HOLD', 'cause': 'obstacles stale', 'rates_hz': {'command': 99.94},
        'speed_share': 0.5, 'clearance_m': 0.031}))
    text = console.export_text()
    for part in ('HOLD', 'cause: obstacles stale', 'command 99.9', '50%', '31 mm'):
        assert part in text


def test_tables_fit_in_80_columns(judged: Judgement) -> None:
    """Nothing is cut, folded within a word or behind the 80th column, whatever happened."""
    fault = {
        'name': 'joint_states_stop', 't_s': 12.53, 'speed_at_fault': 1.0, 'detection_s': 0.058,
        'first_brake_s': 1.518, 'rest_s': 10.26, 'expected_state': 'EMERGENCY', 'ok': False,
        'seed': 12, 'state_path': ['NOMINAL', 'STOPPING', 'HOLD', 'DEGRADED', 'EMERGENCY']}
    rate = dict.fromkeys(judged.summary['rates']['command'], 2.30017)
    console = Console(width=80, record=True, file=open('/dev/null', 'w'))
    console.print(closing_table({
        **judged.summary, 'faults': [fault, {**fault, 'name': 'plan_nan'}],
        'rates': dict.fromkeys(judged.summary['rates'], rate)}))
    lines = console.export_text().splitlines()
    assert max(len(line) for line in lines) <= 80
    rows = [line.split() for line in lines]
    assert ['joint_states_stop', '12.53', 's', '100%', '58', 'ms', '1518', 'ms', '10.26', 's',
            'EMERGENCY', 'FAILED'] in rows
    assert rows.count(['seed', '12', 'NOMINAL', '→', 'STOPPING', '→', 'HOLD', '→', 'DEGRADED',
                       '→', 'EMERGENCY']) == 2
    assert ['joint_states', '2.3', 'Hz', *['2300.17'] * 4, '2'] in rows
    assert ['latency', 'p50', '/', 'p99', '145', '/', '189', 'ms'] in rows


def test_run_folder(tmp_path: Path) -> None:
    """Names by UTC time, a second one in the same second, and `latest` follows when asked to."""
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first = RunFolder.create(tmp_path, now)
    second = RunFolder.create(tmp_path, now)
    assert first.path.name == '20260102T030405Z' and second.path.name == '20260102T030405Z-2'
    assert not (tmp_path / 'latest').exists(), 'nothing is finished yet'
    first.make_latest()
    assert RunFolder.open(tmp_path / 'latest').path == first.path.resolve()
    second.make_latest()
    assert RunFolder.open(tmp_path / 'latest').path == second.path.resolve()
    second.append_event('safety', 'state', from_state='NOMINAL', to_state='HOLD',
                        cause='c', action='a', t_steady_s=1.5)
    second.append_plan({'latency_s': float('nan'), 'scores': np.array([1.0, 2.0])})
    second.append_log('line')
    second.write_params({'safety': {'ros__parameters': {'rate_hz': 100.0}}})
    assert json.loads(second.events_jsonl.read_text()) == {
        't_steady_s': 1.5, 'node': 'safety', 'event': 'state', 'from': 'NOMINAL', 'to': 'HOLD',
        'cause': 'c', 'action': 'a'}
    assert json.loads(second.plans_jsonl.read_text()) == {'latency_s': None, 'scores': [1.0, 2.0]}
    assert second.log_txt.read_text() == 'line\n' and 'rate_hz' in second.params_yaml.read_text()
    with pytest.raises(ConfigurationError, match='no run folder'):
        RunFolder.open(tmp_path / 'nothing')
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigurationError, match='cannot be made'):
        RunFolder.create(tmp_path / 'file', now)
