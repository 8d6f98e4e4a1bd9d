# SPDX-License-Identifier: Apache-2.0
"""What `check_run` measures of a base; `arm_run` has the same functions for an arm.

Velocity and acceleration are those of v, omega and the wheels; places and torques have no limit
that could be broken, so these two are null.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.base.following import following_errors
from diffusion_control.evaluation.base.messages import parse_map
from diffusion_control.evaluation.base.truth import velocity_onsets
from diffusion_control.evaluation.base.turns import in_one_turn
from diffusion_control.evaluation.base.twists import held_before, judge_twists
from diffusion_control.evaluation.base.walls import WallCheck
from diffusion_control.evaluation.command_checks import CommandVerdicts
from diffusion_control.evaluation.command_geometry import known_set
from diffusion_control.evaluation.command_writers import foreign_commands
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.published_obstacles import obstacle_sets
from diffusion_control.evaluation.rates import onsets
from diffusion_control.evaluation.run_data import RunData
from diffusion_control.evaluation.scenery import SceneryCache
from diffusion_control.evaluation.truth_checks import contact_counts
from diffusion_control.robots.base import Base

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
STATES = 'odom'
FLIP_COLUMNS = slice(0, 2)


def base_of(run: RunData) -> Base:
    """Return the base of a run."""
    assert isinstance(run.robot, Base)
    return run.robot


def judge_commands(run: RunData) -> CommandVerdicts:
    """Return what is wrong with each received twist."""
    stream = run.command_stream
    assert run.twists is not None
    sent = np.array([command.sent_s for command in run.commands])
    return judge_twists(
        sent, run.twists, base_of(run).drive,
        foreign=foreign_commands(stream, run.recording.writers(run.command_topic)),
        touching=touching_commands(run), walls=wall_commands(run),
        exempt=np.array([run.truth.exempt_near(float(t)) for t in sent], dtype=bool),
        held=held_before(sent, run.truth))


def touching_commands(run: RunData) -> Flags:
    """Say which twists would touch an obstacle as it was published when they were sent."""
    assert run.frames is not None
    stream = run.recording.stream('obstacles')
    received = run.ros_s(stream.log_s)
    sets = obstacle_sets(stream.messages, received, run.frames.pose)
    result = np.zeros(len(run.commands), dtype=bool)
    cache = SceneryCache(run.robot)
    for k, command in enumerate(run.commands):
        last = known_set(received, command.sent_s)
        if last >= 0 and sets[last].obstacles:
            result[k] = cache.geometry(sets[last].obstacles).touches(command, sets[last])
    return result


def wall_commands(run: RunData) -> Flags:
    """Say which twists would touch a wall of the map that was received last before them."""
    assert run.frames is not None
    stream = run.recording.stream('map')
    received = run.ros_s(stream.log_s)
    checks: list[tuple[float, WallCheck]] = []
    for time, message in zip(received, stream.messages, strict=True):
        known = parse_map(message)
        if known is not None:
            pose = run.frames.pose(message.header.frame_id, float(time))
            checks.append((float(time), WallCheck(base_of(run), known.moved(pose))))
    times = np.array([time for time, _ in checks])
    result = np.zeros(len(run.commands), dtype=bool)
    for k, command in enumerate(run.commands):
        last = known_set(times, command.sent_s)
        if last >= 0:
            result[k] = checks[last][1].touches(command)
    return result


def unexplained_steps(run: RunData, verdicts: CommandVerdicts) -> Array:
    """Return no times: twists are steps by nature, each is judged by itself."""
    del run, verdicts
    return np.zeros(0)


def violations(run: RunData, verdicts: CommandVerdicts, steps: Array) -> dict[str, int | None]:
    """Return the onsets of each violation; null where a base has no such limit."""
    return {
        'position': None, 'velocity': velocity_onsets(run.truth, base_of(run)),
        'acceleration': onsets(verdicts.flags['acceleration']), 'torque': None,
        **contact_counts(run.truth),
        'unverified_command': onsets(verdicts.unverified) + len(steps)}


def tracking(run: RunData) -> dict[str, float | None]:
    """Return heading and position errors against the committed motion."""
    return following_errors(run)


def switched(run: RunData) -> list[Command] | None:
    """Return the committed motions: between them a change of plan must not jump."""
    return in_one_turn(run.trajectories('safety/committed')) or None
