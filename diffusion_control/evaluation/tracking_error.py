# SPDX-License-Identifier: Apache-2.0
"""How well the robot follows its set-point, and where its tool is."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.truth_file import Truth

Array = NDArray[np.float64]
TOOL_RATE_HZ = 200.0


class ToolPositions(Protocol):
    """A robot that knows where its tool is."""

    def tool_positions(self, positions: Array) -> Array:
        """Return tool positions [L, 3] [m] of L configurations [L, n]."""
        ...


def tracking_errors(truth: Truth, robot: ToolPositions) -> dict[str, float | None]:
    """Return the errors of the true motion against the set-point `cmd`.

    rms_q_rad = sqrt(mean over samples and joints of (q - cmd)^2); the tool's error is the
    distance of the tool at q from the tool at cmd, at 200 Hz. The simulator's freezes are left
    out.
    """
    free = ~truth.exempt
    if not free.any():
        return {'rms_q_rad': None, 'rms_tool_m': None, 'p99_tool_m': None}
    error = truth.q[free] - truth.cmd[free]
    step = max(1, round(1.0 / (TOOL_RATE_HZ * truth.period_s)))
    q, cmd = truth.q[free][::step], truth.cmd[free][::step]
    apart = np.linalg.norm(robot.tool_positions(q) - robot.tool_positions(cmd), axis=1)
    return {
        'rms_q_rad': float(np.sqrt(np.mean(error**2))),
        'rms_tool_m': float(np.sqrt(np.mean(apart**2))),
        'p99_tool_m': float(np.percentile(apart, 99)),
    }
