# SPDX-License-Identifier: Apache-2.0
"""What is wrong with received commands: limits, rest, start, obstacles, writer.

A whole trajectory must keep to the robot file's unscaled limits, end with velocity 0 and begin
within 1e-3 rad of the set-point that its receiver runs at that time (replayed from the commands
received before; from the ground truth for the first).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.commands import Command, SetPoint
from diffusion_control.evaluation.truth_file import Truth
from diffusion_control.robots.limits import JointLimits

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
START_RAD = 1e-3
REST_RAD_S = 1e-3
# Times in a message are rounded to 1 ns, which moves the acceleration of a 10 ms cubic by some
# 1e-4 rad/s^2: the tolerance is ten times that.
RELATIVE = 1e-3
POSITION_ROUNDING_RAD = 1e-6
REASONS = ('no_motion', 'position', 'velocity', 'acceleration', 'not_at_rest', 'start',
           'obstacle', 'writer')


@dataclass(frozen=True)
class CommandVerdicts:
    """Flags of m commands by reason, and the measured steps at each start.

    Attributes:
        sent_s: ROS times at which they were sent [s], shape [m].
        flags: Reason -> shape [m].
        start_error_rad: Largest joint distance to the running set-point, shape [m]; NaN unknown.
    """

    sent_s: Array
    flags: dict[str, Flags]
    start_error_rad: Array

    @property
    def unverified(self) -> Flags:
        """Commands with any fault, shape [m]."""
        result = np.zeros(len(self.sent_s), dtype=bool)
        for flags in self.flags.values():
            result |= flags
        return result


def limit_faults(command: Command, limits: JointLimits) -> set[str]:
    """Return which limits a command breaks, and whether it does not end at rest."""
    if command.fault:
        return {'no_motion'}
    lowest, highest, speed, acceleration = command.extremes()
    faults = set()
    if ((lowest < limits.lower_rad - POSITION_ROUNDING_RAD)
            | (highest > limits.upper_rad + POSITION_ROUNDING_RAD)).any():
        faults.add('position')
    if (speed > limits.velocity_rad_s * (1 + RELATIVE)).any():
        faults.add('velocity')
    if (acceleration > limits.acceleration_rad_s2 * (1 + RELATIVE)).any():
        faults.add('acceleration')
    at_rest = (command.velocity is not None
               and bool((np.abs(command.velocity[-1]) <= REST_RAD_S).all()))
    if not at_rest and len(command.times_s) > 1:
        faults.add('not_at_rest')
    return faults


def start_errors(commands: list[Command], truth: Truth) -> Array:
    """Return each command's largest joint distance to the running set-point at its start.

    It is taken when the command was sent, or at its first point where that is later: until then
    the receiver joins the two by itself. Commands during the simulator's own freezes are NaN;
    after one the receiver begins anew, holding what the ground truth says.
    """
    errors = np.full(len(commands), np.nan)
    running: SetPoint | None = None
    for k, command in enumerate(commands):
        if command.fault:
            continue
        if truth.exempt[truth.index(command.sent_s)]:
            running = None
            continue
        if running is None:
            running = SetPoint(truth.cmd_at(command.sent_s))
        if not truth.exempt_near(command.sent_s):
            start = max(command.sent_s, command.first_s)
            before = running.at(start)[0]
            errors[k] = np.abs(command.position_at(np.array([start]))[0] - before).max()
        running.take(command, command.sent_s)
    return errors


def judge_trajectories(
    commands: list[Command], truth: Truth, limits: JointLimits, foreign: Flags, touching: Flags
) -> CommandVerdicts:
    """Return the verdicts on commands of whole trajectories.

    Args:
        commands: In the order in which they were received.
        truth: Ground truth of the run.
        limits: Unscaled limits of the robot file.
        foreign: Commands of another writer, shape [m].
        touching: Commands that touch an obstacle, shape [m].
    """
    faults = [limit_faults(command, limits) for command in commands]
    errors = start_errors(commands, truth)
    flags = {reason: np.array([reason in found for found in faults], dtype=bool)
             for reason in REASONS}
    flags.update(start=np.nan_to_num(errors) > START_RAD, writer=foreign, obstacle=touching)
    return CommandVerdicts(np.array([c.sent_s for c in commands]), flags, errors)
