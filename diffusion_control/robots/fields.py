# SPDX-License-Identifier: Apache-2.0
"""Checked access to the keys of a robot file: every error names file, key, value and allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusion_control.errors import ConfigurationError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fields:
    """One mapping of a YAML file, with the place it stands at.

    Attributes:
        values: The mapping.
        where: File and key path, for messages.
    """

    values: Mapping[str, Any]
    where: str

    @classmethod
    def of(cls, value: object, where: str) -> Fields:
        """Return the fields of a value that must be a mapping with names as keys."""
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise ConfigurationError(
                'expected a mapping', where=where, value=value, allowed='name: value')
        return cls(value, where)

    def only(self, allowed: tuple[str, ...]) -> None:
        """Refuse keys that nobody reads."""
        unknown = sorted(set(self.values) - set(allowed))
        if unknown:
            raise ConfigurationError(
                f'unknown key {unknown[0]}', where=self.where, value=unknown,
                allowed=', '.join(allowed))

    def get(self, key: str) -> Any:
        """Return the value of a key that must be there."""
        if key not in self.values:
            raise ConfigurationError(
                f'key {key} is missing', where=self.where, allowed=f'{key}: ...',
                remedy=f'add {key} to the file')
        return self.values[key]

    def fail(self, key: str, allowed: str, what: str = '') -> ConfigurationError:
        """Return the error of a bad value."""
        return ConfigurationError(
            what or f'bad value of {key}', where=f'{self.where}: {key}',
            value=self.values.get(key), allowed=allowed)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a non-empty string."""
        value = self.get(key) if default is None else self.values.get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.fail(key, 'a non-empty text')
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a finite number."""
        value = self.get(key) if default is None else self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise self.fail(key, 'a finite number')
        return float(value)

    def names(self, key: str) -> tuple[str, ...]:
        """Return a list of different non-empty names."""
        value = self.get(key)
        good = isinstance(value, list) and value and all(
            isinstance(name, str) and name for name in value)
        if not good or len(set(value)) != len(value):
            raise self.fail(key, 'a list of different names')
        return tuple(value)

    def vector(self, key: str, length: int, *, positive: bool = False) -> Array:
        """Return a list of finite numbers of a length, strictly positive where asked."""
        array = as_array(self.get(key))
        allowed = f'{length} finite{" positive" if positive else ""} numbers'
        if array is None or array.shape != (length,) or (positive and (array <= 0).any()):
            raise self.fail(key, allowed)
        return array

    def rows(self, key: str, shape: tuple[int, ...]) -> Array:
        """Return a list of rows of finite numbers, each of a shape; empty where it is absent."""
        value = self.values.get(key, [])
        array = np.zeros((0, *shape)) if value == [] else as_array(value)
        if array is None or array.shape[1:] != shape:
            raise self.fail(key, f'a list of rows of {" x ".join(map(str, shape))} finite numbers')
        return array

    def section(self, key: str) -> Fields:
        """Return the mapping under a key."""
        return Fields.of(self.get(key), f'{self.where}: {key}')

    def optional_section(self, key: str) -> Fields:
        """Return the mapping under a key, empty where it is absent."""
        return Fields.of(self.values.get(key, {}), f'{self.where}: {key}')


def as_array(value: object) -> Array | None:
    """Return nested lists of finite numbers as an array, None if they are anything else."""
    try:
        array = np.array(value)
    except ValueError:
        return None
    if array.dtype.kind not in 'if' or not np.isfinite(array).all():
        return None
    return array.astype(float)
