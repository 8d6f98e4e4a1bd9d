# SPDX-License-Identifier: Apache-2.0
"""Joint acceleration barrier: h = a_max - |a| [rad/s^2], by what a step can reach.

With |a| <= a_max, |jerk| <= j and acceleration 0 at its end, the step T changes the velocity by

    dv = a_max (T - a_max / j)  for T >= 2 a_max / j,   j T^2 / 4  otherwise,

around v0 + a0 |a0| / (2 j), where v0 drifts while a0 is brought to rest. This box is where the
filter may put v at all; all other bounds of single joints are clipped into it, so that they never
contradict each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diffusion_control.robots.jit import kernel
from diffusion_control.robots.limits import JointLimits
from diffusion_control.safety.barriers.step import Bounds, Step


def bounds(step: Step, limits: JointLimits) -> Bounds:
    """Return the velocities that the step can reach.

    Args:
        step: The step; the limits in it are those of stops, and are not used.
        limits: All that the joints can do.
    """
    lower, upper = _bounds(
        step.velocity, step.acceleration, limits.acceleration_rad_s2, limits.jerk_rad_s3,
        step.duration_s)
    return Bounds(lower, upper)


@kernel()
def _bounds(velocity: Any, now: Any, most: Any, jerk: Any, duration_s: float) -> Any:
    """Return both bounds, shape [2, n]."""
    found = np.empty((2, len(velocity)))
    for i in range(len(velocity)):
        a, j = most[i], jerk[i]
        change = j * duration_s * duration_s / 4
        if duration_s >= 2 * a / j:
            change = a * (duration_s - a / j)
        middle = velocity[i] + now[i] * abs(now[i]) / (2 * j)
        found[0, i], found[1, i] = middle - change, middle + change
    return found
