# SPDX-License-Identifier: Apache-2.0
"""What `check_run` measures of an arm; `base.measures` has the same functions for a base."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.command_checks import CommandVerdicts, judge_trajectories
from diffusion_control.evaluation.command_geometry import known_set
from diffusion_control.evaluation.command_writers import foreign_commands
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.published_obstacles import obstacle_sets
from diffusion_control.evaluation.rates import onsets
from diffusion_control.evaluation.run_data import TRAJECTORY, RunData
from diffusion_control.evaluation.scenery import SceneryCache
from diffusion_control.evaluation.single_samples import judge_samples
from diffusion_control.evaluation.tracking_error import tracking_errors
from diffusion_control.evaluation.truth_checks import (
    contact_counts,
    position_onsets,
    set_point_steps,
    torque_onsets,
    velocity_onsets,
)

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
STATES = 'joint_states'
FLIP_COLUMNS = slice(None)
STEP_RAD = 1e-3
SAME_STEP_S = 0.1


def violations(run: RunData, verdicts: CommandVerdicts, steps: Array) -> dict[str, int | None]:
    """Return the onsets of each violation.

    Args:
        run: The run.
        verdicts: On its commands.
        steps: Times of jumps of the set-point that no command was blamed for [s].
    """
    limits, truth = run.robot.limits, run.truth
    return {
        'position': position_onsets(truth, limits), 'velocity': velocity_onsets(truth, limits),
        'acceleration': onsets(verdicts.flags['acceleration']),
        'torque': torque_onsets(truth, limits), **contact_counts(truth),
        'unverified_command': onsets(verdicts.unverified) + len(steps)}


def tracking(run: RunData) -> dict[str, float | None]:
    """Return the errors of the true motion against the set-point."""
    return tracking_errors(run.truth, run.robot)


def switched(run: RunData) -> list[Command] | None:
    """Return the motions between which a change of plan must not jump; None without any."""
    return [c for c in run.commands if not c.fault] if run.command_type == TRAJECTORY else None


def judge_commands(run: RunData) -> CommandVerdicts:
    """Return what is wrong with each received command."""
    stream, limits = run.command_stream, run.robot.limits
    foreign = foreign_commands(stream, run.recording.writers(run.command_topic))
    touching = touching_commands(run)
    if run.command_type == TRAJECTORY:
        return judge_trajectories(run.commands, run.truth, limits, foreign, touching)
    return judge_samples(run.commands, run.truth, limits, foreign, touching,
                         velocity_receiver=run.velocity_receiver)


def touching_commands(run: RunData) -> Flags:
    """Say which commands touch an obstacle as it was published when they were sent."""
    stream = run.recording.stream('obstacles')
    received = run.ros_s(stream.log_s)
    sets = obstacle_sets(stream.messages, received)
    result = np.zeros(len(run.commands), dtype=bool)
    cache = SceneryCache(run.robot)
    before = run.truth.cmd_at(run.commands[0].sent_s) if run.commands else None
    for k, command in enumerate(run.commands):
        last = known_set(received, command.sent_s)
        if last >= 0 and sets[last].obstacles:
            result[k] = cache.geometry(sets[last].obstacles).touches(command, sets[last], before)
        following = run.commands[k + 1].sent_s if k + 1 < len(run.commands) else command.sent_s
        before = command.position_at(np.array([following]))[0]
    return result


def unexplained_steps(run: RunData, verdicts: CommandVerdicts) -> Array:
    """Return the times of jumps of the true set-point that no command was blamed for.

    Single samples are steps by nature; they are judged one by one instead.
    """
    if run.command_type != TRAJECTORY:
        return np.zeros(0)
    times = set_point_steps(run.truth, run.robot.limits, STEP_RAD)
    blamed = verdicts.sent_s[verdicts.unverified]
    return np.array([t for t in times if not (np.abs(blamed - t) < SAME_STEP_S).any()])
