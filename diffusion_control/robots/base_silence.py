# SPDX-License-Identifier: Apache-2.0
"""What the receiver of a base's twists does when nothing more comes: runs on, then brakes.

The last twist is held for the receiver's time-out and `LAG_S` more (its motors); then speed and
yaw rate fall by `OWN_BRAKES` of its limits, both in the same time. The safety monitor verifies
every twist together with that; planners keep the room that this asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.robots.base_config import BaseDrive

LAG_S, OWN_BRAKES = 0.07, 0.9


@dataclass(frozen=True)
class Silence:
    """The receiver's rule in numbers.

    Attributes:
        hold_s: How long the last twist goes on.
        braking_m_s2: How fast the speed falls then.
        yaw_braking_rad_s2: How fast the yaw rate falls.
    """

    hold_s: float
    braking_m_s2: float
    yaw_braking_rad_s2: float

    @classmethod
    def of(cls, drive: BaseDrive, timeout_s: float) -> Silence:
        """Return the rule of a drive whose receiver has this time-out [s]."""
        return cls(timeout_s + LAG_S, OWN_BRAKES * drive.braking_max_m_s2,
                   OWN_BRAKES * drive.yaw_acceleration_max_rad_s2)
