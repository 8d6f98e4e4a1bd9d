# SPDX-License-Identifier: Apache-2.0
"""Runs with known faults: truth.npz and run.mcap as simulator and recorder write them."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import PoseStamped
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from visualization_msgs.msg import Marker, MarkerArray

from diffusion_control import robots
from diffusion_control.evaluation.mcap_writer import McapWriter
from diffusion_control.simulation.truth import ONSET_TYPE

START_S = 1_790_000_000.0
AMPLITUDE, OMEGA = 0.4, 1.5
TYPES = {
    'joint_trajectory_controller/joint_trajectory': 'trajectory_msgs/msg/JointTrajectory',
    'planner/plan': 'trajectory_msgs/msg/JointTrajectory',
    'tracker/motion': 'trajectory_msgs/msg/JointTrajectory',
    'safety/committed': 'trajectory_msgs/msg/JointTrajectory',
    'joint_states': 'sensor_msgs/msg/JointState',
    'goal_joints': 'sensor_msgs/msg/JointState',
    'goal_pose': 'geometry_msgs/msg/PoseStamped',
    'obstacles': 'visualization_msgs/msg/MarkerArray',
    'planner/report': 'std_msgs/msg/String',
    'tracker/report': 'std_msgs/msg/String',
    'safety/status': 'std_msgs/msg/String',
    'safety/state': 'std_msgs/msg/String',
    'planner/confidence': 'std_msgs/msg/Float64',
}
COMMAND = 'joint_trajectory_controller/joint_trajectory'


@cache
def panda() -> Any:
    """Return the robot, loaded once."""
    return robots.load('panda')


def stamp(seconds: float) -> Time:
    """Return a Time message."""
    whole = round(seconds * 1e9)
    return Time(sec=whole // 10**9, nanosec=whole % 10**9)


@dataclass
class SyntheticRun:
    """A run of the Panda along a cosine, free of faults until a test puts some in.

    Attributes:
        duration_s: Length [s].
        truth: Arrays of truth.npz.
        messages: (topic, message, sent at [s after the start], sequence).
    """

    duration_s: float = 2.0
    obstacles: tuple[tuple[float, float, float, float], ...] = ((0.2, 0.9, 0.3, 0.05),)
    amplitude: float = AMPLITUDE
    robot: Any = field(default_factory=panda)
    types: dict[str, str] = field(default_factory=lambda: dict(TYPES))
    truth: dict[str, Any] = field(default_factory=dict)
    messages: list[tuple[str, Any, float, int]] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    writers: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Fill in the ground truth and all messages of a fault-free run."""
        self.metadata = {'robot_config': 'panda', 'command_topic': COMMAND,
                         'command_type': 'joint_trajectory', **self.metadata}
        t = np.arange(0.0, self.duration_s, 1e-3)
        q, dq, ddq = self.curve(t)
        count, dof = q.shape
        centres = np.tile(np.array(self.obstacles).reshape(1, -1, 4), (count, 1, 1))
        self.truth = {
            't_s': START_S + t, 'q': q, 'dq': dq, 'ddq': ddq, 'tau_demand': np.zeros((count, dof)),
            'cmd': q.copy(), 'contacts': np.zeros((count, 2), dtype=np.int64),
            'contact_pairs': [], 'point_speed_max_m_s': np.abs(dq).max(axis=1),
            'distance_min_m': np.full(count, 0.2), 'obstacles': centres,
            'joint_names': np.array(self.robot.joint_names), 'exempt': np.zeros(count, bool)}
        for k, at in enumerate(np.arange(0.0, self.duration_s, 0.01)):
            message = self.command(at)
            for topic in (COMMAND, 'tracker/motion', 'safety/committed'):
                self.messages.append((topic, message, at, k + 1))
        for k, at in enumerate(np.arange(0.0, self.duration_s, 0.02)):
            self.messages.append(('obstacles', self.markers(at), at, k + 1))
        for k, at in enumerate(np.arange(0.0, self.duration_s, 0.005)):
            self.messages.append(('joint_states', self.joint_state(at), at, k + 1))
        self._reports()

    def curve(self, t: Any) -> tuple[Any, Any, Any]:
        """Return position, velocity, acceleration [len(t), n] of the motion."""
        t = np.asarray(t, dtype=float)[:, None]
        shape = np.ones((1, self.robot.dof)) * np.array([1, 0.5, -0.7, 0.3, 0.2, 0.6, -1.0])
        a, w = self.amplitude * shape, OMEGA
        return (self.robot.home_rad + a * (1 - np.cos(w * t)) / 2, a * w * np.sin(w * t) / 2,
                a * w * w * np.cos(w * t) / 2)

    def command(self, at: float, offset_rad: float = 0.0) -> JointTrajectory:
        """Return lead of 40 ms on the curve and a constant deceleration to rest in 0.2 s."""
        lead = np.array([0.0, 0.02, 0.04])
        q, v, _ = self.curve(at + lead)
        stop_q = q[-1] + v[-1] * 0.1
        q = np.vstack([q, stop_q]) + offset_rad
        return self.trajectory(at, np.append(lead, 0.24), q, np.vstack([v, 0 * v[-1]]))

    def trajectory(self, at: float, times: Any, q: Any, v: Any) -> JointTrajectory:
        """Return a JointTrajectory message."""
        message = JointTrajectory(joint_names=list(self.robot.joint_names))
        message.header.stamp = stamp(START_S + at)
        for k, time in enumerate(times):
            whole = round(float(time) * 1e9)
            message.points.append(JointTrajectoryPoint(
                positions=array('d', q[k]), velocities=array('d', v[k]),
                time_from_start=Duration(sec=whole // 10**9, nanosec=whole % 10**9)))
        return message

    def markers(self, at: float) -> MarkerArray:
        """Return all obstacles as they are at a time."""
        row = self.truth['obstacles'][min(round(at * 1000), len(self.truth['t_s']) - 1)]
        out = MarkerArray()
        for k, (x, y, z, r) in enumerate(row):
            marker = Marker(ns='obstacle', id=k, type=Marker.SPHERE, action=Marker.ADD)
            marker.header.stamp, marker.header.frame_id = stamp(START_S + at), 'panda_link0'
            marker.pose.position.x, marker.pose.position.y, marker.pose.position.z = (
                float(x), float(y), float(z))
            marker.scale.x = marker.scale.y = marker.scale.z = 2 * float(r)
            out.markers.append(marker)
        return out

    def joint_state(self, at: float) -> JointState:
        """Return the true joint state, names in another order."""
        q, v, _ = self.curve([at])
        message = JointState(name=list(self.robot.joint_names)[::-1],
                             position=q[0][::-1].tolist(), velocity=v[0][::-1].tolist())
        message.header.stamp = stamp(START_S + at)
        return message

    def _reports(self) -> None:
        """Add plans, reports and states."""
        for k, at in enumerate(np.arange(0.0, self.duration_s, 0.2)):
            times = np.linspace(0.0, 1.0, 11)
            q, v, _ = self.curve(at + times)
            self.messages.append(
                ('planner/plan', self.trajectory(at, times, q, 0 * v), at, k + 1))
            self.report('planner/report', at, plan_stamp=START_S + at, confidence=0.9,
                        latency_s=0.1 + 0.01 * k, evaluations=1000, source='training_free')
            self.messages.append(('planner/confidence', Float64(data=0.9), at, k + 1))
            self.report('tracker/report', at, event='verdict', plan_stamp=START_S + at,
                        accepted=k != 3, reason_code='OK' if k != 3 else 'STALE')
            self.report('tracker/report', at, event='ticks', cpu_s=[0.001, 0.002],
                        wall_s=[0.003], iterations=[1, 3], warm_start=['shifted', 'plan'],
                        missed={'receive': k, 'solve': 0})
            self.report('safety/status', at, state='NOMINAL', h_min=0.1 - 0.001 * k, slack=0.0,
                        clearance_m=0.2, cpu_s=0.001, interventions=2 * k, fallback_ticks=k)
        self.messages.append(('safety/state', String(data='NOMINAL'), 0.01, 1))

    def report(self, topic: str, at: float, **values: Any) -> None:
        """Add one JSON report."""
        self.messages.append((topic, String(data=json.dumps(values)), at, 0))

    def goal(self, at: float, joints: Any) -> None:
        """Set a goal in joint space."""
        self.messages.append(('goal_joints', JointState(
            name=list(self.robot.joint_names), position=list(map(float, joints))), at, 1))

    def goal_pose(self, at: float, position: Any) -> None:
        """Set a goal for the tool, its orientation free."""
        message = PoseStamped()
        point = message.pose.position
        point.x, point.y, point.z = (float(x) for x in position)
        message.pose.orientation.w = 0.0
        self.messages.append(('goal_pose', message, at, 1))

    def replace_command(self, at: float, message: Any) -> None:
        """Put another message in the place of the command sent at a time."""
        for k, (topic, _, time, sequence) in enumerate(self.messages):
            if topic == COMMAND and abs(time - at) < 1e-6:
                self.messages[k] = (topic, message, time, sequence)
                return
        raise KeyError(at)

    def drop(self, topic: str, begin: float, end: float) -> None:
        """Remove the messages of a topic sent in [begin, end)."""
        self.messages = [m for m in self.messages
                         if not (m[0] == topic and begin - 1e-9 <= m[2] < end - 1e-9)]

    def window(self, begin: float, end: float) -> slice:
        """Return the truth samples of a time window."""
        return slice(round(begin * 1000), round(end * 1000))

    def write(self, folder: Path) -> Path:
        """Write truth.npz and run.mcap, every message received 1 ms after it was sent."""
        folder.mkdir(parents=True, exist_ok=True)
        write_truth(folder / 'truth.npz', self.truth)
        with McapWriter(folder / 'run.mcap', self.metadata) as writer:
            for topic, kind in self.types.items():
                writer.add_topic(topic, kind)
            if self.writers:
                writer.write_writers(COMMAND, self.writers, round(START_S * 1e9))
            cache: dict[int, bytes] = {}
            for topic, message, at, sequence in sorted(self.messages, key=lambda m: m[2]):
                data = cache.setdefault(id(message), serialize_message(message))
                sent = round((START_S + at) * 1e9)
                writer.write(topic, data, sent + 1_000_000, sent, sequence=sequence)
        return folder


def write_truth(path: Path, values: dict[str, Any]) -> None:
    """Write truth.npz; contact_pairs are rows (time_s, body_a, body_b, kind, depth_m)."""
    pairs = np.array(values['contact_pairs'], dtype=ONSET_TYPE)
    np.savez(path, **{**values, 'contact_pairs': pairs})
