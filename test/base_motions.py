# SPDX-License-Identifier: Apache-2.0
"""Motions of a base out of twists, for tests."""

from __future__ import annotations

from diffusion_control.safety.base.arc import Array, roll, rolled
from diffusion_control.trajectory.trajectory import Trajectory


def motion_of(times: Array, twist: Array, pose: Array, like: Trajectory, now_s: float
              ) -> Trajectory:
    """Return the motion of twists [T, 3] from a pose on, with the names of another motion."""
    return rolled(times, roll(times, twist, pose), like, now_s)
