# SPDX-License-Identifier: Apache-2.0
"""The safety monitor: verified motions only, and a state machine that says why."""

from __future__ import annotations

from diffusion_control.robots.base import Base
from diffusion_control.robots.protocol import Robot
from diffusion_control.safety.decision import Counters, SafetyDecision
from diffusion_control.safety.health import Health, Thresholds
from diffusion_control.safety.monitor import SafetyMonitor
from diffusion_control.safety.parameters import SafetyParameters

__all__ = [
    'Counters', 'Health', 'SafetyDecision', 'SafetyMonitor', 'SafetyParameters', 'Thresholds',
    'make', 'parameters_of']


def make(robot: Robot, *, rate_hz: float, **params: object) -> SafetyMonitor:
    """Return a monitor, compiled and ready: its `step` is called `rate_hz` times a second.

    Args:
        robot: What is driven.
        rate_hz: Rate of `step` [Hz].
        params: Fields of `SafetyParameters`, or their names in the contract
            (`**{'state.stale_s': 0.05}`).

    Raises:
        ConfigurationError: If a name is unknown, a value is outside its range, or the receiver
            of the commands does not stop by itself and nobody consented.
    """
    robot.collision.warm_up()
    return SafetyMonitor(robot, parameters_of(robot, rate_hz, params))


def parameters_of(robot: Robot, rate_hz: float, params: dict[str, object]) -> SafetyParameters:
    """Return checked parameters; what a base's receiver is comes from its robot file.

    Args:
        robot: What is driven.
        rate_hz: Rate of `step` [Hz].
        params: As of `make`; an empty `command_out_type` and a negative `receiver_timeout_s` are
            none.

    Raises:
        ConfigurationError: If a name is unknown or a value is outside its range.
    """
    given = dict(params)
    timeout_s = given.get('receiver_timeout_s')
    if isinstance(timeout_s, float | int) and timeout_s < 0:
        del given['receiver_timeout_s']
    if given.get('command_out_type') == '':
        del given['command_out_type']
    usual: dict[str, object] = {}
    if isinstance(robot, Base):
        usual = {'command_out_type': robot.controller.command_type,
                 'receiver_timeout_s': robot.receiver_timeout_s}
    return SafetyParameters.make(rate_hz, {**usual, **given})
