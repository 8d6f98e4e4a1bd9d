# SPDX-License-Identifier: Apache-2.0
"""Whether the tool of a motion keeps its speed limit and its box.

On a grid with positions x_k of the tool at times t_k, between which it leaves the chord by at most
half the chord's length:

    |x_k - x_{k-1}| / (t_k - t_{k-1}) <= s_max,    lower <= x_k -+ |x_k - x_{k-1}| / 2 <= upper,

each with the margin, and where the start already breaks it, `not worse than now`.
"""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.protocol import Robot
from diffusion_control.safety.parameters import SafetyParameters

Array = NDArray[np.float64]

TOLERANCE = 1e-3
NOT_WORSE_M = 1e-4
START_S = 0.03
"""For so long a motion may be as fast as at its start: no speed changes at once."""


class HasToolPositions(Protocol):
    """A robot that tells where its tool is at many configurations."""

    def tool_positions(self, positions: Array) -> Array:
        """Return the tool's positions [L, 3] at configurations [L, n]."""
        ...


class ToolCheck:
    """Check motions of one robot's tool; costs nothing where no limit is set.

    Args:
        robot: Gives the tool's positions.
        parameters: Speed and box.
    """

    def __init__(self, robot: Robot, parameters: SafetyParameters) -> None:
        """Take over the limits."""
        self._robot = cast(HasToolPositions, robot)
        self._top_m_s = parameters.tool_speed_max_m_s
        self._lower, self._upper = parameters.workspace
        self._boxed = bool(np.isfinite([self._lower, self._upper]).any())

    def refusal(self, grid: Array, position: Array, margin_m: float) -> tuple[str, int]:
        """Return the code and the index of what is broken, or ('', 0).

        Args:
            grid: Times, shape [L] [s].
            position: Joint positions there, shape [L, n].
            margin_m: Distance to keep from the sides of the box [m].
        """
        if len(grid) < 2 or not (self._boxed or self._top_m_s > 0.0):
            return '', 0
        tool = self._robot.tool_positions(position)
        chord = np.linalg.norm(np.diff(tool, axis=0), axis=1)
        if self._top_m_s > 0.0:
            speed = chord / np.diff(grid)
            top = np.where(grid[1:] <= START_S, max(self._top_m_s, speed[0]), self._top_m_s)
            if not (speed <= top * (1.0 + TOLERANCE)).all():
                return 'tool_speed', int(np.argmax(speed - top)) + 1
        if self._boxed:
            room = np.minimum(tool - self._lower, self._upper - tool).min(axis=1) - margin_m
            room[1:] -= chord / 2
            if not (room >= min(0.0, float(room[0]) - NOT_WORSE_M)).all():
                return 'workspace', int(np.argmin(room))
        return '', 0
