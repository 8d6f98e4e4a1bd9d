# SPDX-License-Identifier: Apache-2.0
"""Parameters of the trackers, with their ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from time import perf_counter
from typing import Any, Self

from diffusion_control.errors import ConfigurationError, require_known, require_within
from diffusion_control.tracking.cost import Weights
from diffusion_control.tracking.motion import MAX_STEPS
from diffusion_control.tracking.protocol import WARM_STARTS

RANGES: dict[str, tuple[float, float]] = {
    'dt_s': (0.005, 0.1), 'horizon_steps': (20, MAX_STEPS), 'limits_scale': (0.05, 1.0),
    'lead_s': (0.0, 0.2), 'braking_fraction': (0.1, 1.0), 'max_iterations': (10, 10000),
    'observer_time_constant_s': (0.01, 100.0), 'observer_bound_rad': (0.0, 0.05),
    'command_delay_s': (0.0, 0.2), 'scale_rate': (0.1, 100.0), 'follow_rad': (0.01, 10.0),
}


@dataclass(frozen=True)
class TrackerParameters:
    """What a tracker can be told.

    Attributes:
        dt_s: Time between knots of the prediction [s] (`mpc.dt_s`).
        horizon_steps: N, steps of the prediction (`mpc.horizon_steps`).
        weight_position: `mpc.weight_position` [1/rad^2].
        weight_velocity: `mpc.weight_velocity` [s^2/rad^2].
        weight_input: `mpc.weight_input` [s^4/rad^2].
        weight_smooth: Weight of the distance to the last solution [s^4/rad^2].
        limits_scale: Share of velocity, acceleration, jerk and torque limits that is used.
        warm_start: `best`, `plan`, `shifted` or `cold`.
        lead_s: A motion starts at now + lead [s].
        braking_fraction: Share of the acceleration that safety brakes with.
        max_iterations: Cap of each solve.
        observer: Whether the disturbance observer corrects the reference.
        observer_time_constant_s: Its time constant [s].
        observer_bound_rad: Bound of its correction [rad].
        command_delay_s: From a command to its effect on the measurement [s].
        scale_rate: Largest change of the rate along the plan [1/s].
        follow_rad: With a larger tracking error the robot counts as not following [rad].
        clock: Source of the report's stage times [s].
    """

    dt_s: float = 0.02
    horizon_steps: int = 20
    weight_position: float = 1.0
    weight_velocity: float = 1e-3
    weight_input: float = 1e-9
    weight_smooth: float = 2e-7
    limits_scale: float = 0.9
    warm_start: str = 'best'
    lead_s: float = 0.02
    braking_fraction: float = 0.75
    max_iterations: int = 200
    observer: bool = True
    observer_time_constant_s: float = 0.25
    observer_bound_rad: float = 0.02
    command_delay_s: float = 0.01
    scale_rate: float = 3.0
    follow_rad: float = 0.1
    clock: Callable[[], float] = perf_counter

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        for name, (low, high) in RANGES.items():
            require_within(f'tracker.{name}', getattr(self, name), low, high)
        require_known('unknown warm start', 'tracker.warm_start', self.warm_start, WARM_STARTS)
        self.weights()

    def weights(self) -> Weights:
        """Return the weights of the cost."""
        return Weights(
            self.weight_position, self.weight_velocity, self.weight_input, self.weight_smooth)

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Return the parameters of a mapping; names may have the prefix `mpc.` of the contract.

        Raises:
            ConfigurationError: Unknown name, or a value outside its range.
        """
        plain = {name.removeprefix('mpc.'): value for name, value in values.items()}
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(plain) - known)
        if unknown:
            raise ConfigurationError(
                'unknown parameter of the tracker', where='tracking.make', value=unknown,
                allowed=', '.join(sorted(known)))
        return cls(**plain)
