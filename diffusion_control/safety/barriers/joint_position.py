# SPDX-License-Identifier: Apache-2.0
"""Joint position barrier: h = q_max - q - (what a stop needs), and mirrored [rad].

Inequality: v_i <= min(phi(q_max,i - q_i), gamma (q_max,i - q_i)), phi as in `step` with the
joint's own braking acceleration; likewise -v_i at the lower limit. (A joint that would pass its
limit in the joints' common stop is stopped by itself: `trajectory.stop`.)

Original: the viability of position, velocity and acceleration limits, W. Decre, R. Smits,
H. Bruyninckx, J. De Schutter, "Extending iTaSC to support inequality constraints and
non-instantaneous task specification", ICRA 2009; A. Del Prete, "Joint Position and Velocity
Bounds in Discrete-Time Acceleration/Torque Control of Robot Manipulators", IEEE Robotics and
Automation Letters 3(1), 2018.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diffusion_control.robots.jit import kernel
from diffusion_control.safety.barriers.step import Bounds, Step, approach_speed

CLEAR_RAD = 1e-3


def bounds(step: Step) -> Bounds:
    """Return the bounds of v that keep each joint able to stop inside its range."""
    limits = step.limits
    lower, upper = _bounds(
        step.position, step.velocity, limits.lower_rad, limits.upper_rad,
        limits.acceleration_rad_s2, limits.jerk_rad_s3, step.duration_s, step.class_k_gain)
    return Bounds(lower, upper)


@kernel()
def _bounds(
    position: Any, velocity: Any, lowest: Any, highest: Any, acceleration: Any, jerk: Any,
    duration_s: float, gain: float,
) -> Any:
    """Return both bounds, shape [2, n]."""
    found = np.empty((2, len(position)))
    for i in range(len(position)):
        settle_s = acceleration[i] / jerk[i]
        found[0, i] = -approach_speed(
            position[i] - lowest[i] - CLEAR_RAD, -velocity[i], duration_s, acceleration[i],
            settle_s, gain)
        found[1, i] = approach_speed(
            highest[i] - position[i] - CLEAR_RAD, velocity[i], duration_s, acceleration[i],
            settle_s, gain)
    return found
