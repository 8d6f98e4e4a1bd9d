# SPDX-License-Identifier: Apache-2.0
"""What each type of command carries, and what its receiver does when nothing more is sent.

| type | sent | on silence |
|---|---|---|
| `joint_trajectory` | all of C with its stop | finishes C, stands |
| `joint_state`, `float64_multi_array` of positions | C one period ahead | freezes there |
| `float64_multi_array` of velocities | mean speed of C over the next period | runs on |

A receiver that runs on has no verified end, so it is refused without `accept_no_timeout`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.safety.committed import at, stand
from diffusion_control.safety.parameters import SafetyParameters
from diffusion_control.trajectory.trajectory import Trajectory

Array = NDArray[np.float64]

TWISTS = ('twist_stamped', 'twist')
SILENT_PERIODS = 2.5
FROZEN_S = 0.1
CATCH_UP = 1.05
CORRECTION_HZ = 1.0
CORRECTION_SHARE = 0.02


@dataclass(frozen=True)
class CommandSample:
    """One set-point for a receiver of single samples, each of shape [n].

    Attributes:
        position: [rad].
        velocity: [rad/s].
    """

    position: Array
    velocity: Array


class Output(Protocol):
    """One type of command."""

    def sample(self, committed: Trajectory, now_s: float, behind: Array) -> CommandSample | None:
        """Return what to send besides C; None where C itself is sent.

        Args:
            committed: C.
            now_s: ROS time [s].
            behind: Committed minus measured position at the time of the measurement [rad].
        """
        ...

    def tail_s(self, moving_s: float) -> float:
        """Return the time until the robot stands if nothing more is sent [s].

        Args:
            moving_s: How long C still moves [s].
        """
        ...

    def after_silence(self, committed: Trajectory, last_s: float, now_s: float) -> Trajectory:
        """Return C as the receiver has it, to which the last command went at `last_s`."""
        ...


class WholeTrajectory:
    """A receiver that executes all of C.

    Args:
        delay_s: Time until the robot moves by a command [s].
    """

    def __init__(self, delay_s: float) -> None:
        """Remember the delay."""
        self._delay_s = delay_s

    def sample(self, committed: Trajectory, now_s: float, behind: Array) -> CommandSample | None:
        """Return None: C is sent whole."""
        return None

    def tail_s(self, moving_s: float) -> float:
        """Return how long C still moves, and the delay [s]."""
        return moving_s + self._delay_s if moving_s > 0.0 else 0.0

    def after_silence(self, committed: Trajectory, last_s: float, now_s: float) -> Trajectory:
        """Return C: the receiver went on with it."""
        return committed


class PositionSample:
    """A receiver that holds the last position it got: silence is an instant stop.

    Its drive goes from sample to sample in one period. A sample after a late tick would ask it
    to make up for the whole delay in that time, so the samples move on along C by at most 1.05
    periods a tick, and the robot lags a few milliseconds behind C until it has caught up (more
    than that would ask for accelerations that C does not have).

    Args:
        period_s: Time between two samples [s].
        delay_s: Time until the robot moves by a command [s].
        settle_s: Time in which its drive creeps to a last position [s].
    """

    def __init__(self, period_s: float, delay_s: float, settle_s: float) -> None:
        """Remember the times."""
        self._period_s, self._delay_s, self._settle_s = period_s, delay_s, settle_s
        self._at_s = -math.inf

    def sample(self, committed: Trajectory, now_s: float, behind: Array) -> CommandSample | None:
        """Return C one period ahead, or less far along it while late ticks are made up for."""
        wanted = now_s + self._period_s
        catching_up = now_s - FROZEN_S < self._at_s < wanted
        reachable = self._at_s + CATCH_UP * self._period_s
        self._at_s = min(wanted, reachable) if catching_up else wanted
        position, velocity, _ = at(committed, self._at_s)
        return CommandSample(position, velocity)

    def tail_s(self, moving_s: float) -> float:
        """Return the time in which the last sample is reached and the drive has settled [s]."""
        return self._period_s + self._delay_s + self._settle_s if moving_s > 0.0 else 0.0

    def after_silence(self, committed: Trajectory, last_s: float, now_s: float) -> Trajectory:
        """Return C, delayed by a silence of over two periods, or standing after a long one."""
        silent_s = now_s - last_s
        if silent_s <= SILENT_PERIODS * self._period_s:
            return committed
        if silent_s <= FROZEN_S:
            late_s = silent_s - self._period_s
            return replace(committed, stamp_s=committed.stamp_s + late_s)
        at_s = self._at_s if math.isfinite(self._at_s) else last_s + self._period_s
        frozen = at(committed, at_s)[0]
        return stand(frozen, now_s, committed.names, committed.frame_id)


class VelocitySample(PositionSample):
    """A receiver that keeps the last velocity it got, for ever.

    Args:
        period_s: Time between two samples [s].
        delay_s: Time until the robot moves by a command [s].
        limit_rad_s: Largest speed of each joint [rad/s], shape [n].
    """

    def __init__(self, period_s: float, delay_s: float, limit_rad_s: Array) -> None:
        """Remember what a drift may be corrected with."""
        super().__init__(period_s, delay_s, 0.0)
        self._limit = limit_rad_s
        self._correction = CORRECTION_SHARE * limit_rad_s

    def sample(self, committed: Trajectory, now_s: float, behind: Array) -> CommandSample | None:
        """Return the mean speed of C over the next period and a small correction of drift."""
        start, end = at(committed, now_s)[0], at(committed, now_s + self._period_s)[0]
        drift = np.clip(CORRECTION_HZ * behind, -self._correction, self._correction)
        velocity = (end - start) / self._period_s + drift
        return CommandSample(end, np.clip(velocity, -self._limit, self._limit))

    def tail_s(self, moving_s: float) -> float:
        """Return infinity while C moves: this receiver does not stop by itself."""
        return math.inf if moving_s > 0.0 else 0.0


def make_output(parameters: SafetyParameters, velocity_limit: Array) -> Output:
    """Return the output of the chosen type.

    Raises:
        ConfigurationError: If the receiver runs on when nothing is sent and nobody consented.
    """
    if parameters.command_out_type in TWISTS:
        raise ConfigurationError(
            'only a base is driven by twists', where='safety.command_out_type',
            value=parameters.command_out_type,
            allowed='joint_trajectory, joint_state, float64_multi_array')
    period_s, delay_s = 1.0 / parameters.rate_hz, parameters.command_delay_s
    if parameters.command_out_type == 'joint_trajectory':
        return WholeTrajectory(delay_s)
    if (parameters.command_out_type, parameters.command_interface) != (
            'float64_multi_array', 'velocity'):
        return PositionSample(period_s, delay_s, parameters.settle_s)
    if not parameters.accept_no_timeout:
        raise ConfigurationError(
            'a velocity receiver runs on when nothing more is sent',
            where='safety.command_out_type', value='float64_multi_array (velocity)',
            allowed='joint_trajectory, joint_state, float64_multi_array of positions',
            remedy='use a position or trajectory controller, or set safety.accept_no_timeout '
                   'to true if something else stops the robot')
    return VelocitySample(period_s, delay_s, velocity_limit)
