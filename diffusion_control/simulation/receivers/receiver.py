# SPDX-License-Identifier: Apache-2.0
"""The protocol of a receiver: the controller on the robot's side of the command topic."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from diffusion_control.simulation.receivers.messages import Message
from diffusion_control.trajectory.trajectory import Array


class CommandReceiver(Protocol):
    """A controller that takes messages in.

    What it makes of them depends on the ROS times it is called with, on no clock.

    Attributes:
        profile: Name of the receiver, as in `simulation.make(profile=...)`.
        counters: `accepted`, and one count per reason of refusal.
    """

    profile: str
    counters: Counter[str]

    def reset(self, position: Array, now_s: float) -> None:
        """Activate anew at ROS time `now_s`: forget all messages, hold `position` [n] [rad]."""

    def receive(self, message: Message, now_s: float) -> bool:
        """Take a message in at ROS time `now_s`; return whether it was accepted."""


class Receiver(CommandReceiver, Protocol):
    """A controller that turns messages into one set-point of the joints per control period."""

    def froze(self, now_s: float) -> bool:
        """Return whether silence has stopped it in the middle of a motion."""

    def set_point(self, now_s: float) -> tuple[Array, Array]:
        """Return position [rad] and velocity [rad/s] for the period after `now_s`, each [n].

        The arrays belong to the receiver and are overwritten by the next call.
        """
