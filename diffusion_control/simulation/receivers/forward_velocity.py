# SPDX-License-Identifier: Apache-2.0
"""A forward_command_controller on the velocity interface: it RUNS ON when nobody speaks."""

from __future__ import annotations

from collections import Counter

import numpy as np

from diffusion_control.simulation.receivers.messages import Message
from diffusion_control.simulation.receivers.samples import ordered_values
from diffusion_control.trajectory.trajectory import Array


class ForwardVelocity:
    """Forward each velocity sample to a drive that integrates it.

    With the sample v received at t0 the set-point is q(t) = q(t0) + v (t - t0), for ever: the
    controller has no time-out (ros2_controllers, forward_command_controller, Jazzy), so a dead
    sender means an arm that keeps moving. Non-finite samples are dropped, one of the wrong length
    deactivates the controller, whose drives then stand.

    Args:
        names: Joint names in the controller's order.
    """

    profile = 'forward_velocity'

    def __init__(self, names: tuple[str, ...]) -> None:
        self.counters: Counter[str] = Counter()
        self.names = names
        self.active = True
        self._start, self._velocity = np.zeros(len(names)), np.zeros(len(names))
        self._position = np.zeros(len(names))
        self._since_s = 0.0

    def reset(self, position: Array, now_s: float) -> None:
        """Activate anew and hold `position`."""
        self.active = True
        self._start[:] = position
        self._velocity[:] = 0.0
        self._since_s = now_s

    def receive(self, message: Message, now_s: float) -> bool:
        """Take one sample of all n velocities [rad/s]."""
        values = ordered_values(message, self.names) if self.active else 'inactive'
        if not isinstance(values, str) and np.isnan(values).any():
            values = 'names'
        if isinstance(values, str):
            self.counters[values] += 1
            if values == 'size':
                self._run(np.zeros(len(self.names)), now_s)
                self.active = False
            return False
        self.counters['accepted'] += 1
        self._run(values, now_s)
        return True

    def froze(self, now_s: float) -> bool:
        """Return False: it never stops in the middle of a motion."""
        return False

    def set_point(self, now_s: float) -> tuple[Array, Array]:
        """Return the integrated position and the velocity."""
        np.multiply(self._velocity, now_s - self._since_s, out=self._position)
        self._position += self._start
        return self._position, self._velocity

    def _run(self, velocity: Array, now_s: float) -> None:
        self._start[:] = self.set_point(now_s)[0]
        self._velocity[:] = velocity
        self._since_s = now_s
