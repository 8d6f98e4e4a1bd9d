# SPDX-License-Identifier: Apache-2.0
"""How a simulated base differs from its robot file: wheels, motors, floor, odometry, sensors."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from diffusion_control.errors import require_within
from diffusion_control.robots.fields import Fields

FACTORS = ('left_wheel_scale', 'right_wheel_scale', 'separation_scale', 'grip_scale', 'lag_scale')
RANGES: dict[str, tuple[float, float]] = {
    'left_wheel_scale': (0.5, 2.0), 'right_wheel_scale': (0.5, 2.0),
    'separation_scale': (0.5, 2.0), 'grip_scale': (0.01, 10.0), 'lag_scale': (0.0, 100.0),
    'slope_rad': (-0.3, 0.3), 'slope_direction_rad': (-7.0, 7.0),
    'odom_drift_scale': (-0.5, 0.5), 'odom_drift_rad_m': (-1.0, 1.0),
    'scan_noise_m': (0.0, 1.0), 'scan_drop_rate': (0.0, 0.99),
    'localisation_noise_m': (0.0, 1.0), 'localisation_noise_rad': (0.0, 1.0)}


@dataclass(frozen=True)
class BaseDeviations:
    """Deviations of a base; the defaults are the nominal robot on an even floor.

    Attributes:
        left_wheel_scale: Factor on the radius of the left wheel; the odometry does not know it.
        right_wheel_scale: Of the right one.
        separation_scale: Factor on the distance of the wheels, likewise.
        grip_scale: Factor on the friction between wheels and floor: below, they slip sooner.
        lag_scale: Factor on the time constant of the motors.
        slope_rad: Slope of the floor.
        slope_direction_rad: Direction in which it falls, in the world.
        odom_drift_scale: Share by which the odometry's way is too long.
        odom_drift_rad_m: Heading that the odometry adds per metre [rad/m].
        odom_from_zero: The odometry begins at 0; else where the robot stands in the map.
        scan_noise_m: Standard deviation of a range of the scan.
        scan_drop_rate: Share of the rays that return nothing.
        localisation_noise_m: Standard deviation of x and y of `map_to_odom`.
        localisation_noise_rad: Of its yaw.
    """

    left_wheel_scale: float = 1.0
    right_wheel_scale: float = 1.0
    separation_scale: float = 1.0
    grip_scale: float = 1.0
    lag_scale: float = 1.0
    slope_rad: float = 0.0
    slope_direction_rad: float = 0.0
    odom_drift_scale: float = 0.0
    odom_drift_rad_m: float = 0.0
    odom_from_zero: bool = False
    scan_noise_m: float = 0.0
    scan_drop_rate: float = 0.0
    localisation_noise_m: float = 0.0
    localisation_noise_rad: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no base is."""
        for key, (low, high) in RANGES.items():
            require_within(f'plant.{key}', getattr(self, key), low, high)

    @classmethod
    def default(cls, seed: int) -> BaseDeviations:
        """Return a base by seed that is not as its file says.

        Wheels +-0.3 %, their distance +-1 %, grip +-20 %, motors' lag +-30 %, a slope of up to 1
        degree, odometry that begins at 0 and drifts by up to 1 % and 0.01 rad/m, 1 cm noise and
        1 % losses in the scan.
        """
        random = np.random.default_rng([seed, 0xBA5E])

        def about(middle: float, spread: float) -> float:
            return round(float(random.uniform(middle - spread, middle + spread)), 6)

        return cls(
            about(1.0, 0.003), about(1.0, 0.003), about(1.0, 0.01), about(1.0, 0.2),
            about(1.0, 0.3), about(0.009, 0.009), about(0.0, 3.14159), about(0.0, 0.01),
            about(0.0, 0.01), True, 0.01, 0.01)

    @classmethod
    def of(cls, mapping: Fields) -> BaseDeviations:
        """Return the deviations of a plant file; absent keys are nominal.

        Raises:
            ConfigurationError: With file, key, value and what is allowed.
        """
        chosen: dict[str, float | bool] = {}
        for key, (low, high) in RANGES.items():
            value = mapping.number(key, 1.0 if key in FACTORS else 0.0)
            if not low <= value <= high:
                raise mapping.fail(key, f'{low} .. {high}')
            chosen[key] = value
        zero = mapping.values.get('odom_from_zero', False)
        if not isinstance(zero, bool):
            raise mapping.fail('odom_from_zero', 'true or false')
        return cls(**{**chosen, 'odom_from_zero': zero})  # type: ignore[arg-type]


BASE_KEYS = tuple(field.name for field in fields(BaseDeviations))
