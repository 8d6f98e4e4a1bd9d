# SPDX-License-Identifier: Apache-2.0
"""Contacts and violations of a base's closed loop, judged as `check_run` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.base.silence import Silence
from diffusion_control.evaluation.base.truth import velocity_onsets
from diffusion_control.evaluation.base.twists import judge_twists, twist_commands
from diffusion_control.evaluation.base.walls import WallCheck
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.loop_truth import Judged, judged, touching
from diffusion_control.evaluation.published_obstacles import ObstacleSet
from diffusion_control.evaluation.truth_checks import contact_counts
from diffusion_control.evaluation.truth_file import truth_of
from diffusion_control.robots.base import Base
from diffusion_control.robots.occupancy_map import OccupancyMap

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


def judge_base(
    robot: Base, arrays: dict[str, Any], sent: Sequence[tuple[float, Array]] | None,
    seen: Sequence[ObstacleSet], known: OccupancyMap | None, timeout_s: float | None = None,
) -> Judged:
    """Judge an episode.

    Args:
        robot: The nominal robot, for its unscaled limits.
        arrays: The simulator's truth, keys as in `truth.npz`.
        sent: All verified twists with their times [s], in order; None without a safety monitor,
            where nothing is verified, so that commands are not judged.
        seen: Sets of obstacles in the world as they were observed, with true velocities.
        known: The map, in the world.
        timeout_s: The receiver's [s]; None = as the robot file says.
    """
    truth = truth_of(arrays, robot.joint_names, Path('closed loop'))
    contacts = contact_counts(truth)
    violations: dict[str, int | None] = {
        'position': None, 'velocity': velocity_onsets(truth, robot), 'torque': None,
        'self_or_wall': contacts['self_or_wall']}
    verdicts = None
    if sent is not None:
        times = np.array([time for time, _ in sent])
        twists = np.array([twist for _, twist in sent]).reshape(-1, 3)
        held_s = robot.receiver_timeout_s if timeout_s is None else timeout_s
        commands = twist_commands(times, twists, truth, Silence(robot.drive, held_s))
        none = np.zeros(len(commands), dtype=bool)
        verdicts = judge_twists(
            times, twists, robot.drive, foreign=none,
            touching=touching(robot, commands, seen), walls=_walls(robot, commands, known),
            exempt=np.array([truth.exempt_near(float(time)) for time in times], dtype=bool))
    return judged(truth, violations, contacts, verdicts)


def _walls(robot: Base, commands: list[Command], known: OccupancyMap | None) -> Flags:
    """Say which twists would touch a wall."""
    if known is None:
        return np.zeros(len(commands), dtype=bool)
    check = WallCheck(robot, known)
    return np.array([check.touches(command) for command in commands], dtype=bool)
