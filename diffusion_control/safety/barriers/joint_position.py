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

from diffusion_control.safety.barriers.step import Bounds, Step, approach_speed

CLEAR_RAD = 1e-3


def bounds(step: Step) -> Bounds:
    """Return the bounds of v that keep each joint able to stop inside its range."""
    limits = step.limits
    acceleration = limits.acceleration_rad_s2
    settle = acceleration / limits.jerk_rad_s3
    found = []
    for room, now in ((limits.upper_rad - step.position - CLEAR_RAD, step.velocity),
                      (step.position - limits.lower_rad - CLEAR_RAD, -step.velocity)):
        found.append(approach_speed(
            room, now, step.duration_s, acceleration, settle, step.class_k_gain))
    return Bounds(-found[1], found[0])
