# SPDX-License-Identifier: Apache-2.0
"""A closed loop left as a full run folder, such as the nodes leave one, for `check-run`.

Messages are made from dictionaries and the installed definitions, without rclpy; the times of
their receipt are those of the simulated clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mcap_ros2._dynamic import serialize_dynamic

from diffusion_control.evaluation.host import host_information
from diffusion_control.evaluation.judgement import judge_run
from diffusion_control.evaluation.mcap_writer import McapWriter
from diffusion_control.evaluation.message_definitions import full_definition
from diffusion_control.evaluation.run_folder import RunFolder, finite
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.robots.goal import Goal
from diffusion_control.robots.obstacles import Obstacle
from diffusion_control.robots.state import RobotState
from diffusion_control.safety.decision import SafetyDecision
from diffusion_control.safety.outputs import CommandSample
from diffusion_control.trajectory.trajectory import Trajectory

STATUS_S = 0.1
MARKER_TYPE = {'box': 1, 'sphere': 2, 'cylinder': 3}
MOTION_TOPICS = ('planner/plan', 'fallback/plan', 'tracker/motion', 'safety/committed')
TYPES = {
    'goal_pose': 'geometry_msgs/msg/PoseStamped',
    'obstacles': 'visualization_msgs/msg/MarkerArray',
    'planner/report': 'std_msgs/msg/String', 'tracker/report': 'std_msgs/msg/String',
    'safety/state': 'std_msgs/msg/String', 'safety/status': 'std_msgs/msg/String',
}
ARM_TYPES = {
    'joint_states': 'sensor_msgs/msg/JointState', 'goal_joints': 'sensor_msgs/msg/JointState',
    **dict.fromkeys(MOTION_TOPICS, 'trajectory_msgs/msg/JointTrajectory')}


class KeptRun:
    """Write what happens in a loop as messages, and close with truth and summary.

    Args:
        root: Folder that gets one more run folder.
        robot: The robot that is driven; `check-run` finds it again by its file.
    """

    kind = 'arm'
    own_types = ARM_TYPES
    command_type = 'trajectory_msgs/msg/JointTrajectory'

    def __init__(self, root: Path, robot: Arm | Base) -> None:
        """Make the folder and open `run.mcap`."""
        self.folder = RunFolder.create(root)
        self._robot, self._sequence = robot, 0
        self._command = robot.controller.command_topic
        self._types = {**TYPES, **self.own_types, self._command: self.command_type}
        self._file = McapWriter(self.folder.recording, {
            'robot_config': str(robot.config.file), 'command_topic': self._command,
            **self.notes()})
        for topic, kind in self._types.items():
            self._file.add_topic(topic, kind)
        self._encoders: dict[str, Any] = {}
        self._state, self._status_s = '', -np.inf

    def notes(self) -> dict[str, Any]:
        """Return what a reader must know of the command."""
        return {'command_type': 'joint_trajectory', 'profile': 'jtc'}

    def motion(self, topic: str, motion: Trajectory, now_s: float) -> None:
        """Write a motion under a topic."""
        points = [
            {'positions': q.tolist(), 'velocities': v.tolist(), 'accelerations': [],
             'effort': [], 'time_from_start': time_message(at)}
            for at, q, v in zip(motion.times_s, motion.position, motion.velocity, strict=True)]
        self.write(topic, {
            'header': header_message(motion.stamp_s, motion.frame_id),
            'joint_names': list(motion.names), 'points': points}, now_s)

    def command(self, motion: Trajectory, sample: CommandSample | None, now_s: float) -> None:
        """Write a command, and that it is committed."""
        del sample
        self.motion('safety/committed', motion, now_s)
        self.motion(self._command, motion, now_s)

    def joints(self, state: RobotState, now_s: float) -> None:
        """Write the measured state."""
        self.write('joint_states', {
            'header': header_message(state.stamp_s, ''), 'name': list(self._robot.joint_names),
            'position': state.position.tolist(), 'velocity': state.velocity.tolist(),
            'effort': []}, now_s)

    def goal(self, goal: Goal, now_s: float) -> None:
        """Write a goal."""
        header = header_message(now_s, self._robot.base_frame)
        if goal.joints_rad is not None:
            self.write('goal_joints', {
                'header': header, 'name': list(self._robot.joint_names),
                'position': goal.joints_rad.tolist(), 'velocity': [], 'effort': []}, now_s)
            return
        turn = np.zeros(4) if goal.quaternion is None else goal.quaternion
        self.write('goal_pose', {
            'header': header, 'pose': pose_message(np.asarray(goal.position_m), turn)}, now_s)

    def obstacles(self, obstacles: tuple[Obstacle, ...], now_s: float) -> None:
        """Write the full set of obstacles."""
        header = header_message(now_s, self.obstacle_frame)
        self.write('obstacles', {'markers': [
            _marker(item, number, header) for number, item in enumerate(obstacles)]}, now_s)

    @property
    def obstacle_frame(self) -> str:
        """Frame of the obstacles that are written."""
        return self._robot.base_frame

    def report(self, topic: str, values: Mapping[str, Any], now_s: float) -> None:
        """Write a JSON report; a planner's also goes to `plans.jsonl`."""
        if topic == 'planner/report':
            self.folder.append_plan(values)
        self.write(topic, {'data': json.dumps(finite(values), allow_nan=False)}, now_s)

    def status(self, decision: SafetyDecision, now_s: float) -> None:
        """Write the monitor's status at 10 Hz, and at once where its state has changed."""
        changed = decision.state != self._state
        if changed:
            self.folder.append_event(
                'safety', 'state', from_state=self._state or None, to_state=decision.state,
                cause=decision.cause, action=decision.response, t_steady_s=now_s)
            self._state = decision.state
            self.write('safety/state', {'data': decision.state}, now_s)
        if changed or now_s >= self._status_s + STATUS_S - 1e-9:
            self._status_s = now_s
            self.report('safety/status', {
                'state': decision.state, 'cause': decision.cause,
                'reason_code': decision.reason_code, 'h_min': decision.h_min,
                'clearance_m': decision.clearance_m, 'slack': decision.slack,
                'input_age_s': dict(decision.input_age_s), 'verified': decision.verified,
                'tail_s': decision.tail_s, 'interventions': decision.counters.interventions,
                'fallback_ticks': decision.counters.fallback_ticks}, now_s)

    def close(
        self, truth: Mapping[str, Any], *, planner: str, seed: int, plant: Mapping[str, Any],
        params: Mapping[str, Any],
    ) -> None:
        """Write truth, parameters, log, summary and picture.

        Args:
            truth: Arrays of `truth.npz`.
            planner: Name of the planner.
            seed: Seed of the scene.
            plant: The plant, as in the summary.
            params: `params.yaml`.
        """
        self.finish(truth)
        self.folder.write_params(finite(params))
        self.folder.append_log(f'evaluate {self.kind}: {planner}, seed {seed}, in process')
        judge_run(self.folder.path, {
            'commit': '', 'command': f'evaluate {self.kind}', 'exit_code': 0, 'planner': planner,
            'seed': seed, 'host': host_information(), 'plant': dict(plant), 'faults': [],
            'deaths': []})
        self.folder.make_latest()

    def finish(self, truth: Mapping[str, Any]) -> None:
        """Finish `run.mcap` and write `truth.npz`."""
        self._file.close()
        np.savez_compressed(self.folder.truth, **truth)

    def write(self, topic: str, message: Mapping[str, Any], now_s: float) -> None:
        """Encode and write one message of an announced topic."""
        kind = self._types[topic]
        if kind not in self._encoders:
            self._encoders[kind] = serialize_dynamic(kind, full_definition(kind))[kind]
        self._sequence += 1
        self._file.write(
            topic, self._encoders[kind](message), round(now_s * 1e9), sequence=self._sequence)


