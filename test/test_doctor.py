# SPDX-License-Identifier: Apache-2.0
"""The doctor: each complaint has a remedy, and each kind of trouble is really found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diffusion_control import cli
from diffusion_control.doctor import Finding, check_host, check_software, host, software, summary
from diffusion_control.doctor.finding import print_findings
from diffusion_control.doctor.robot import check_robot, joints_finding, movable_joints

URDF = """<robot name="r"><link name="a"/><link name="b"/><link name="c"/><link name="d"/>
<joint name="j1" type="revolute"><parent link="a"/><child link="b"/></joint>
<joint name="j2" type="prismatic"><parent link="b"/><child link="c"/></joint>
<joint name="fix" type="fixed"><parent link="c"/><child link="d"/></joint></robot>"""


def by_check(findings: Any) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


def test_a_complaint_needs_a_remedy() -> None:
    with pytest.raises(ValueError, match='remedy'):
        Finding('x', 'warn', 'odd')


@pytest.mark.parametrize(('codes', 'expected'), [
    ((), 0), ((1,), 1), ((3,), 3), ((3, 1), 3), ((1, 2, 3), 2)])
def test_exit_code_is_that_of_the_first_kind(codes: tuple[int, ...], expected: int) -> None:
    findings = [Finding('a', 'ok', 'x'), Finding('b', 'warn', 'x', 'y', code=2)]
    findings += [Finding('c', 'error', 'x', 'y', code=code) for code in codes]
    result = summary(findings)
    assert result['exit_code'] == expected
    assert set(result['findings'][0]) == {'check', 'level', 'detail', 'remedy'}


def test_this_machine() -> None:
    found = by_check(check_host())
    assert found['python'].level == 'ok'
    assert {'cores', 'SCHED_FIFO', 'mlockall'} <= set(found)


def test_missing_permissions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.os, 'geteuid', lambda: 1000)
    def refuse(*_: object) -> None:
        raise PermissionError('Operation not permitted')
    monkeypatch.setattr(host.os, 'sched_setscheduler', refuse)
    monkeypatch.setattr(host.resource, 'getrlimit', lambda which: (0, 0))
    found = by_check(host._real_time())
    assert found['SCHED_FIFO'].level == found['mlockall'].level == 'warn'
    assert 'limits.d' in found['SCHED_FIFO'].remedy


def test_the_table_keeps_the_extra_of_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings([Finding('backend', 'warn', 'none', "pip install 'x[cpu]'")])
    assert "'x[cpu]'" in capsys.readouterr().out


def test_full_shared_memory_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host, 'SHARED_MEMORY', tmp_path)
    monkeypatch.setattr(host, 'SHARED_MEMORY_LEAST', 2**62)
    assert next(host._shared_memory()).level == 'warn'
    monkeypatch.setattr(host, 'SHARED_MEMORY_LEAST', 0)
    assert next(host._shared_memory()).level == 'ok'


@pytest.mark.parametrize(('text', 'level', 'code'), [
    ('0', 'ok', 0), ('101', 'ok', 0), ('150', 'warn', 0), ('233', 'error', 2), ('x', 'error', 2),
    ('-1', 'error', 2), ('', 'ok', 0)])
def test_domain(text: str, level: str, code: int) -> None:
    finding = by_check(software._domain({'ROS_DOMAIN_ID': text}))['domain']
    assert finding.level == level
    assert summary([finding])['exit_code'] == code


def test_localhost_only_is_deprecated() -> None:
    assert by_check(software._domain({'ROS_LOCALHOST_ONLY': '1'}))['discovery'].level == 'warn'


def versions(table: dict[str, str]) -> Any:
    def version(name: str) -> str:
        if name not in table:
            raise software.metadata.PackageNotFoundError(name)
        return table[name]
    return version


@pytest.mark.parametrize(('installed', 'environment', 'level'), [
    ({'ros-rclpy': '7.1.6'}, {}, 'ok'),
    ({'ros-rclpy': '9.1.2'}, {}, 'error'),
    ({'ros-rclpy': '7.1.6'}, {'ROS_DISTRO': 'jazzy'}, 'warn'),
    ({}, {'ROS_DISTRO': 'jazzy'}, 'ok')])
def test_wheels_and_installation(
    installed: dict[str, str], environment: dict[str, str], level: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(software.metadata, 'version', versions(installed))
    monkeypatch.setattr(software, 'find_spec', lambda name: object())
    assert software._ros(environment).level == level


def test_missing_ros_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, 'find_spec', lambda name: None)
    finding = software._ros({})
    assert (finding.level, finding.code) == ('error', 3)
    assert 'diffusion_control[ros]' in finding.remedy


def test_security_is_refused_by_the_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {'ROS_SECURITY_ENABLE': 'true'}
    monkeypatch.setattr(software.metadata, 'version', versions({'ros-rclpy': '7.1.6'}))
    assert by_check(software._security(asked))['security'].level == 'error'
    assert not list(software._security({}))
    monkeypatch.setattr(software.metadata, 'version', versions({}))
    assert by_check(software._security(asked))['security'].level == 'ok'


def test_missing_requirement_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ['numpy>=2', 'warp-drive>=9', "torch==2; extra == 'train'"]
    assert software.requirements(wanted) == ['numpy', 'warp-drive']
    monkeypatch.setattr(software.metadata, 'requires', lambda name: wanted)
    monkeypatch.setattr(software.metadata, 'version', versions({'diffusion_control': '0.1.0'}))
    finding = software._packages()
    assert (finding.level, finding.code) == ('error', 3)
    assert 'warp-drive' in finding.detail and 'numpy' not in finding.detail


def test_environment_of_this_run_is_complete() -> None:
    assert all(finding.remedy for finding in check_software({})
               if finding.level in ('warn', 'error'))


def test_absent_optional_software_is_not_ok_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(software, 'available_backends', lambda: {
        'onnx': (False, 'onnxruntime is not installed'), 'torch': (True, 'torch 2')})
    monkeypatch.setattr(software, 'find_spec', lambda name: None)
    found = by_check([*software._backends(), *software._ros_extras()])
    assert {name: finding.level for name, finding in found.items()} == {
        'inference backends': 'ok', 'backend onnx': 'absent', 'ROS 2 extras': 'absent'}
    assert 'tf2_ros' in found['ROS 2 extras'].detail
    assert summary(list(found.values()))['exit_code'] == 0
    print_findings(list(found.values()))
    assert '2 absent, 1 ok, 0 warn, 0 error' in capsys.readouterr().out
    monkeypatch.setattr(software, 'available_backends', lambda: {'onnx': (False, 'why')})
    assert {finding.level for finding in software._backends()} == {'absent'}
    monkeypatch.setattr(software, 'find_spec', lambda name: object())
    assert not list(software._ros_extras())


def test_joint_names_against_the_urdf() -> None:
    assert movable_joints(URDF) == ('j1', 'j2')
    assert joints_finding(('j2', 'j1'), URDF).level == 'ok'
    assert 'not driven: j1' in joints_finding(('j2',), URDF).detail
    wrong = joints_finding(('j1', 'elbow', 'fix'), URDF)
    assert (wrong.level, wrong.code) == ('error', 2)
    assert 'elbow, fix' in wrong.detail and 'j1, j2' in wrong.remedy


@pytest.mark.parametrize('name', ['panda', 'ur5'])
def test_robot_files_that_ship(name: str) -> None:
    found = by_check(check_robot(name))
    assert found['robot'].level == found['joint names'].level == 'ok'


def test_unknown_robot_is_exit_code_2() -> None:
    found = by_check(check_robot('r2d2'))
    assert summary(list(found.values()))['exit_code'] == 2


def test_json_of_the_verb(capfd: pytest.CaptureFixture[str]) -> None:
    code = cli.run(['doctor', '--listen-s', '0', '--json'])
    result = json.loads(capfd.readouterr().out)
    assert code == result['exit_code'] == 0
    assert {'python', 'ROS 2', 'robot', 'joint names'} <= {
        row['check'] for row in result['findings']}


INTRUDERS = """
import select, sys
import rclpy
from rclpy.qos import QoSProfile, DurabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory
nodes = []
for name in ('safety', 'rogue'):
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes.append(rclpy.create_node(name, context=context))
command = 'joint_trajectory_controller/joint_trajectory'
keep = [node.create_publisher(JointTrajectory, command, 10) for node in nodes]
keep += [node.create_publisher(JointTrajectory, 'planner/plan', 10) for node in nodes]
keep.append(nodes[1].create_publisher(Float64MultiArray, 'planner/confidence', 10))
keep.append(nodes[0].create_publisher(String, 'planner/confidence', 10))
keep.append(nodes[0].create_publisher(String, 'safety/mode', 10))
latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
keep.append(nodes[1].create_subscription(String, 'safety/mode', print, latched))
states = nodes[0].create_publisher(JointState, 'joint_states', 10)
while not select.select([sys.stdin], [], [], 0.05)[0]:  # until the parent closes it
    states.publish(JointState(name=['panda_joint1'], position=[0.0]))
    print('up', flush=True)
