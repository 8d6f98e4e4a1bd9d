# SPDX-License-Identifier: Apache-2.0
"""The whole path with real rclpy processes: goals, verified commands, the graph, the run folder.

Nothing here depends on how fast the machine is: goals, contacts and states are judged, rates are
not (`check-run` and the demo's own exit code judge those).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from demo_world import environment, harm, node_processes, run_demo, running_demo, violations

from diffusion_control.evaluation.summary_schema import validate_summary

FILES = ('summary.json', 'summary.png', 'run.mcap', 'truth.npz', 'params.yaml', 'plans.jsonl',
         'events.jsonl', 'log.txt')
OBSERVER = """
import json, sys, time
import rclpy
rclpy.init()
node = rclpy.create_node('observer')
wanted = set(sys.argv[1:])
seen = set()
end = time.monotonic() + 60
while time.monotonic() < end and not wanted <= seen:
    seen = {name for name in node.get_node_names()}
    seen |= {name for name, _ in node.get_topic_names_and_types()}
    time.sleep(0.2)
print(json.dumps(sorted(seen)))
node.destroy_node()
rclpy.shutdown()
"""
NODES = ('planner', 'tracker', 'safety', 'fallback', 'simulator', 'recorder')
TOPICS = (
    '/joint_states', '/obstacles', '/goal_pose', '/planner/plan', '/fallback/plan',
    '/tracker/motion', '/planner/candidates', '/tracker/predicted_path', '/planner/confidence',
    '/planner/report', '/tracker/report', '/safety/status', '/safety/state', '/safety/mode',
    '/joint_trajectory_controller/joint_trajectory', '/emergency_stop', '/diagnostics')


@pytest.mark.process
def test_the_arm_reaches_goals_and_the_folder_is_complete(tmp_path: Path) -> None:
    run = run_demo(tmp_path, 101, '--duration-s', '10')
    assert run.summary is not None, run.text
    assert validate_summary(run.summary) == []
    assert violations(run.summary) == {}
    assert run.summary['goals']['reached_by_planner'] >= 2
    assert [name for name in FILES if not (run.folder / name).is_file()] == []
    assert [death for death in run.summary['deaths'] if not death['expected']] == []
    assert node_processes(101) == []
    armed = [event['cause'] for event in run.events
             if event['event'] == 'state' and event['from'] in ('', 'HOLD')  # seen late: ''
             and event['to'] == 'NOMINAL']
    assert armed and all('good cycles' in cause for cause in armed), 'the cause of this change'


@pytest.mark.process
def test_another_process_sees_the_nodes_and_topics_of_the_contract(tmp_path: Path) -> None:
    with running_demo(tmp_path, 102, '--duration-s', '60'):
        done = subprocess.run(
            [sys.executable, '-c', OBSERVER, *NODES, *TOPICS],
            env={**os.environ, 'ROS_DOMAIN_ID': '102',
                 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'},
            capture_output=True, text=True, timeout=120)
        second = run_demo(tmp_path / 'second', 102)
    assert second.exit_code == 2 and 'another run is in this ROS domain' in second.text
    assert not (tmp_path / 'second').exists(), 'nothing was started'
    seen = set(json.loads(done.stdout))
    assert [name for name in (*NODES, *TOPICS) if name not in seen] == []
    assert node_processes(102) == []


@pytest.mark.process
@pytest.mark.parametrize(('kind', 'domain'), [('float64_multi_array', 103), ('joint_state', 104)])
def test_single_sample_receivers_are_driven_without_harm(
    tmp_path: Path, kind: str, domain: int
) -> None:
    run = run_demo(tmp_path, domain, '--duration-s', '8', '--output-type', kind)
    assert run.summary is not None, run.text
    assert harm(run.summary) == {}
    assert run.summary['goals']['reached'] >= 1


@pytest.mark.process
def test_another_robot_needs_no_code(tmp_path: Path) -> None:
    run = run_demo(tmp_path, 105, '--duration-s', '8', '--robot-config', 'ur5')
    assert run.summary is not None, run.text
    assert violations(run.summary) == {}
    assert run.summary['goals']['reached'] >= 1


@pytest.mark.process
def test_nodes_end_by_themselves_when_their_parent_is_gone(tmp_path: Path) -> None:
    code = ('import subprocess, sys, time; '
            'subprocess.Popen([sys.executable, "-m", "diffusion_control.nodes.simulator"]); '
            'time.sleep(8)')
    parent = subprocess.Popen([sys.executable, '-c', code], env=environment(106))
    deadline = time.monotonic() + 30
    while not node_processes(106) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert node_processes(106)
    parent.wait(timeout=30)
    deadline = time.monotonic() + 30
    while node_processes(106) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert node_processes(106) == []
