# SPDX-License-Identifier: Apache-2.0
"""Joint velocity barrier: h = v_max - |v| [rad/s].

Of relative degree one, and reached exactly by the step: |v_i| <= speed_scale * 0.95 v_max,i. The
scale is the operator's; the 5 % are for drives, whose speed swings around the commanded one. The
limit itself is checked by the verification.
"""

from __future__ import annotations

from diffusion_control.safety.barriers.step import Bounds, Step

SHARE = 0.95


def bounds(step: Step, speed_scale: float) -> Bounds:
    """Return the bounds of v by the speed limits times `speed_scale`."""
    top = speed_scale * SHARE * step.limits.velocity_rad_s
    return Bounds(-top, top)
