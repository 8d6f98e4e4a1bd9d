# SPDX-License-Identifier: Apache-2.0
"""The robot file of a mobile base: read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.config import ControllerConfig
from diffusion_control.robots.fields import Fields
from diffusion_control.robots.footprint import cover_polygon

Array = NDArray[np.float64]
KEYS = ('name', 'kind', 'body_frame', 'odom_frame', 'map_frame', 'drive', 'footprint', 'plant',
        'controller', 'scan')
DRIVE_KEYS = (
    'kind', 'speed_max_m_s', 'reverse_max_m_s', 'yaw_rate_max_rad_s', 'acceleration_max_m_s2',
    'braking_max_m_s2', 'yaw_acceleration_max_rad_s2', 'jerk_max_m_s3', 'wheel_radius_m',
    'wheel_separation_m', 'wheel_speed_max_rad_s')
PLANT_KEYS = ('mass_kg', 'motor_lag_s', 'wheel_friction', 'rolling_resistance', 'wheel_torque_nm')
FOOTPRINT_KEYS = ('radius_m', 'polygon_m', 'cover_tolerance_m', 'height_m')
CONTROLLER_KEYS = ('command_topic', 'command_type', 'odom_topic', 'receiver_timeout_s')
SCAN_KEYS = ('rays', 'range_min_m', 'range_max_m', 'height_m', 'position_m', 'yaw_rad', 'frame')
DRIVES = ('diff_drive', 'omni')
TYPES = ('twist_stamped', 'twist')


@dataclass(frozen=True)
class BaseDrive:
    """What a base can do; forward is x of the body.

    Attributes:
        kind: `diff_drive` or `omni`.
        speed_max_m_s: Forward; of an omnidirectional base in any direction.
        reverse_max_m_s: Backward; 0 forbids it.
        yaw_rate_max_rad_s: Both ways.
        acceleration_max_m_s2: Of the speed, when it grows.
        braking_max_m_s2: Of the speed, when it falls.
        yaw_acceleration_max_rad_s2: Of the yaw rate.
        jerk_max_m_s3: Of the speed.
        wheel_radius_m: Of the driven wheels.
        wheel_separation_m: Distance w of their tracks: v_wheel = v -+ omega w / 2.
        wheel_speed_max_rad_s: |v_wheel| / radius is at most this.
    """

    kind: str
    speed_max_m_s: float
    reverse_max_m_s: float
    yaw_rate_max_rad_s: float
    acceleration_max_m_s2: float
    braking_max_m_s2: float
    yaw_acceleration_max_rad_s2: float
    jerk_max_m_s3: float
    wheel_radius_m: float
    wheel_separation_m: float
    wheel_speed_max_rad_s: float

    @property
    def wheel_travel_max_m_s(self) -> float:
        """Largest speed of a wheel over the floor [m/s]."""
        return self.wheel_speed_max_rad_s * self.wheel_radius_m


@dataclass(frozen=True)
class BasePlant:
    """The nominal physics of a base: mass, motors, wheels.

    Attributes:
        mass_kg: Of the whole robot.
        motor_lag_s: Time constant of a wheel's speed control.
        wheel_friction: Coefficient between wheel and floor.
        rolling_resistance: Share of the weight that resists rolling.
        wheel_torque_nm: Largest torque of a wheel.
    """

    mass_kg: float
    motor_lag_s: float
    wheel_friction: float
    rolling_resistance: float
    wheel_torque_nm: float


@dataclass(frozen=True)
class ScanConfig:
    """The laser: rays once around, ranges, and where it sits on the body.

    Attributes:
        rays: Number, evenly from -pi.
        range_min_m: Shortest.
        range_max_m: Longest.
        height_m: Above the floor.
        position_m: x, y on the body, shape [2].
        yaw_rad: How it is turned on the body.
        frame: Its frame, as its messages name it.
    """

    rays: int
    range_min_m: float
    range_max_m: float
    height_m: float
    position_m: Array
    yaw_rad: float = 0.0
    frame: str = 'laser'


@dataclass(frozen=True)
class BaseConfig:
    """A robot file of kind `base`."""

    file: Path
    name: str
    body_frame: str
    odom_frame: str
    map_frame: str
    drive: BaseDrive
    discs: Array
    outline: Array
    height_m: float
    plant: BasePlant
    controller: ControllerConfig
    receiver_timeout_s: float
    scan: ScanConfig


def read_base(fields: Fields, file: Path) -> BaseConfig:
    """Return the checked content of a file of kind `base`.

    Raises:
        ConfigurationError: Unknown or missing keys, bad values.
    """
    fields.only(KEYS)
    footprint = fields.section('footprint')
    discs, outline = _footprint(footprint)
    controller = fields.section('controller')
    return BaseConfig(
        file, fields.text('name'), fields.text('body_frame', 'base_link'),
        fields.text('odom_frame', 'odom'), fields.text('map_frame', 'map'),
        _drive(fields.section('drive')), discs, outline, _positive(footprint, 'height_m'),
        _plant(fields.section('plant')), _controller(controller),
        _not_negative(controller, 'receiver_timeout_s'), _scan(fields.section('scan')))


def _drive(fields: Fields) -> BaseDrive:
    fields.only(DRIVE_KEYS)
    kind = fields.text('kind')
    if kind not in DRIVES:
        raise fields.fail('kind', ', '.join(DRIVES))
    free = 'reverse_max_m_s'
    numbers = {key: _not_negative(fields, key) if key == free else _positive(fields, key)
               for key in DRIVE_KEYS[1:]}
    return BaseDrive(kind, **numbers)


def _plant(fields: Fields) -> BasePlant:
    fields.only(PLANT_KEYS)
    return BasePlant(**{key: _not_negative(fields, key) if key in (
        'motor_lag_s', 'rolling_resistance') else _positive(fields, key) for key in PLANT_KEYS})


def _scan(fields: Fields) -> ScanConfig:
    fields.only(SCAN_KEYS)
    rays = fields.number('rays')
    if rays != int(rays) or not 8 <= rays <= 4096:
        raise fields.fail('rays', 'a whole number in 8 .. 4096')
    least, most = _positive(fields, 'range_min_m'), _positive(fields, 'range_max_m')
    if least >= most:
        raise fields.fail('range_min_m', 'less than range_max_m')
    return ScanConfig(
        int(rays), least, most, _positive(fields, 'height_m'), fields.vector('position_m', 2),
        fields.number('yaw_rad', 0.0), fields.text('frame', 'laser'))


def _controller(fields: Fields) -> ControllerConfig:
    fields.only(CONTROLLER_KEYS)
    if fields.text('command_type') not in TYPES:
        raise fields.fail('command_type', ', '.join(TYPES))
    for key in ('command_topic', 'odom_topic'):
        if fields.text(key).startswith('/'):
            raise fields.fail(key, 'a relative topic name, so that namespaces work')
    return ControllerConfig('diff_drive_controller', fields.text('command_topic'),
                            fields.text('command_type'), fields.text('odom_topic'))


def _footprint(fields: Fields) -> tuple[Array, Array]:
    """Return the discs [D, 3] and the corners of the outline [C, 2]."""
    fields.only(FOOTPRINT_KEYS)
    if ('radius_m' in fields.values) == ('polygon_m' in fields.values):
        raise fields.fail('radius_m', 'exactly one of radius_m, polygon_m',
                          'a footprint needs a radius or a polygon')
    if 'radius_m' in fields.values:
        radius = _positive(fields, 'radius_m')
        angles = np.linspace(0.0, 2.0 * np.pi, 32, endpoint=False)
        return (np.array([[0.0, 0.0, radius]]),
                radius * np.stack([np.cos(angles), np.sin(angles)], axis=1))
    corners = fields.rows('polygon_m', (2,))
    if len(corners) < 3:
        raise fields.fail('polygon_m', 'at least three corners [x, y]')
    tolerance = fields.number('cover_tolerance_m', 0.03)
    if tolerance <= 0.0:
        raise fields.fail('cover_tolerance_m', '> 0 m')
    return cover_polygon(corners, tolerance), corners


def _positive(fields: Fields, key: str) -> float:
    value = fields.number(key)
    if value <= 0.0:
        raise fields.fail(key, 'a positive number')
    return value


def _not_negative(fields: Fields, key: str) -> float:
    value = fields.number(key)
    if value < 0.0:
        raise fields.fail(key, 'a number that is not negative')
    return value
