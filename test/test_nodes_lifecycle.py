# SPDX-License-Identifier: Apache-2.0
"""A node that is cleaned up gives back what it made, and can be configured again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra ros)')

from demo_world import environment

CYCLES = """
import json, sys
import rclpy
from diffusion_control.nodes.fallback import FallbackNode
from diffusion_control.nodes.planner import PlannerNode
from diffusion_control.nodes.safety import SafetyNode
from diffusion_control.nodes.tracker import TrackerNode

kind = {'planner': PlannerNode, 'fallback': FallbackNode, 'tracker': TrackerNode,
        'safety': SafetyNode}[sys.argv[1]]
rclpy.init(args=['--ros-args', '-p', 'robot:=base', '-p', 'autostart:=false'])
node = kind()

def counts():
    topics = sorted({name for name, _ in node.get_topic_names_and_types()})
    writers = {name: node.count_publishers(name) for name in topics}
    readers = {name: node.count_subscribers(name) for name in topics}
    return {
        'publishers': sorted(p.topic_name for p in node.publishers),
        'services': sorted(s.service_name for s in node.services),
        'timers': len(list(node.timers)),
        'writers': {name: count for name, count in writers.items() if count},
        'readers': {name: count for name, count in readers.items() if count}}

seen = [counts()]
for _ in range(2):
    for step in (node.trigger_configure, node.trigger_activate, node.trigger_deactivate):
        assert step().name == 'SUCCESS', step
    seen.append(counts())
    assert node.trigger_cleanup().name == 'SUCCESS'
    seen.append(counts())
print(json.dumps(seen))
node.destroy_node()
rclpy.shutdown()
"""


@pytest.mark.process
@pytest.mark.parametrize(('name', 'domain'), [
    ('planner', 141), ('fallback', 142), ('tracker', 143), ('safety', 144)])
def test_configure_and_cleanup_in_turn_leave_nothing_twice(name: str, domain: int) -> None:
    done = subprocess.run([sys.executable, '-c', CYCLES, name], env=environment(domain),
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    before, first, after, second, last = json.loads(done.stdout.splitlines()[-1])
    assert first == second and after == last == before
    assert len(first['publishers']) > len(before['publishers'])
    assert 'odom' in ' '.join(first['readers']) and max(first['writers'].values()) == 1


TUNING = """
import rclpy
from rclpy.parameter import Parameter
from diffusion_control.nodes.planner import PlannerNode

def asked(kind, *values):
    rclpy.init(args=['--ros-args', '-p', 'robot:=panda', '-p', f'type:={kind}',
                     '-p', 'autostart:=false'])
    node = PlannerNode()
    assert node.trigger_configure().name == 'SUCCESS'
    for value in values:
        result = node.set_parameters([Parameter('deadline_s', value=value)])[0]
        print(kind, value, result.successful, node.settings['deadline_s'])
    node.destroy_node()
    rclpy.shutdown()

asked('diffuser', 0.4, 0.2, 0.006)
asked('straight_line', 0.006)
"""


@pytest.mark.process
def test_a_network_is_not_given_less_time_than_it_was_measured_for() -> None:
    pytest.importorskip('onnxruntime', reason='needs ONNX Runtime (extra cpu)')
    done = subprocess.run([sys.executable, '-c', TUNING], env=environment(145),
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ['diffuser', '0.4', 'True', '0.4'], ['diffuser', '0.2', 'True', '0.2'],
        ['diffuser', '0.006', 'False', '0.2'], ['straight_line', '0.006', 'True', '0.006']]
