# SPDX-License-Identifier: Apache-2.0
"""What the ground truth alone shows of a base."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.evaluation.base.drive_limits import too_fast
from diffusion_control.evaluation.base.silence import turned_by
from diffusion_control.evaluation.rates import onsets
from diffusion_control.evaluation.truth_file import Truth
from diffusion_control.robots.base import Base

Array = NDArray[np.float64]


def velocity_onsets(truth: Truth, robot: Base) -> int:
    """Count how often true speed, yaw rate or a wheel exceeds the robot file's limit."""
    return onsets(too_fast(body_twists(truth), robot.drive) & ~truth.exempt[:, None])


def body_twists(truth: Truth) -> Array:
    """Return the true vx, vy, yaw rate in the body's frame, shape [T, 3]."""
    return np.column_stack([turned_by(-truth.q[:, 2], truth.dq[:, :2]), truth.dq[:, 2]])
