# SPDX-License-Identifier: Apache-2.0
"""One row of the parameter table, and what a ROS descriptor says of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from diffusion_control.errors import ConfigurationError

Type = Literal['bool', 'int', 'float', 'string', 'float_array', 'string_array']
Value = bool | int | float | str | tuple[float, ...] | tuple[str, ...]
Scalar = type[bool] | type[int] | type[float] | type[str]
SCALARS: dict[str, Scalar] = {'bool': bool, 'int': int, 'float': float, 'string': str}


@dataclass(frozen=True)
class Parameter:
    """A parameter of one node.

    Attributes:
        name: Dotted name, for example `mpc.dt_s`.
        type: What the value is; an integer is accepted where a float is asked for.
        default: Value when nobody says otherwise; arrays are tuples.
        text: One sentence on what it does.
        unit: SI unit, empty for a pure number or a name.
        minimum: Lowest allowed number (of each entry of an array).
        maximum: Highest allowed number (of each entry of an array).
        choices: Allowed strings; empty means any.
        read_only: True when a change needs a restart of the node.
    """

    name: str
    type: Type
    default: Value
    text: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = True

    def range_text(self) -> str:
        """Return the allowed values in words, empty when everything of the type is allowed."""
        if self.choices:
            return ' | '.join(repr(choice) if not choice else choice for choice in self.choices)
        if self.minimum is None and self.maximum is None:
            return ''
        low = '-inf' if self.minimum is None else f'{self.minimum:.10g}'
        high = 'inf' if self.maximum is None else f'{self.maximum:.10g}'
        return f'{low} to {high}'

    def allowed(self) -> str:
        """Return type, range and unit as one phrase for an error message."""
        parts = [self.type, self.range_text(), self.unit]
        return ' '.join(part for part in parts if part)

    def check(self, value: object, *, where: str) -> Value:
        """Return the value in the table's type.

        Args:
            value: What a file, a command line or a caller gave.
            where: Names the parameter and its source in the error.

        Raises:
            ConfigurationError: The type, a number's range or a choice is wrong.
        """
        if self.type.endswith('_array'):
            return self._check_array(value, where)
        return self._check_scalar(value, SCALARS[self.type], where)

    def _check_array(self, value: object, where: str) -> Value:
        if not isinstance(value, list | tuple):
            raise self._error('is not a list', value, where)
        kind = SCALARS[self.type.removesuffix('_array')]
        entries = tuple(self._check_scalar(entry, kind, where) for entry in value)
        if not entries:
            raise self._error('is empty', list(value), where)
        return entries  # type: ignore[return-value]  # one type for all, by the loop above

    def _check_scalar(self, value: object, kind: Scalar, where: str) -> bool | int | float | str:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self._error('has the wrong type', value, where)
        if isinstance(value, str):
            if self.choices and value not in self.choices:
                raise self._error('is not one of the choices', value, where)
            return value
        assert isinstance(value, bool | int | float)
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error('is not finite', value, where)
        too_low = self.minimum is not None and value < self.minimum
        if too_low or (self.maximum is not None and value > self.maximum):
            raise self._error('is out of range', value, where)
        return value

    def _error(self, problem: str, value: object, where: str) -> ConfigurationError:
        return ConfigurationError(
            f'parameter {self.name} {problem}', where=where, value=value, allowed=self.allowed(),
            remedy=self.text)


def descriptor_fields(parameter: Parameter) -> dict[str, object]:
    """Return what `rcl_interfaces/ParameterDescriptor` needs, as plain values.

    The keys are the message's field names; the two ranges hold at most one tuple (from, to).
    Half-open ranges are closed at +-1e12, because the message has no infinity.
    """
    fields: dict[str, object] = {
        'name': parameter.name,
        'description': parameter.text,
        'additional_constraints': parameter.allowed(),
        'read_only': parameter.read_only,
        'floating_point_range': [],
        'integer_range': [],
    }
    if parameter.minimum is None and parameter.maximum is None:
        return fields
    low = -1e12 if parameter.minimum is None else parameter.minimum
    high = 1e12 if parameter.maximum is None else parameter.maximum
    if parameter.type == 'float':
        fields['floating_point_range'] = [(float(low), float(high))]
    elif parameter.type == 'int':
        fields['integer_range'] = [(int(low), int(high))]
    return fields
