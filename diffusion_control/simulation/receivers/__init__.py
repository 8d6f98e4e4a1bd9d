# SPDX-License-Identifier: Apache-2.0
"""Emulations of the controllers that receive the command, one file each."""

from __future__ import annotations

from diffusion_control.errors import ConfigurationError
from diffusion_control.simulation.receivers.forward_position import ForwardPosition
from diffusion_control.simulation.receivers.forward_velocity import ForwardVelocity
from diffusion_control.simulation.receivers.gz import GazeboTrajectoryReceiver
from diffusion_control.simulation.receivers.isaac import Isaac
from diffusion_control.simulation.receivers.jtc import JointTrajectoryReceiver
from diffusion_control.simulation.receivers.messages import (
    Message,
    SampleMessage,
    TrajectoryMessage,
    TwistMessage,
)
from diffusion_control.simulation.receivers.receiver import Receiver
from diffusion_control.trajectory.trajectory import Array

PROFILES = ('jtc', 'forward_position', 'forward_velocity', 'isaac', 'gz')


def make_receiver(profile: str, names: tuple[str, ...], velocity_limit: Array) -> Receiver:
    """Return the receiver of a profile.

    Args:
        profile: One of `PROFILES`.
        names: Joint names in the controller's order.
        velocity_limit: Highest velocity of each joint [rad/s], shape [n].

    Raises:
        ConfigurationError: For an unknown profile.
    """
    if profile == 'jtc':
        return JointTrajectoryReceiver(names)
    if profile == 'gz':
        return GazeboTrajectoryReceiver(names, velocity_limit)
    if profile == 'forward_position':
        return ForwardPosition(names)
    if profile == 'forward_velocity':
        return ForwardVelocity(names)
    if profile == 'isaac':
        return Isaac(names)
    raise ConfigurationError(
        'unknown receiver profile of the simulator', where='simulator.profile', value=profile,
        allowed=', '.join(PROFILES), remedy='choose one of the allowed names')


__all__ = [
    'PROFILES',
    'Message',
    'Receiver',
    'SampleMessage',
    'TrajectoryMessage',
    'TwistMessage',
    'make_receiver',
]
