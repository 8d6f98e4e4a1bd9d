# SPDX-License-Identifier: Apache-2.0
"""Commands of single samples, judged by what their receiver does.

A position receiver goes to each sample at once and freezes on silence: a sample is at rest by
itself, and it may be no further from the one before than the velocity limit allows in the time
between them plus 1e-3 rad. A velocity receiver runs on: a sample must keep the limits, and its
motion is judged for one time-out of the receiver (or 50 ms where it has none). Single samples
have no acceleration of their own; it is the change of the mean velocity over 50 ms, so that
the jitter of the times does not count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.command_checks import (
    POSITION_ROUNDING_RAD,
    RELATIVE,
    START_RAD,
    CommandVerdicts,
)
from diffusion_control.evaluation.commands import Command
from diffusion_control.evaluation.truth_file import Truth
from diffusion_control.robots.limits import JointLimits

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
WINDOW_S = 0.05
LEAST_PERIOD_S = 0.01
NO_TIMEOUT_S = 0.05


def position_commands(sent_s: Array, positions: list[Array | None], dof: int) -> list[Command]:
    """Return position samples as commands that stand still."""
    return [
        Command(float(time), float(time), np.zeros(1),
                np.zeros((1, dof)) if row is None or not np.isfinite(row).all() else row[None],
                np.zeros((1, dof)),
                fault='numbers' if row is None or not np.isfinite(row).all() else '')
        for time, row in zip(sent_s, positions, strict=True)]


def velocity_commands(
    sent_s: Array, velocities: list[Array | None], truth: Truth, timeout_s: float | None
) -> list[Command]:
    """Return velocity samples as the motion from the true position for one time-out."""
    lasts = timeout_s or NO_TIMEOUT_S
    commands = []
    for time, row in zip(sent_s, velocities, strict=True):
        start = truth.q_at(float(time))
        good = row is not None and bool(np.isfinite(row).all())
        rate = row if good and row is not None else np.zeros_like(start)
        commands.append(Command(
            float(time), float(time), np.array([0.0, lasts]),
            np.stack([start, start + rate * lasts]), np.stack([rate, rate]),
            fault='' if good else 'numbers'))
    return commands


def judge_samples(
    commands: list[Command], truth: Truth, limits: JointLimits, foreign: Flags, touching: Flags,
    *, velocity_receiver: bool,
) -> CommandVerdicts:
    """Return the verdicts on single samples; `flags` as for trajectories."""
    sent = np.array([command.sent_s for command in commands])
    usable = np.array([not command.fault for command in commands], dtype=bool)
    position = np.array([command.position[0] for command in commands]).reshape(len(sent), -1)
    none = np.zeros(len(sent), dtype=bool)
    flags = {'no_motion': ~usable, 'writer': foreign, 'obstacle': touching,
             'not_at_rest': none, 'position': none, 'start': none}
    errors = np.full(len(sent), np.nan)
    if not len(sent):
        return CommandVerdicts(sent, {**flags, 'velocity': none, 'acceleration': none}, errors)
    fast: Flags = none
    if velocity_receiver:
        rate = np.array([(c.velocity if c.velocity is not None else c.position)[0]
                         for c in commands])
        fast = np.asarray(
            (np.abs(rate) > limits.velocity_rad_s * (1 + RELATIVE)).any(axis=1))
    else:
        flags['position'] = usable & (
            (position < limits.lower_rad - POSITION_ROUNDING_RAD)
            | (position > limits.upper_rad + POSITION_ROUNDING_RAD)).any(axis=1)
        before = np.concatenate([truth.cmd_at(float(sent[0]))[None], position[:-1]])
        period = np.maximum(np.diff(sent, prepend=sent[0] - LEAST_PERIOD_S), LEAST_PERIOD_S)
        step = np.abs(position - before)
        errors = step.max(axis=1)
        over = np.asarray(
            (step > limits.velocity_rad_s * period[:, None] + START_RAD).any(axis=1))
        flags['start'] = usable & over & ~np.array([truth.exempt_near(t) for t in sent])
        rate = _mean_velocity(sent, position)
    flags['velocity'] = usable & fast
    flags['acceleration'] = usable & _accelerates(sent, rate, limits)
    return CommandVerdicts(sent, flags, errors)


def _earlier(sent: Array) -> NDArray[np.intp]:
    """Return for each sample the index of the last one at least 50 ms before it."""
    return np.maximum(np.searchsorted(sent, sent - WINDOW_S, side='right') - 1, 0)


def _mean_velocity(sent: Array, position: Array) -> Array:
    """Return the mean velocity over the 50 ms before each sample, shape [m, n]."""
    before = _earlier(sent)
    width = np.maximum(sent - sent[before], WINDOW_S)[:, None]
    return (position - position[before]) / width


def _accelerates(sent: Array, rate: Array, limits: JointLimits) -> Flags:
    """Say where velocities 50 ms apart differ by more than the acceleration limit allows."""
    before = _earlier(sent)
    width = np.maximum(sent - sent[before], WINDOW_S)[:, None]
    change = np.abs(rate - rate[before]) / width
    return np.asarray((change > limits.acceleration_rad_s2 * (1 + RELATIVE)).any(axis=1))
