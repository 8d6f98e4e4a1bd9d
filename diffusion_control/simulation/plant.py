# SPDX-License-Identifier: Apache-2.0
"""How the simulated robot differs from the model that its controllers believe in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.fields import Fields, as_array
from diffusion_control.simulation.plant_base import BASE_KEYS, BaseDeviations
from diffusion_control.simulation.scene_file import read_yaml

Array = NDArray[np.float64]
Scale = float | tuple[float, ...]
KEYS = ('mass_scale', 'friction_scale', 'delay_s', 'payload_kg', 'noise_rad', 'drop_rate')
DRIVE_KEYS = ('stiffness_scale', 'damping_scale')
MASS_SPREAD, FRICTION_SPREAD, DEFAULT_DELAY_S, DEFAULT_NOISE_RAD = 0.1, 0.3, 0.010, 1e-4
SCALE_RANGE, MAX_DELAY_S, MAX_PAYLOAD_KG, MAX_NOISE_RAD = (0.01, 100.0), 1.0, 100.0, 0.1


@dataclass(frozen=True)
class Plant:
    """Deviations of the plant; the defaults are the nominal model.

    Attributes:
        mass_scale: Factor on mass and inertia of each link, one for all or one per link.
        friction_scale: Factor on friction loss and damping of each joint, likewise.
        delay_s: Time from the receiver's set-point to the drive [s].
        payload_kg: Point-like mass at the tool frame [kg].
        noise_rad: Standard deviation of the measured positions [rad].
        drop_rate: Share of measurements that are lost, in [0, 1).
        base: What only a base has: its wheels, the floor, odometry and scan.
        stiffness_scale: Factor on the stiffness of an arm's drives over the robot file, one for
            all or one per joint; torque-controlled (impedance) drives are softer.
        damping_scale: The same of their damping.

    The links of a base are its body, its left and its right wheel.
    """

    mass_scale: Scale = 1.0
    friction_scale: Scale = 1.0
    delay_s: float = 0.0
    payload_kg: float = 0.0
    noise_rad: float = 0.0
    drop_rate: float = 0.0
    base: BaseDeviations = field(default_factory=BaseDeviations)
    stiffness_scale: Scale = 1.0
    damping_scale: Scale = 1.0

    @classmethod
    def nominal(cls) -> Plant:
        """Return the plant that is exactly the controllers' model."""
        return cls()

    @classmethod
    def default(cls, seed: int, links: int) -> Plant:
        """Return masses +-10 %, friction +-30 % per link, 10 ms delay, 1e-4 rad noise, by seed."""
        random = np.random.default_rng([seed, 0x91A47])
        masses = random.uniform(1 - MASS_SPREAD, 1 + MASS_SPREAD, links)
        friction = random.uniform(1 - FRICTION_SPREAD, 1 + FRICTION_SPREAD, links)
        return cls(tuple(masses.round(6).tolist()), tuple(friction.round(6).tolist()),
                   DEFAULT_DELAY_S, 0.0, DEFAULT_NOISE_RAD, 0.0, BaseDeviations.default(seed))

    @classmethod
    def load(cls, path: str | Path) -> Plant:
        """Return the plant of a YAML file; keys that are absent are nominal.

        Raises:
            ConfigurationError: With file, key, value and what is allowed.
        """
        fields = Fields.of(read_yaml(path, 'plant'), str(path))
        fields.only((*KEYS, *DRIVE_KEYS, *BASE_KEYS))
        return cls(
            _scale(fields, 'mass_scale'), _scale(fields, 'friction_scale'),
            _bounded(fields, 'delay_s', 0.0, MAX_DELAY_S),
            _bounded(fields, 'payload_kg', 0.0, MAX_PAYLOAD_KG),
            _bounded(fields, 'noise_rad', 0.0, MAX_NOISE_RAD),
            _bounded(fields, 'drop_rate', 0.0, 0.99), BaseDeviations.of(fields),
            *(_scale(fields, key) for key in DRIVE_KEYS))

    @classmethod
    def make(cls, choice: str | Path | Plant, *, seed: int, links: int) -> Plant:
        """Return the plant named `default` or `nominal`, that of a file, or the one given."""
        if isinstance(choice, Plant):
            plant = choice
        elif str(choice) == 'default':
            plant = cls.default(seed, links)
        elif str(choice) == 'nominal':
            plant = cls.nominal()
        else:
            plant = cls.load(choice)
        plant.check(links)
        return plant

    def check(self, links: int) -> None:
        """Refuse scales that have neither one value nor one per link."""
        for key in ('mass_scale', 'friction_scale', *DRIVE_KEYS):
            value = getattr(self, key)
            if not isinstance(value, float | int) and len(value) != links:
                raise ConfigurationError(
                    f'{key} does not fit the robot', where=f'plant.{key}', value=value,
                    allowed=f'one number, or {links} (one per link)')

    def scales(self, links: int) -> tuple[Array, Array]:
        """Return the mass and the friction factor of each link, each of shape [links]."""
        return _spread(self.mass_scale, links), _spread(self.friction_scale, links)

    def drive_scales(self, joints: int) -> tuple[Array, Array]:
        """Return the factors on stiffness and damping of each drive, each of shape [joints]."""
        return _spread(self.stiffness_scale, joints), _spread(self.damping_scale, joints)

    def summary(self) -> dict[str, Any]:
        """Return the plant as the mapping that the run's summary holds."""
        values = {key: getattr(self, key) for key in KEYS}
        return {key: list(value) if isinstance(value, tuple) else value
                for key, value in values.items()}


def _spread(scale: Scale, count: int) -> Array:
    return np.broadcast_to(np.asarray(scale, dtype=float), count).copy()


def _scale(fields: Fields, key: str) -> Scale:
    """Return one factor or a list of them, each in the allowed range."""
    low, high = SCALE_RANGE
    array = as_array(fields.values.get(key, 1.0))
    if array is None or array.ndim > 1 or not array.size or ((array < low) | (array > high)).any():
        raise fields.fail(key, f'a number in {low} .. {high}, or a list of them, one per link')
    return float(array) if array.ndim == 0 else tuple(array.tolist())


def _bounded(fields: Fields, key: str, low: float, high: float) -> float:
    value = fields.number(key, 0.0)
    if not low <= value <= high:
        raise fields.fail(key, f'{low} .. {high}')
    return value
