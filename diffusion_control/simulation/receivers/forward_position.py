# SPDX-License-Identifier: Apache-2.0
"""A forward_command_controller on the position interface: single samples, freezes on silence."""

from __future__ import annotations

from collections import Counter

import numpy as np

from diffusion_control.simulation.receivers.messages import Message
from diffusion_control.simulation.receivers.samples import ordered_values
from diffusion_control.trajectory.trajectory import Array

FROZEN_RAD_S = 0.02


class ForwardPosition:
    """Forward each position sample; a servo drive interpolates between samples.

    The controller itself (ros2_controllers, forward_command_controller, Jazzy) drops non-finite
    samples and is deactivated by one of the wrong length. A position drive does not step from
    sample to sample: it interpolates linearly over one command period P (as the 'interpolated
    position' mode of CiA 402 does), so with the sample u received at t0 and the set-point q0 then,

        q(t) = q0 + (u - q0) * min((t - t0) / P, 1),   velocity (u - q0) / P until t0 + P, then 0.

    It lags one period behind. On silence it stands at the last sample for ever.

    Args:
        names: Joint names in the controller's order.
        period_s: Command period P of the drive [s].
    """

    profile = 'forward_position'

    def __init__(self, names: tuple[str, ...], *, period_s: float = 0.01) -> None:
        self.counters: Counter[str] = Counter()
        self.names, self.period_s = names, period_s
        self.active = True
        self._start, self._target = np.zeros(len(names)), np.zeros(len(names))
        self._slope, self._rest = np.zeros(len(names)), np.zeros(len(names))
        self._position = np.zeros(len(names))
        self._since_s = 0.0

    def reset(self, position: Array, now_s: float) -> None:
        """Activate anew and hold `position`."""
        self.active = True
        self._start[:] = self._target[:] = position
        self._slope[:] = 0.0
        self._since_s = now_s

    def receive(self, message: Message, now_s: float) -> bool:
        """Take one sample of all n positions [rad]."""
        values = self._checked(message)
        if isinstance(values, str):
            self.counters[values] += 1
            return False
        self.counters['accepted'] += 1
        self._start[:] = self.set_point(now_s)[0]
        self._target[:] = values
        np.subtract(self._target, self._start, out=self._slope)
        self._slope /= self.period_s
        self._since_s = now_s
        return True

    def froze(self, now_s: float) -> bool:
        """Return whether a moving set-point has stood for a period, for lack of a sample."""
        late = now_s - self._since_s >= 2.0 * self.period_s
        return bool(late and np.abs(self._slope).max() > FROZEN_RAD_S)

    def set_point(self, now_s: float) -> tuple[Array, Array]:
        """Return the interpolated set-point."""
        elapsed_s = now_s - self._since_s
        if elapsed_s >= self.period_s:
            self._position[:] = self._target
            return self._position, self._rest
        np.multiply(self._slope, elapsed_s, out=self._position)
        self._position += self._start
        return self._position, self._slope

    def _checked(self, message: Message) -> Array | str:
        if not self.active:
            return 'inactive'
        values = ordered_values(message, self.names)
        if isinstance(values, str):
            self.active = values != 'size'
        elif np.isnan(values).any():
            return 'names'
        return values
