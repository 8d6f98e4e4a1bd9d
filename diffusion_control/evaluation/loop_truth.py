# SPDX-License-Identifier: Apache-2.0
"""Contacts and violations of a closed loop, judged from its ground truth as `check_run` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_control.evaluation.command_checks import CommandVerdicts, judge_trajectories
from diffusion_control.evaluation.command_geometry import known_set
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.published_obstacles import ObstacleSet
from diffusion_control.evaluation.rates import onsets
from diffusion_control.evaluation.scenery import SceneryCache
from diffusion_control.evaluation.truth_checks import (
    contact_counts,
    position_onsets,
    torque_onsets,
    velocity_onsets,
)
from diffusion_control.evaluation.truth_file import Truth, truth_of
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base
from diffusion_control.trajectory.trajectory import Trajectory


@dataclass(frozen=True)
class Judged:
    """What the ground truth says about one episode.

    Attributes:
        contact_moving: Onsets of contacts with obstacles while the robot moved.
        contacts_at_rest: The same while it stood.
        violations: Onsets by name.
        clearance_min_m: Least distance to an obstacle [m]; None without obstacles.
        unverified: Faulty commands by reason.
    """

    contact_moving: int
    contacts_at_rest: int
    violations: dict[str, int | None]
    clearance_min_m: float | None
    unverified: dict[str, int]


def sent(motion: Trajectory, now_s: float) -> Command:
    """Return a motion as its receiver gets it: without accelerations, so cubic."""
    return Command(now_s, motion.stamp_s, motion.times_s, motion.position, motion.velocity)


def judge_episode(
    robot: Arm, arrays: dict[str, Any], commands: list[Command] | None,
    seen: Sequence[ObstacleSet],
) -> Judged:
    """Judge an episode.

    Args:
        robot: The nominal robot, for its unscaled limits.
        arrays: The simulator's truth, keys as in `truth.npz`.
        commands: All verified commands, in order; None without a safety monitor, where nothing
            is verified, so that `acceleration` and `unverified_command` are not measured.
        seen: Sets of obstacles as they were observed, with true velocities, in order.
    """
    truth = truth_of(arrays, robot.joint_names, Path('closed loop'))
    contacts = contact_counts(truth)
    violations: dict[str, int | None] = {
        'position': position_onsets(truth, robot.limits),
        'velocity': velocity_onsets(truth, robot.limits),
        'torque': torque_onsets(truth, robot.limits), 'self_or_wall': contacts['self_or_wall']}
    verdicts = None
    if commands is not None:
        verdicts = judge_trajectories(
            commands, truth, robot.limits, np.zeros(len(commands), dtype=bool),
            touching(robot, commands, seen))
    return judged(truth, violations, contacts, verdicts)


def judged(
    truth: Truth, violations: dict[str, int | None], contacts: dict[str, int],
    verdicts: CommandVerdicts | None,
) -> Judged:
    """Return the judgement of an episode.

    Args:
        truth: The simulator's.
        violations: What the truth alone says, by name.
        contacts: Counts by kind.
        verdicts: On the commands; None where nothing was verified.
    """
    unverified: dict[str, int] = {}
    if verdicts is not None:
        violations = violations | {
            'acceleration': onsets(verdicts.flags['acceleration']),
            'unverified_command': onsets(verdicts.unverified)}
        unverified = {
            reason: int(flags.sum()) for reason, flags in verdicts.flags.items() if flags.any()}
    return Judged(
        contacts['contact_moving'], contacts['contacts_at_rest'], violations,
        truth.clearance_min_m, unverified)


def touching(
    robot: Arm | Base, commands: list[Command], seen: Sequence[ObstacleSet]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Say which commands touch an obstacle as it was observed when they were sent."""
    result = np.zeros(len(commands), dtype=bool)
    if not seen or not seen[0].obstacles:
        return result
    geometry = SceneryCache(robot).geometry(seen[0].obstacles)
    times = np.array([item.stamp_s for item in seen])
    for index, command in enumerate(commands):
        last = known_set(times, command.sent_s)
        if last >= 0:
            result[index] = geometry.touches(command, seen[last])
    return result
