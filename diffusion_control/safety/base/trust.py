# SPDX-License-Identifier: Apache-2.0
"""When a base that did not follow is asked again: after it stood for half a second.

Its set-point does not run away from it (`follow`), so at its release it begins with the speed 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.state import RobotState

Array = NDArray[np.float64]
WAIT = 50


class BaseTrust:
    """Count the measurements of a base that stands; the same calls as `trust.Trust`."""

    def __init__(self) -> None:
        """Begin with trust."""
        self.lost, self._count = False, 0

    def lose(self) -> None:
        """Withdraw the trust, because the robot did not follow."""
        self.lost, self._count = True, 0

    def regain(self) -> None:
        """Trust the robot again."""
        self.lost = False

    def target(self, committed: Array, state: RobotState) -> Array | None:
        """Return None; the robot is trusted again after 50 calls while it stands."""
        self._count += 1
        if self._count >= WAIT:
            self.regain()
        return None
