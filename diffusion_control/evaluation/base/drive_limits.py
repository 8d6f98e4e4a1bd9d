# SPDX-License-Identifier: Apache-2.0
"""Which twists a base can drive: limits of v, omega and wheels, with flags over many samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.base_config import BaseDrive

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


def too_fast(twists: Array, drive: BaseDrive, tolerance: float = 0.0) -> Flags:
    """Say which limits twists [k, 3] exceed by more than a share: speed, yaw rate, wheels [k, 3].

    Speed of a differential drive is that of its x axis, forward and backward apart; of an
    omnidirectional base its norm. A wheel of a differential drive runs at
    |v -+ omega w / 2| / radius; an omnidirectional base has no limit of wheels here.
    """
    more = 1.0 + tolerance
    vx, rate = twists[:, 0], twists[:, 2]
    fast = np.hypot(vx, twists[:, 1]) > drive.speed_max_m_s * more
    wheels = np.zeros(len(twists), dtype=bool)
    if drive.kind == 'diff_drive':
        small = 1e-3 if drive.reverse_max_m_s == 0.0 else 0.0
        fast = (vx > drive.speed_max_m_s * more) | (vx < -drive.reverse_max_m_s * more - small)
        travel = np.abs(vx) + np.abs(rate) * drive.wheel_separation_m / 2
        wheels = travel > drive.wheel_travel_max_m_s * more
    return np.stack([fast, np.abs(rate) > drive.yaw_rate_max_rad_s * more, wheels], axis=1)


def accelerates_too_much(
    before: Array, after: Array, width_s: Array, drive: BaseDrive, tolerance: float
) -> Flags:
    """Say where twists change by more than the drive can, shape [k].

    The speed may grow at `acceleration_max_m_s2`, fall at `braking_max_m_s2`; in changes of sign
    and direction the larger of both counts.

    Args:
        before: Twists [k, 3].
        after: Later twists [k, 3].
        width_s: Time between them [s], shape [k].
        drive: Limits.
        tolerance: Share by which they may be exceeded.
    """
    change = np.hypot(*(after - before)[:, :2].T)
    slower = np.hypot(*after[:, :2].T) < np.hypot(*before[:, :2].T)
    turned = (after[:, :2] * before[:, :2]).sum(axis=1) < 0.0
    most = max(drive.acceleration_max_m_s2, drive.braking_max_m_s2)
    allowed = np.where(slower, drive.braking_max_m_s2, drive.acceleration_max_m_s2)
    allowed = np.where(turned, most, allowed)
    turning = np.abs(after[:, 2] - before[:, 2])
    more = width_s * (1.0 + tolerance)
    return np.asarray((change > allowed * more)
                      | (turning > drive.yaw_acceleration_max_rad_s2 * more))
