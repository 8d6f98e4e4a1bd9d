# SPDX-License-Identifier: Apache-2.0
"""What the recorder writes, standard readers decode; what is cut off, our reader still reads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from builtin_interfaces.msg import Duration, Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64, Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from visualization_msgs.msg import Marker, MarkerArray

from diffusion_control.errors import ConfigurationError, MissingDependencyError
from diffusion_control.evaluation.mcap_reader import read_recording
from diffusion_control.evaluation.mcap_writer import McapWriter
from diffusion_control.evaluation.message_definitions import full_definition


def samples() -> dict[str, tuple[str, Any]]:
    """Return one message of every type that is recorded, by topic."""
    state = JointState(name=['a', 'b'], position=[1.0, -2.0], velocity=[0.5, 0.25])
    state.header.stamp = Time(sec=12, nanosec=34)
    point = JointTrajectoryPoint(positions=[1.0, 2.0], velocities=[0.0, 0.0],
                                 time_from_start=Duration(sec=1, nanosec=5))
    marker = Marker(ns='obstacle', id=3, type=Marker.SPHERE)
    marker.pose.position.x, marker.scale.x = 0.5, 0.1
    goal = PoseStamped()
    goal.pose.orientation.w = 1.0
    return {
        'joint_states': ('sensor_msgs/msg/JointState', state),
        'planner/plan': ('trajectory_msgs/msg/JointTrajectory', JointTrajectory(
            joint_names=['a', 'b'], points=[point])),
        'obstacles': ('visualization_msgs/msg/MarkerArray', MarkerArray(markers=[marker])),
        'planner/report': ('std_msgs/msg/String', String(data='{"latency_s": 0.25}')),
        'planner/confidence': ('std_msgs/msg/Float64', Float64(data=0.75)),
        'emergency_stop': ('std_msgs/msg/Bool', Bool(data=True)),
        'command': ('std_msgs/msg/Float64MultiArray', Float64MultiArray(data=[1.0, 2.0])),
        'goal_pose': ('geometry_msgs/msg/PoseStamped', goal),
        '/clock': ('rosgraph_msgs/msg/Clock', Clock(clock=Time(sec=7))),
        '/diagnostics': ('diagnostic_msgs/msg/DiagnosticArray', DiagnosticArray(
            status=[DiagnosticStatus(name='x', values=[KeyValue(key='k', value='v')])])),
    }


def write(path: Path) -> None:
    """Write every sample once."""
    with McapWriter(path, {'robot_config': 'panda'}) as writer:
        for topic, (kind, _) in samples().items():
            writer.add_topic(topic, kind)
        for k, (topic, (_, message)) in enumerate(samples().items()):
            writer.write(topic, serialize_message(message), 1000 + k, 900 + k, sequence=k + 1)
        writer.write_writers('command', [{'gid': '0a', 'node': 'safety'}], 2000)


def same(decoded: Any, message: Any) -> bool:
    """Compare a dynamically decoded message with an rclpy message, field by field."""
    fields = getattr(message, 'get_fields_and_field_types', None)
    if fields is not None:
        return all(same(getattr(decoded, name), getattr(message, name)) for name in fields())
    if isinstance(message, bytes):  # a `byte` is bytes for rclpy, a number for the decoder
        return bytes([decoded]) == message
    if isinstance(message, str | bool | int | float):
        return bool(decoded == message)
    return len(decoded) == len(message) and all(map(same, decoded, message))


def test_standard_reader_decodes_every_type(tmp_path: Path) -> None:
    """The own reader of mcap with the ROS 2 decoder gives back every field."""
    write(tmp_path / 'run.mcap')
    with (tmp_path / 'run.mcap').open('rb') as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == 'ros2'
        wanted = samples()
        found = {}
        for schema, channel, message, decoded in reader.iter_decoded_messages(
                topics=list(wanted)):
            assert schema.encoding == 'ros2msg' and channel.message_encoding == 'cdr'
            assert same(decoded, wanted[channel.topic][1]), channel.topic
            found[channel.topic] = message
        assert set(found) == set(wanted)
        assert found['joint_states'].log_time == 1000
        assert found['joint_states'].publish_time == 900
        summary = reader.get_summary()
        assert summary is not None and summary.statistics is not None
        assert summary.statistics.message_count == len(wanted) + 1


def test_own_reader(tmp_path: Path) -> None:
    """Streams, metadata, reports and writers come back; a namespace before a topic is ignored."""
    write(tmp_path / 'run.mcap')
    recording = read_recording(tmp_path / 'run.mcap')
    assert recording.complete and recording.metadata == {'robot_config': 'panda'}
    assert recording.stream('clock').messages[0].clock.sec == 7
    assert recording.stream('report').reports == [{'latency_s': 0.25}]
    assert recording.stream('joint_states').sequence == [1]
    assert recording.writers('command') == {'0a': 'safety'}
    assert len(recording.stream('never')) == 0


def test_channel_for_each_writer(tmp_path: Path) -> None:
    """A writer that is known by its id stays apart; the topic stays one stream, in order."""
    path = tmp_path / 'run.mcap'
    with McapWriter(path) as writer:
        writer.add_topic('command', 'std_msgs/msg/Float64')
        for k, gid in ((2, 'b'), (1, 'a'), (3, 'a')):
            writer.write('command', serialize_message(Float64(data=float(k))), k, writer_id=gid)
        assert writer.counts == {'command': 3}
    stream = read_recording(path).stream('command')
    assert stream.writer == ['a', 'b', 'a'] and stream.publish_ns == [1, 2, 3]
    assert [m.data for m in stream.messages] == [1.0, 2.0, 3.0]


def test_definition_is_complete() -> None:
    """A definition holds every type it uses, once, separated as rosbag2 does."""
    text = full_definition('visualization_msgs/msg/MarkerArray')
    heads = [line for line in text.splitlines() if line.startswith('MSG: ')]
    assert 'MSG: std_msgs/Header' in heads and 'MSG: builtin_interfaces/Time' in heads
    assert len(heads) == len(set(heads)) and text.count('=' * 80) == len(heads)
    assert full_definition('std_msgs/String') == full_definition('std_msgs/msg/String')
    for name in ('nowhere_msgs/msg/X', 'std_msgs/msg/NoSuchType', 'std_msgs'):
        with pytest.raises(MissingDependencyError):
            full_definition(name)


def test_misuse_is_refused(tmp_path: Path) -> None:
    """Unknown topics and changing types are errors; after close messages are dropped."""
    writer = McapWriter(tmp_path / 'run.mcap')
    with pytest.raises(ConfigurationError, match='announced'):
        writer.write('x', b'', 1)
    writer.add_topic('x', 'std_msgs/msg/String')
    with pytest.raises(ConfigurationError, match='another type'):
        writer.add_topic('x', 'std_msgs/msg/Bool')
    writer.close()
    writer.close()
    writer.write('x', serialize_message(String(data='late')), 1)
    assert writer.dropped == 1 and writer.counts == {}


CHILD = """
import signal, sys, time
from rclpy.serialization import serialize_message
from std_msgs.msg import String
from diffusion_control.evaluation.mcap_writer import McapWriter
writer = McapWriter(sys.argv[1])
writer.add_topic('x', 'std_msgs/msg/String')
signal.signal(signal.SIGTERM, lambda *_: writer.close())
data = serialize_message(String(data='x' * 1000))
for k in range(500):
    writer.write('x', data, k + 1)
writer.flush()
print('ready', flush=True)
while not writer.dropped:
    writer.write('x', data, 1000)
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_signals(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM in the midst of writing leaves a whole file, SIGKILL all that was flushed."""
    path = tmp_path / 'run.mcap'
    child = subprocess.Popen([sys.executable, '-c', CHILD, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b'ready\n'
    os.kill(child.pid, number)
    child.wait(20)
    child.stdout.close()
    recording = read_recording(path)
    assert recording.complete is (number == signal.SIGTERM)
    assert len(recording.stream('x')) >= 500