def time_message(seconds: float) -> dict[str, int]:
    """Return a Time or Duration message."""
    whole = round(float(seconds) * 1e9)
    return {'sec': whole // 10**9, 'nanosec': whole % 10**9}


def header_message(stamp_s: float, frame: str) -> dict[str, Any]:
    """Return a Header message."""
    return {'stamp': time_message(stamp_s), 'frame_id': frame}


def pose_message(position: np.ndarray[Any, Any], turn: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return a Pose message."""
    return {'position': dict(zip('xyz', position.tolist(), strict=True)),
            'orientation': dict(zip('xyzw', turn.tolist(), strict=True))}


def _marker(obstacle: Obstacle, number: int, header: dict[str, Any]) -> dict[str, Any]:
    """Return a Marker message."""
    size = [float(edge) for edge in obstacle.size_m]
    if obstacle.shape == 'sphere':
        size = [2 * size[0]] * 3
    elif obstacle.shape == 'cylinder':
        size = [2 * size[0], 2 * size[0], size[1]]
    return {
        'header': header, 'ns': 'scene', 'id': number, 'type': MARKER_TYPE[obstacle.shape],
        'action': 0, 'pose': pose_message(obstacle.position_m, obstacle.quaternion),
        'scale': dict(zip('xyz', size, strict=True)),
        'color': {'r': 0.8, 'g': 0.5, 'b': 0.2, 'a': 0.9}, 'lifetime': time_message(0.0)}
