# SPDX-License-Identifier: Apache-2.0
"""All that `check_run` knows of a run: its ground truth, its messages, and the robot's file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError, require_known
from diffusion_control.evaluation.base.frames import Frames
from diffusion_control.evaluation.base.messages import parse_motion, twist_of
from diffusion_control.evaluation.base.silence import Silence
from diffusion_control.evaluation.base.twists import twist_commands
from diffusion_control.evaluation.commands import Command, parse_sample, parse_trajectory
from diffusion_control.evaluation.goal_times import (
    SetGoal,
    goal_in_world,
    parse_goal_joints,
    parse_goal_pose,
)
from diffusion_control.evaluation.mcap_reader import Recording, Stream, read_recording
from diffusion_control.evaluation.monitor_states import monitor_states
from diffusion_control.evaluation.run_folder import RunFolder
from diffusion_control.evaluation.single_samples import position_commands, velocity_commands
from diffusion_control.evaluation.truth_file import Truth, read_truth
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base

Array = NDArray[np.float64]
TRAJECTORY = 'joint_trajectory'
SAMPLES = ('float64_multi_array', 'joint_state')
TWISTS = ('twist_stamped', 'twist')


@dataclass(frozen=True)
class RunData:
    """One run, read.

    Attributes:
        folder: Where it is.
        robot: The robot that was driven.
        truth: Ground truth.
        recording: Messages.
        command_topic: Topic of the command.
        command_type: `joint_trajectory`, `float64_multi_array`, `joint_state`, `twist_stamped`
            or `twist`.
        velocity_receiver: Single samples are velocities.
        ros_s: Maps times of the system clock [s] to ROS time [s].
        commands: Received commands, in order; of a base as the motions that they become.
        twists: Received vx, vy, yaw rate of a base, shape [m, 3]; None for an arm.
        frames: Frames of a base's messages; None for an arm.
    """

    folder: RunFolder
    robot: Arm | Base
    truth: Truth
    recording: Recording
    command_topic: str
    command_type: str
    velocity_receiver: bool
    ros_s: Callable[[Array], Array]
    commands: list[Command]
    twists: Array | None = None
    frames: Frames | None = None

    @property
    def command_stream(self) -> Stream:
        """Recorded commands."""
        return self.recording.stream(self.command_topic)

    def trajectories(self, topic: str) -> list[Command]:
        """Return the motions of a topic, those that are none left out; of a base in `odom`."""
        return [c for c in _trajectories(self.recording.stream(topic), self.robot, self.ros_s)
                if not c.fault]

    def states(self) -> list[tuple[float, str]]:
        """Return (ROS time [s], state) for each change, over the whole run."""
        return monitor_states(self.recording, self.truth, self.ros_s)

    def goals(self) -> list[SetGoal]:
        """Return the goals of `goal_pose` and `goal_joints`, in the order of receipt."""
        found = []
        for topic in ('goal_pose', 'goal_joints'):
            stream = self.recording.stream(topic)
            for time, message in zip(self.ros_s(stream.log_s), stream.messages, strict=True):
                try:
                    goal = (parse_goal_pose(message) if topic == 'goal_pose'
                            else parse_goal_joints(message, self.robot.joint_names))
                except (ConfigurationError, KeyError, IndexError):
                    continue  # a malformed goal was refused by the nodes and set nothing
                if self.frames is not None:
                    frame = self.frames.pose(message.header.frame_id, float(time))
                    goal = goal_in_world(goal, frame)
                found.append(SetGoal(float(time), goal))
        return sorted(found, key=lambda item: item.set_s)


def load_run(path: str | Path, robot: str | None = None) -> RunData:
    """Return a run that was recorded.

    Args:
        path: The run's folder.
        robot: Name or file of the robot; None takes what the recording says.

    Raises:
        ConfigurationError: A file is missing or damaged, or the robot is not known.
    """
    folder = RunFolder.open(path)
    recording = read_recording(folder.recording)
    name = robot or recording.metadata.get('robot_config')
    if not name:
        raise ConfigurationError(
            'the recording does not say which robot was driven', where=str(folder.recording),
            allowed='metadata robot_config', remedy='give --robot-config')
    driven = robots.load(str(name))
    truth = read_truth(folder.truth, driven.joint_names)
    notes, ros_s = recording.metadata, clock_mapping(recording)
    topic = notes.get('command_topic') or driven.controller.command_topic
    kind = notes.get('command_type') or driven.controller.command_type
    stream = recording.stream(topic)
    allowed = TWISTS if isinstance(driven, Base) else (TRAJECTORY, *SAMPLES)
    require_known(
        'commands of this type cannot be judged', str(folder.recording), kind, allowed)
    sent = ros_s(stream.sent_s)
    timeout = notes.get('receiver_timeout_s')
    if isinstance(driven, Base):
        twists = np.array([twist_of(m) for m in stream.messages]).reshape(-1, 3)
        silence = Silence(
            driven.drive, driven.receiver_timeout_s if timeout is None else float(timeout))
        return RunData(
            folder, driven, truth, recording, topic, kind, False, ros_s,
            twist_commands(sent, twists, truth, silence), twists,
            Frames.of(recording, driven, ros_s))
    velocity = str(notes.get('profile') or '') == 'forward_velocity'
    if kind == TRAJECTORY:
        commands = _trajectories(stream, driven, ros_s)
    else:
        rows = [parse_sample(message, driven.joint_names) for message in stream.messages]
        commands = (velocity_commands(sent, [v for _, v in rows], truth, timeout) if velocity
                    else position_commands(sent, [q for q, _ in rows], driven.dof))
    return RunData(folder, driven, truth, recording, topic, kind, velocity, ros_s, commands)


def clock_mapping(recording: Recording) -> Callable[[Array], Array]:
    """Return the map from the system clock to ROS time [s].

    They are the same unless `/clock` was recorded; then ROS time is interpolated between the
    instants at which the clock was published.
    """
    clock = recording.stream('clock')
    if len(clock) < 2:
        return lambda times: np.asarray(times, dtype=float)
    system = clock.publish_s
    ros = np.array([m.clock.sec + m.clock.nanosec * 1e-9 for m in clock.messages])
    return lambda times: np.interp(times, system, ros)


def _trajectories(
    stream: Stream, robot: Arm | Base, ros_s: Callable[[Array], Array]
) -> list[Command]:
    sent = ros_s(stream.sent_s)
    if isinstance(robot, Base):
        return [parse_motion(message, float(time))
                for message, time in zip(stream.messages, sent, strict=True)]
    return [parse_trajectory(message, robot.joint_names, float(time))
            for message, time in zip(stream.messages, sent, strict=True)]
