# SPDX-License-Identifier: Apache-2.0
"""What is wrong with received twists, judged by what their receiver does on silence.

A twist must be finite, within the limits of v, omega and wheels, and must not differ from the one
50 ms before by more than the drive can accelerate or brake in that time and one tick. Held for
the receiver's time-out and then braked by it (see `silence`), it must touch no obstacle as it was
published then, at constant velocity, and no wall of the map.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.base.drive_limits import accelerates_too_much, too_fast
from diffusion_control.evaluation.base.silence import Silence
from diffusion_control.evaluation.command_checks import CommandVerdicts
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.truth_file import Truth
from diffusion_control.robots.base_config import BaseDrive

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
WINDOW_S = 0.05
TICK_S = 0.01
RELATIVE = 1e-3
START_S = 0.1
"""The first command is compared with what the receiver held so long before."""


def twist_commands(
    sent_s: Array, twists: Array, truth: Truth, silence: Silence
) -> list[Command]:
    """Return each twist [m, 3] as the motion that it becomes without a further one."""
    commands = []
    for time, twist in zip(sent_s, twists, strict=True):
        if bool(np.isfinite(twist).all()):
            commands.append(silence.command(truth.q_at(float(time)), twist, float(time)))
        else:
            still = np.zeros((1, 3))
            commands.append(Command(
                float(time), float(time), np.zeros(1), still, still, fault='numbers'))
    return commands


def held_before(sent_s: Array, truth: Truth) -> Array:
    """Return the twist [3] that the receiver held 0.1 s before the first command."""
    cmd = truth.cmd_at(float(sent_s[0]) - START_S) if len(sent_s) else np.zeros(3)
    return np.array([cmd[0], cmd[1] if len(cmd) > 2 else 0.0, cmd[-1]])


def judge_twists(
    sent_s: Array, twists: Array, drive: BaseDrive, *, foreign: Flags, touching: Flags,
    walls: Flags, exempt: Flags, held: Array | None = None,
) -> CommandVerdicts:
    """Return the verdicts on twists; `flags` as for trajectories, and `wall`.

    Args:
        sent_s: ROS times at which they were sent [s], shape [m].
        twists: vx, vy, yaw rate, shape [m, 3].
        drive: Unscaled limits of the robot file.
        foreign: Of another writer, shape [m].
        touching: Would touch an obstacle, shape [m].
        walls: Would touch a wall, shape [m].
        exempt: Sent while the simulator froze, shape [m]; what they begin from is not known.
        held: What the receiver held 0.1 s before the first of them, shape [3]: a recorder may
            come late. None: it stood.
    """
    usable = np.asarray(np.isfinite(twists).all(axis=1))
    clean = np.where(usable[:, None], twists, 0.0)
    none = np.zeros(len(sent_s), dtype=bool)
    flags: dict[str, Flags] = {
        'no_motion': np.asarray(~usable), 'writer': foreign, 'obstacle': touching, 'wall': walls,
        'not_at_rest': none, 'position': none, 'start': none,
        'velocity': np.asarray(too_fast(clean, drive, RELATIVE).any(axis=1)),
        'acceleration': _steps(sent_s, clean, drive, np.zeros(3) if held is None else held)
        & ~exempt}
    return CommandVerdicts(sent_s, flags, np.full(len(sent_s), np.nan))


def _steps(sent_s: Array, twists: Array, drive: BaseDrive, held: Array) -> Flags:
    """Say which twists differ too much from the last one at least 50 ms before.

    Over a gap the receiver is granted 0.1 s; not so before the first recorded twist, where what it
    held is known and only the recorder was late.
    """
    if not len(sent_s):
        return np.zeros(0, dtype=bool)
    times = np.concatenate([[sent_s[0] - START_S], sent_s])
    rows = np.concatenate([held[None], twists])
    before = np.maximum(np.searchsorted(times, sent_s - WINDOW_S, side='right') - 1, 0)
    width = sent_s - times[before]
    width = np.where(before > 0, np.minimum(width, 2 * WINDOW_S), width)
    return accelerates_too_much(rows[before], twists, width + TICK_S, drive, RELATIVE)
