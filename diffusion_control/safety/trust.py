# SPDX-License-Identifier: Apache-2.0
"""Whether a robot that did not follow answers again, asked with steps below a milliradian.

A robot behind a protective stop looks like one that stands. If the monitor simply went on after a
while, the set-point would run away from it again and again, and at its release the robot would
jump after it. So after `robot_not_following` the set-point is first brought to where the robot
is, then moved by 0.7 mrad: only if the median joint is measured to move along is the robot
trusted again. Whenever it is released in between, it jumps by less than 1 mrad.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.robots.state import RobotState

Array = NDArray[np.float64]

SAMPLES = 10
STEP_RAD = 7e-4
ANSWER_RAD = 1.5e-4
ASTRAY_RAD = 5e-4


class Trust:
    """Decide where the set-point goes until the robot is known to answer.

    Args:
        limits: Position limits; the step leads towards the middle of the range.
    """

    def __init__(self, limits: JointLimits) -> None:
        """Begin with trust."""
        self._middle = 0.5 * (limits.lower_rad + limits.upper_rad)
        self._measured: deque[Array] = deque(maxlen=SAMPLES)
        self._last: RobotState | None = None
        self._before: Array | None = None
        self._step = np.zeros(len(self._middle))
        self.lost = False

    def lose(self) -> None:
        """Withdraw the trust, because the robot did not follow."""
        self.lost, self._before = True, None
        self._measured.clear()

    def regain(self) -> None:
        """Trust the robot again."""
        self.lost = False

    def target(self, committed: Array, state: RobotState) -> Array | None:
        """Return where to move the set-point next; None to wait, or if the robot has answered.

        Called while the set-point stands; the measurements begin anew after each motion.

        Args:
            committed: Where the set-point stands [rad], shape [n].
            state: The newest state.
        """
        if state is not self._last:
            self._measured.append(state.position)
            self._last = state
        if len(self._measured) < SAMPLES:
            return None
        mean = np.mean(self._measured, axis=0)
        self._measured.clear()
        before, self._before = self._before, None
        if before is not None and np.median((mean - before) * np.sign(self._step)) > ANSWER_RAD:
            self.regain()
            return None
        if before is not None or np.abs(committed - mean).max() > ASTRAY_RAD:
            return np.asarray(mean)
        self._before = np.asarray(mean)
        self._step = STEP_RAD * np.where(committed < self._middle, 1.0, -1.0)
        return committed + self._step