for node in nodes:
    node.destroy_node()
    rclpy.shutdown(context=node.context)
"""


@pytest.mark.process
def test_running_graph_with_intruders(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip('rclpy')
    monkeypatch.setenv('ROS_DOMAIN_ID', '83')
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    intruders = subprocess.Popen(
        [sys.executable, '-c', INTRUDERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env={**os.environ})
    try:
        assert intruders.stdout is not None
        assert 'up' in intruders.stdout.readline()
        code = cli.run(['doctor', '--listen-s', '4', '--json'])
        intruders.communicate(timeout=20)  # ends by itself, so that no shared memory stays behind
    finally:
        intruders.kill()
        intruders.wait()
    rows = json.loads(capfd.readouterr().out)['findings']
    found = {row['check']: row for row in rows}
    assert code == 2, 'joint names that do not fit are a configuration error'
    assert found['command']['level'] == 'error' and '/rogue' in found['command']['detail']
    assert found['plans']['level'] == 'warn'
    assert found['types']['level'] == 'error' and 'Float64MultiArray' in found['types']['detail']
    assert found['QoS']['level'] == 'error' and 'safety/mode' in found['QoS']['detail']
    assert found['joint states']['level'] == 'error'
    assert 'panda_joint2' in found['joint states']['detail']
    assert '/safety' in found['nodes']['detail']
