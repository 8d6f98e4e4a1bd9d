# SPDX-License-Identifier: Apache-2.0
"""Parameters of a base's trackers: those of `parameters.py`, other defaults, and three more."""

from __future__ import annotations

from dataclasses import dataclass

from diffusion_control.errors import require_within
from diffusion_control.tracking.parameters import TrackerParameters

MORE: dict[str, tuple[float, float]] = {
    'weight_yaw': (0.0, 1e9), 'yaw_arm_m': (0.01, 10.0), 'sqp_steps': (1, 10)}


@dataclass(frozen=True)
class BaseTrackerParameters(TrackerParameters):
    """What a base's tracker can be told; see `TrackerParameters`.

    Positions are in m; `command_delay_s` is without the motors' lag (the robot file has it);
    a yaw counts `yaw_arm_m` metres a radian where both are compared.

    Attributes:
        weight_yaw: Of the squared yaw error [1/rad^2].
        yaw_arm_m: Metres that a radian counts [m].
        sqp_steps: Most linearisations in one tick.
    """

    dt_s: float = 0.05
    weight_position: float = 1.0
    weight_velocity: float = 2e-3
    weight_input: float = 1e-5
    weight_smooth: float = 2e-4
    observer_time_constant_s: float = 0.1
    command_delay_s: float = 0.01
    follow_rad: float = 0.3
    weight_yaw: float = 0.1
    yaw_arm_m: float = 0.3
    sqp_steps: int = 1

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        super().__post_init__()
        for name, (low, high) in MORE.items():
            require_within(f'tracker.{name}', getattr(self, name), low, high)
