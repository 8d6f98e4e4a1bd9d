# SPDX-License-Identifier: Apache-2.0
"""The verb `record`: messages of a running publisher end up in an MCAP file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from diffusion_control import cli
from diffusion_control.middleware import local_environment

pytest.importorskip('rclpy')
PUBLISHER = """
import time
import rclpy
from sensor_msgs.msg import JointState
rclpy.init()
node = rclpy.create_node('publisher', namespace='left')
publisher = node.create_publisher(JointState, 'joint_states', 10)
end = time.monotonic() + 40
while time.monotonic() < end:
    publisher.publish(JointState(name=['panda_joint1'], position=[0.5]))
    print('up', flush=True)
    time.sleep(0.02)
"""


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> subprocess.Popen[str]:
    """Start a publisher of joint states in a domain of its own, and end it afterwards."""
    monkeypatch.setenv('ROS_DOMAIN_ID', '82')
    for name, value in local_environment().items():
        monkeypatch.setenv(name, value)
    process = subprocess.Popen(
        [sys.executable, '-c', PUBLISHER], stdout=subprocess.PIPE, text=True, env={**os.environ})
    assert process.stdout is not None
    assert 'up' in process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def command(*arguments: str) -> list[str]:
    code = 'import sys; from diffusion_control import cli; sys.exit(cli.run(sys.argv[1:]))'
    return [sys.executable, '-c', code, 'record', *arguments, '--json']


@pytest.mark.process
def test_records_for_a_time(publisher: object, tmp_path: Path) -> None:
    done = subprocess.run(
        command('--duration-s', '4', '--namespace', 'left', '--topic', 'joint_states',
                '--out', str(tmp_path)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result['messages'].pop('joint_states', 0) + result['messages'].pop(
        '/left/joint_states', 0) > 10
    assert Path(result['file']).resolve() == (tmp_path / 'latest' / 'run.mcap').resolve()


@pytest.mark.process
def test_ends_with_ctrl_c_and_a_whole_file(publisher: object, tmp_path: Path) -> None:
    recording = subprocess.Popen(
        command('--namespace', 'left', '--out', str(tmp_path)), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        recording.communicate(timeout=6)
    recording.send_signal(signal.SIGINT)
    printed, errors = recording.communicate(timeout=30)
    assert recording.returncode == 0, errors
    assert sum(json.loads(printed)['messages'].values()) > 10


@pytest.mark.process
def test_unknown_topic_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str],
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', '82')
    assert cli.run(['record', '--topic', 'gossip', '--out', str(tmp_path)]) == 2
    assert 'gossip' in capfd.readouterr().err
