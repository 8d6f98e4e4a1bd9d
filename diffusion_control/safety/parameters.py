# SPDX-License-Identifier: Apache-2.0
"""Parameters of the safety monitor, checked at construction."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError, require_known, require_within
from diffusion_control.safety.health import Thresholds

Array = NDArray[np.float64]

DOTTED = ('obstacles.max_speed_m_s', 'obstacles.max_acceleration_m_s2',
          'obstacles.velocity_error_m_s', 'obstacles.stale_s', 'state.stale_s', 'motion.stale_s',
          'workspace.lower_m', 'workspace.upper_m', 'separation.person_speed_m_s',
          'separation.reaction_s', 'separation.intrusion_m', 'silence.turning_s')
NO_SIDE_M = 100.0
RANGES: dict[str, tuple[float, float]] = {
    'rate_hz': (20.0, 1000.0), 'margin_m': (0.0, 0.5), 'own_margin_m': (0.0, 0.5),
    'braking_fraction': (0.1, 1.0), 'class_k_gain': (0.1, 20.0), 'speed_scale': (0.01, 1.0),
    'tool_speed_max_m_s': (0.0, 10.0), 'separation_person_speed_m_s': (0.0, 3.0),
    'separation_reaction_s': (0.0, 1.0), 'separation_intrusion_m': (0.0, 2.0),
    'command_delay_s': (0.0, 0.2),
    'confidence_min': (0.0, 1.0), 'plan_lost_s': (0.1, 10.0),
    'degraded_time_scale': (0.05, 1.0), 'recovery_cycles': (1, 1000), 'emergency_s': (0.05, 0.2),
    'receiver_timeout_s': (0.0, 10.0),
    'settle_s': (0.0, 0.5), 'lead_s': (0.01, 0.2), 'follow_error_rad': (0.005, 1.0),
    'unverified_s': (0.0, 1.0),
    'position_jump_rad': (1e-6, 1e-3), 'rejected_limit': (1, 100),
    'obstacles_max_speed_m_s': (0.0, 5.0), 'obstacles_max_acceleration_m_s2': (0.0, 50.0),
    'obstacles_velocity_error_m_s': (0.0, 5.0), 'silence_turning_s': (0.0, 10.0),
    'obstacles_stale_s': (0.02, 1.0),
    'state_stale_s': (0.005, 0.2), 'motion_stale_s': (0.01, 0.2)}
CHOICES: dict[str, tuple[str, ...]] = {
    'command_out_type': (
        'joint_trajectory', 'float64_multi_array', 'joint_state', 'twist_stamped', 'twist'),
    'command_interface': ('position', 'velocity')}


@dataclass(frozen=True)
class SafetyParameters:
    """What can be chosen about the monitor; ranges in `RANGES`, names in `CHOICES`.

    Attributes:
        rate_hz: Rate of `step` [Hz].
        margin_m: Least distance that a verified motion keeps to obstacles [m].
        own_margin_m: Least distance of the links' spheres among each other and to the floor [m];
            the spheres contain the links and are larger, and nothing there moves by itself.
        braking_fraction: Share of acceleration and jerk limits that a planned stop uses.
        filter: Whether the CBF-QP filters the step; False leaves the verification alone.
        class_k_gain: gamma of the class K function alpha(h) = gamma h of the barriers [1/s].
        speed_scale: Share of the joints' speed limits that the filter admits.
        tool_speed_max_m_s: Highest speed of the tool [m/s]; 0 for none.
        workspace_lower_m: Lower corner of the tool's box; +-100 m is no side [m].
        workspace_upper_m: Upper corner of the tool's box; +-100 m is no side [m].
        separation_person_speed_m_s: v_h of speed and separation monitoring [m/s]; 0 for none.
        separation_reaction_s: T_r of it [s].
        separation_intrusion_m: C + Z of it [m].
        command_delay_s: Time from a command until the robot moves by it [s].
        command_out_type: Message of the command.
        command_interface: What a `float64_multi_array` receiver takes.
        accept_no_timeout: Consent to a receiver that runs on when nothing more is sent.
        receiver_timeout_s: For how long a receiver of twists keeps the last one [s].
        settle_s: Time after the end of a motion in which the robot may still creep [s].
        confidence_min: DEGRADED below this confidence.
        plan_lost_s: FALLBACK after this time in DEGRADED [s].
        rejected_limit: FALLBACK after so many rejected plans in a row.
        degraded_time_scale: Speed along the last valid plan in DEGRADED.
        fallback_type: `hold` means that there is nothing to follow in FALLBACK.
        recovery_cycles: Good cycles before a better state.
        emergency_s: EMERGENCY when joint states, tracker or the monitor were away longer [s].
        shadow: Compute everything, send nothing.
        lead_s: How much of the tracker's motion is taken before the stop [s].
        position_jump_rad: Largest distance of a motion's start from what is committed [rad].
        follow_error_rad: A robot farther than this from its command does not follow [rad].
        unverified_s: Time without a verified step that leads to STOPPING [s].
        obstacles_max_speed_m_s: Bound on the speed of movers [m/s].
        obstacles_max_acceleration_m_s2: Bound on the acceleration of movers [m/s^2].
        obstacles_velocity_error_m_s: Error of the movers' measured velocity [m/s].
        silence_turning_s: For how long movers may still turn after the last twist of a base's
            monitor that died, see `base.verify` [s].
        obstacles_stale_s: Obstacles older than this stop the robot [s].
        state_stale_s: Joint states older than this stop the robot [s].
        motion_stale_s: A tracker silent for longer stops the robot [s].
    """

    rate_hz: float = 100.0
    margin_m: float = 0.01
    own_margin_m: float = 0.0
    braking_fraction: float = 0.75
    filter: bool = True
    class_k_gain: float = 15.0
    speed_scale: float = 1.0
    tool_speed_max_m_s: float = 0.0
    workspace_lower_m: tuple[float, ...] = (-NO_SIDE_M,) * 3
    workspace_upper_m: tuple[float, ...] = (NO_SIDE_M,) * 3
    separation_person_speed_m_s: float = 0.0
    separation_reaction_s: float = 0.1
    separation_intrusion_m: float = 0.1
    command_delay_s: float = 0.01
    settle_s: float = 0.25
    command_out_type: str = 'joint_trajectory'
    command_interface: str = 'position'
    accept_no_timeout: bool = False
    receiver_timeout_s: float = 0.5
    confidence_min: float = 0.1
    plan_lost_s: float = 1.0
    rejected_limit: int = 3
    degraded_time_scale: float = 0.5
    fallback_type: str = 'classical'
    recovery_cycles: int = 10
    emergency_s: float = 0.2
    shadow: bool = False
    lead_s: float = 0.04
    position_jump_rad: float = 1e-3
    follow_error_rad: float = 0.1
    unverified_s: float = 0.1
    obstacles_max_speed_m_s: float = 0.5
    obstacles_max_acceleration_m_s2: float = 2.0
    obstacles_velocity_error_m_s: float = 0.1
    silence_turning_s: float = 0.0
    obstacles_stale_s: float = 0.2
    state_stale_s: float = 0.05
    motion_stale_s: float = 0.04

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        for name, (low, high) in RANGES.items():
            require_within(f'safety.{_shown(name)}', getattr(self, name), low, high)
        for name, allowed in CHOICES.items():
            require_known(f'unknown {name}', f'safety.{name}', getattr(self, name), allowed)
        self._check_box()
        for name in ('shadow', 'accept_no_timeout', 'filter'):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(
                    f'bad value of {name}', where=f'safety.{name}', value=getattr(self, name),
                    allowed='true or false')

    def _check_box(self) -> None:
        """Refuse a workspace that is not a box."""
        for name in ('workspace_lower_m', 'workspace_upper_m'):
            value = getattr(self, name)
            good = isinstance(value, tuple | list) and len(value) == 3 and all(
                isinstance(x, int | float) and math.isfinite(x) for x in value)
            if not good:
                raise ConfigurationError(
                    f'bad value of {_shown(name)}', where=f'safety.{_shown(name)}', value=value,
                    allowed='three finite numbers [m]')
        if any(a >= b for a, b in zip(
                self.workspace_lower_m, self.workspace_upper_m, strict=True)):
            raise ConfigurationError(
                'the workspace is empty', where='safety.workspace.lower_m',
                value=list(self.workspace_lower_m),
                allowed=f'below workspace.upper_m {list(self.workspace_upper_m)}')

    @classmethod
    def make(cls, rate_hz: float, params: dict[str, object]) -> SafetyParameters:
        """Return parameters from names as in the contract (`state.stale_s`) or with underscores.

        Raises:
            ConfigurationError: If a name is unknown or a value is outside its range.
        """
        known = {field.name for field in fields(cls)}
        values = {name.replace('.', '_') if name in DOTTED else name: value
                  for name, value in params.items()}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigurationError(
                f'unknown parameter {unknown[0]}', where='safety.make', value=unknown,
                allowed=', '.join(sorted(_shown(name) for name in known)))
        return cls(**{**values, 'rate_hz': rate_hz})  # type: ignore[arg-type]

    @property
    def workspace(self) -> tuple[Array, Array]:
        """Lower and upper corner of the tool's box, infinite where there is no side [3] [m]."""
        lower, upper = np.array(self.workspace_lower_m), np.array(self.workspace_upper_m)
        return (np.where(lower > -NO_SIDE_M, lower, -np.inf),
                np.where(upper < NO_SIDE_M, upper, np.inf))

    @property
    def thresholds(self) -> Thresholds:
        """The part of the parameters that the state machine judges by."""
        return Thresholds(
            state_stale_s=self.state_stale_s, motion_stale_s=self.motion_stale_s,
            obstacles_stale_s=self.obstacles_stale_s, emergency_s=self.emergency_s,
            plan_lost_s=self.plan_lost_s, confidence_min=self.confidence_min,
            rejected_limit=self.rejected_limit, follow_error_rad=self.follow_error_rad,
            unverified_s=self.unverified_s, recovery_cycles=self.recovery_cycles,
            degraded_time_scale=self.degraded_time_scale,
            fallback_holds=self.fallback_type == 'hold')


def _shown(name: str) -> str:
    """Return the name of a field as the contract writes it."""
    return {dotted.replace('.', '_'): dotted for dotted in DOTTED}.get(name, name)
