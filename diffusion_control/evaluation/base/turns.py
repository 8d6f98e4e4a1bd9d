# SPDX-License-Identifier: Apache-2.0
"""Motions of a base from message to message: a quaternion does not say how often it has turned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diffusion_control.evaluation.commands import Command

TURN = np.array([0.0, 0.0, 2.0 * np.pi])


def in_one_turn(commands: list[Command]) -> list[Command]:
    """Return motions with whole turns added, so that each goes on where the one before was."""
    found: list[Command] = []
    for command in commands:
        if found:
            said = float(found[-1].position_at(np.array([command.first_s]))[0, 2])
            turns = np.round((said - command.position[0, 2]) / TURN[2])
            command = replace(command, position=command.position + turns * TURN)
        found.append(command)
    return found
