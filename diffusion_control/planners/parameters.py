# SPDX-License-Identifier: Apache-2.0
"""Parameters of planners: a frozen dataclass whose fields know their range."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from diffusion_control.errors import ConfigurationError, require_known

P = TypeVar('P')


def parameter(default: Any, low: float, high: float, text: str) -> Any:
    """Return a dataclass field with a default, a closed range and a description."""
    return dataclasses.field(default=default, metadata={'low': low, 'high': high, 'text': text})


def choice(default: str, names: tuple[str, ...], text: str) -> Any:
    """Return a dataclass field that holds one of several names."""
    return dataclasses.field(default=default, metadata={
        'low': names[0], 'high': names[-1], 'names': names, 'text': text})


def read_parameters(kind: type[P], planner: str, values: dict[str, Any]) -> P:
    """Return the dataclass `kind` filled from `values`, each checked against its range.

    Raises:
        ConfigurationError: An unknown name, a wrong type, or a value outside its range.
    """
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name not in fields:
            raise ConfigurationError(
                f'planner {planner} has no parameter {name}', where=f'{planner}.{name}',
                value=value, allowed=', '.join(sorted(fields)) or 'no parameters')
        read[name] = _checked(planner, fields[name], value)
    return kind(**read)


def refuse_model(planner: str, model: object) -> None:
    """Raise a ConfigurationError if a planner without a trained model is given one."""
    if model:
        raise ConfigurationError(
            f'planner {planner} takes no model', where='planner.model', value=model,
            allowed='none', remedy='leave planner.model empty')


def _checked(planner: str, field: dataclasses.Field[Any], value: Any) -> Any:
    """Return the value in the type of the field's default, or say what is wrong with it."""
    if 'names' in field.metadata:
        require_known(f'bad value of parameter {field.name} of planner {planner}',
                      f'{planner}.{field.name}', value, field.metadata['names'])
        return value
    low, high = field.metadata['low'], field.metadata['high']
    wanted = type(field.default)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    whole = wanted is float or (number and float(value).is_integer())
    if not number or not whole or not low <= value <= high:
        raise ConfigurationError(
            f'bad value of parameter {field.name} of planner {planner}',
            where=f'{planner}.{field.name}', value=value,
            allowed=f'{wanted.__name__} in [{low}, {high}] ({field.metadata["text"]})')
    converted: object = int(value) if wanted is int else float(value)
    return converted


def describe(kind: type[Any]) -> dict[str, dict[str, Any]]:
    """Return the table of parameters of a planner: name -> default, low, high, text."""
    return {
        f.name: {'default': f.default, **f.metadata} for f in dataclasses.fields(kind)}
