# SPDX-License-Identifier: Apache-2.0
"""What `verify` asks of arrays: which distance is short, which limit broken, what silence does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diffusion_control.robots.jit import kernel
from diffusion_control.safety.base.arc import fill_twist, roll, slow_down

SILENT_GRID_S = 0.04
STANDS = 1e-4
REASONS = ('', 'obstacle', 'walls')


@kernel()
def judge(obstacle: Any, own: Any, keep_m: float, own_keep_m: float, allowed_m: float) -> Any:
    """Return which distance is too small first, the least one less its margin, and the first one.

    Each has to be min(margin, the first one - `allowed_m`) at least, NaN is not.

    Args:
        obstacle: Distances to obstacles along a motion [L] [m].
        own: To walls [L] [m].
        keep_m: Margin of the first [m].
        own_keep_m: Of the second [m].
        allowed_m: How much nearer than at the beginning is not worse [m].

    Returns:
        Index into `REASONS`, and two distances [m].
    """
    code, least = 0, math.inf
    for which in (1, 2):
        rows, keep = (obstacle, keep_m) if which == 1 else (own, own_keep_m)
        asked = min(0.0, rows[0] - keep - allowed_m)
        for value in rows:
            spare = value - keep
            if not (spare >= least or math.isnan(least)):
                least = spare
            if code == 0 and not spare >= asked:
                code = which
    return code, least, min(obstacle[0], own[0])


@kernel()
def silence(
    times: Any, position: Any, velocity: Any, period_s: float, hold_s: float, brake: float,
    yaw_brake: float, omni: bool,
) -> Any:
    """Return times [L] and poses [L, 3] if what is sent at the beginning of a motion is the last.

    Args:
        times: Knots of the motion, as the next two.
        position: Shape [T, 3].
        velocity: Shape [T, 3].
        period_s: The twist of so long after the beginning is sent [s].
        hold_s: How long it is held [s].
        brake: How the receiver brakes then [m/s^2].
        yaw_brake: Likewise [rad/s^2].
        omni: Whether the twist has a part to the side.
    """
    state, twist, start = np.empty((3, 3)), np.empty(3), np.empty(3)
    fill_twist(times, position, velocity, period_s, omni, state, twist)
    fill_twist(times, position, velocity, 0.0, omni, state, start)
    pose = state[0]
    if np.abs(twist).max() < STANDS:
        return np.zeros(1), pose.copy().reshape(1, 3)
    later, falling = slow_down(twist, brake, yaw_brake, SILENT_GRID_S)
    count = max(2, int(math.ceil(hold_s / SILENT_GRID_S)))
    size = count + len(later)
    knots, twists = np.empty(size), np.empty((size, 3))
    knots[0], twists[0] = 0.0, start
    for k in range(count):
        last = k == count - 1
        knots[k + 1] = hold_s if last else period_s + k * ((hold_s - period_s) / (count - 1))
        twists[k + 1] = twist
    knots[count + 1:], twists[count + 1:] = hold_s + later[1:], falling[1:]
    return knots, roll(knots, twists, pose)[0]


@kernel()
def excess(position: Any, velocity: Any, most: Any) -> float:
    """Return by which share a motion exceeds a limit of speed, yaw rate or wheels.

    Args:
        position: Shape [T, 3].
        velocity: Shape [T, 3].
        most: Speed ahead and back [m/s], yaw rate [rad/s], of a wheel [m/s], and half the distance
            of the wheels [m].
    """
    worst = -math.inf
    for k in range(len(position)):
        yaw, turn = position[k, 2], abs(velocity[k, 2])
        ahead = math.cos(yaw) * velocity[k, 0] + math.sin(yaw) * velocity[k, 1]
        for part in (ahead / most[0] - 1.0, (-ahead - most[1]) / most[0], turn / most[2] - 1.0,
                     (abs(ahead) + most[4] * turn) / most[3] - 1.0):
            if math.isnan(part):
                return math.nan
            worst = max(worst, part)
    return worst
