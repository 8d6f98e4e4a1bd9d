# SPDX-License-Identifier: Apache-2.0
"""The recorder node: the bytes of every topic of a run into one MCAP file."""

from __future__ import annotations

import copy
import importlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError, require_known
from diffusion_control.evaluation.mcap_writer import McapWriter
from diffusion_control.nodes.control_node import ControlNode, leave, run
from diffusion_control.nodes.outputs import OUTPUT_MESSAGES
from diffusion_control.nodes.qos import LATCHED, SENSOR, STANDARD
from diffusion_control.nodes.taps import Arrival

LATCHED_TOPICS = ('safety/state', 'safety/mode', 'robot_description', 'map', 'map_to_odom')
TOPICS = {
    'joint_states': 'sensor_msgs/msg/JointState',
    'obstacles': 'visualization_msgs/msg/MarkerArray',
    'goal_pose': 'geometry_msgs/msg/PoseStamped',
    'goal_joints': 'sensor_msgs/msg/JointState',
    'emergency_stop': 'std_msgs/msg/Bool',
    'planner/plan': 'trajectory_msgs/msg/JointTrajectory',
    'fallback/plan': 'trajectory_msgs/msg/JointTrajectory',
    'tracker/motion': 'trajectory_msgs/msg/JointTrajectory',
    'safety/committed': 'trajectory_msgs/msg/JointTrajectory',
    'planner/confidence': 'std_msgs/msg/Float64',
    'planner/candidates': 'visualization_msgs/msg/MarkerArray',
    'tracker/predicted_path': 'visualization_msgs/msg/MarkerArray',
    'planner/report': 'std_msgs/msg/String',
    'fallback/report': 'std_msgs/msg/String',
    'tracker/report': 'std_msgs/msg/String',
    'safety/status': 'std_msgs/msg/String',
    'safety/state': 'std_msgs/msg/String',
    'safety/mode': 'std_msgs/msg/String',
    'simulator/report': 'std_msgs/msg/String',
    '/diagnostics': 'diagnostic_msgs/msg/DiagnosticArray',
    '/clock': 'rosgraph_msgs/msg/Clock',
}
BASE_TOPICS = {
    'odom': 'nav_msgs/msg/Odometry',
    'scan': 'sensor_msgs/msg/LaserScan',
    'map': 'nav_msgs/msg/OccupancyGrid',
    'map_to_odom': 'geometry_msgs/msg/TransformStamped',
    'planner/path': 'nav_msgs/msg/Path',
    'planner/plan': 'trajectory_msgs/msg/MultiDOFJointTrajectory',
    'fallback/plan': 'trajectory_msgs/msg/MultiDOFJointTrajectory',
    'tracker/motion': 'trajectory_msgs/msg/MultiDOFJointTrajectory',
    'safety/committed': 'trajectory_msgs/msg/MultiDOFJointTrajectory',
}
FLUSH_S = 1.0
POLL_S = 0.02
DEPTH = 200


class RecorderNode(ControlNode):
    """Write every message of the package's topics as it came over the wire."""

    def __init__(self) -> None:
        """Declare parameters."""
        super().__init__('recorder')
        self._flushed_s = 0.0
        self._writers: dict[str, list[dict[str, str]]] = {}

    def configure(self) -> None:
        """Open `run.mcap` and subscribe to all topics."""
        robot = robots.load(self.settings['robot'])
        kind = self.settings['command_type'] or robot.controller.command_type
        command = self.settings['command_topic'] or robot.controller.command_topic
        folder = Path(self.settings['out'])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.file = McapWriter(folder / 'run.mcap')
        except OSError as error:
            raise ConfigurationError(
                f'the recording cannot be written: {error.strerror}', where='recorder.out',
                value=str(folder), allowed='a folder that may be written') from error
        self.file.set_run_metadata({
            'robot_config': self.settings['robot'], 'command_topic': command,
            'command_type': kind, **self._metadata()})
        self._taps = self.make_taps()
        wanted = [name for name in self.settings['topics'] if name]
        topics = {**topics_of(robot.kind), command: OUTPUT_MESSAGES[kind]}
        for name in wanted or topics:
            require_known('unknown topic', 'recorder.topics', name, topics)
            self._subscribe(name, topics[name])
        self._command = command

    def activate(self) -> None:
        """Begin to write."""
        self._loop = self.make_loop(POLL_S, self._tick, self.report_error)
        self._loop.start()

    def deactivate(self) -> None:
        """Finish the file."""
        self._loop.stop()
        self._taps.poll()
        self.file.close()

    def diagnose(self) -> tuple[int, str, dict[str, object]]:
        """Report how much was written."""
        if not self.active:
            return 0, 'inactive', {}
        return 0, 'recording', {'messages': sum(self.file.counts.values())}

    def _metadata(self) -> dict[str, Any]:
        text = self.settings['metadata']
        try:
            values = json.loads(text) if text else {}
        except ValueError as error:
            raise ConfigurationError(
                'metadata is not JSON', where='recorder.metadata', value=text,
                allowed='a JSON object') from error
        return dict(values)

    def _subscribe(self, name: str, type_name: str) -> None:
        package, _, kind = type_name.split('/')
        message_type = getattr(importlib.import_module(f'{package}.msg'), kind)
        self.file.add_topic(name, type_name)
        profile = STANDARD
        if name in LATCHED_TOPICS:
            profile = LATCHED
        elif name in ('joint_states', 'odom', 'scan', '/clock'):
            profile = SENSOR
        profile = copy.copy(profile)
        if name not in LATCHED_TOPICS:
            profile.depth = DEPTH
        self._taps.subscribe(message_type, name, self._callback(name), profile, raw=True)

    def _callback(self, name: str) -> Callable[[bytes, Arrival], None]:
        def receive(data: bytes, arrival: Arrival) -> None:
            self.file.write(
                name, data, arrival.received_ns, arrival.sent_ns, sequence=arrival.sequence)
        return receive

    def _tick(self) -> None:
        self._taps.poll()
        if time.monotonic() - self._flushed_s >= FLUSH_S:
            self._flushed_s = time.monotonic()
            self._flush()

    def _flush(self) -> None:
        for name in (self._command, 'planner/plan', 'tracker/motion'):
            writers = [
                {'gid': bytes(info.endpoint_gid).hex(), 'node': info.node_name}
                for info in self.get_publishers_info_by_topic(name)]
            if writers != self._writers.get(name):
                self._writers[name] = writers
                self.file.write_writers(name, writers, time.time_ns())
        self.file.flush()


def topics_of(kind: str) -> dict[str, str]:
    """Return the topics of a kind of robot and their types."""
    if kind != 'base':
        return TOPICS
    return {**{name: type_name for name, type_name in TOPICS.items() if name != 'joint_states'},
            **BASE_TOPICS}


def main(args: Sequence[str] | None = None) -> int:
    """Run the recorder node."""
    return run('recorder', RecorderNode, args)


if __name__ == '__main__':
    leave(main())
