# SPDX-License-Identifier: Apache-2.0
"""What was commanded a moment ago.

Each committed motion begins when safety sent it, but a measurement shows the effect of what was
commanded a delay earlier. So the last motions are kept, and the command at time t is that of the
newest one which had begun by then.
"""

from __future__ import annotations

from collections import deque

from diffusion_control.trajectory.trajectory import Sample, Trajectory

KEPT = 32


class CommandHistory:
    """Keep the last committed motions (a fixed number)."""

    def __init__(self) -> None:
        self._motions: deque[Trajectory] = deque(maxlen=KEPT)

    def reset(self) -> None:
        """Forget all."""
        self._motions.clear()

    def add(self, motion: Trajectory) -> None:
        """Take the newest committed motion; the same one again changes nothing."""
        if not self._motions or motion is not self._motions[-1]:
            self._motions.append(motion)

    def motion_at(self, at_s: float) -> Trajectory:
        """Return the motion that was being commanded at a past ROS time [s].

        Raises:
            IndexError: If no motion was ever added.
        """
        for motion in reversed(self._motions):
            if motion.start_s <= at_s:
                return motion
        return self._motions[0]

    def sample(self, at_s: float) -> Sample:
        """Return what was commanded at a past ROS time [s]; see `motion_at`."""
        return self.motion_at(at_s).sample(at_s)
