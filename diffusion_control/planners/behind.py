# SPDX-License-Identifier: Apache-2.0
"""Whether a robot will be where its next plan begins."""

from __future__ import annotations

import numpy as np

from diffusion_control.trajectory.trajectory import Trajectory

BEHIND = 0.05
"""Of any coordinate of a configuration [rad or m]."""


def falls_behind(motion: Trajectory | None, plan: Trajectory) -> bool:
    """Return whether the tracker's motion does not lead to where a plan begins.

    A plan that has not begun foretells where the robot will be, unless safety holds the robot
    back: it would then have to catch up with each plan from behind. Without a motion: False.
    """
    if motion is None:
        return False
    away = motion.sample(plan.start_s).position - plan.sample(plan.start_s).position
    return bool(np.abs(away).max() > BEHIND)
