# SPDX-License-Identifier: Apache-2.0
"""The one root of all errors, and the exit code that each kind of error has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from numbers import Real


class DiffusionControlError(Exception):
    """Say what is wrong, where, with which value, what is allowed and what to do.

    Args:
        what: One sentence that names the problem.
        where: The file, parameter, topic or argument it was found in.
        value: The offending value.
        allowed: The range or the names that would be accepted.
        remedy: What the user can do about it.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str = '',
        value: object = None,
        allowed: str = '',
        remedy: str = '',
    ) -> None:
        self.what, self.where, self.value = what, where, value
        self.allowed, self.remedy = allowed, remedy
        super().__init__(self.block())

    def block(self) -> str:
        """Return the message as one short block of lines."""
        lines = [self.what]
        if self.where:
            lines.append(f'  where:   {self.where}')
        if self.value is not None:
            text = repr(self.value)
            lines.append(f'  value:   {text if len(text) <= 200 else text[:197] + "..."}')
        if self.allowed:
            lines.append(f'  allowed: {self.allowed}')
        if self.remedy:
            lines.append(f'  remedy:  {self.remedy}')
        return '\n'.join(lines)


class ConfigurationError(DiffusionControlError):
    """Bad input or configuration (exit code 2)."""

    exit_code = 2


def moved(error: DiffusionControlError, where: str) -> ConfigurationError:
    """Return what an error says of bad input, said of another place: a file it came from."""
    return ConfigurationError(
        error.what, where=where, value=error.value, allowed=error.allowed, remedy=error.remedy)


def closest(name: str, names: Iterable[str]) -> str:
    """Return a sentence that names the most similar of `names`, empty if none is similar."""
    matches = difflib.get_close_matches(name, tuple(names), n=1)
    return f'did you mean {matches[0]!r}?' if matches else ''


def require_known(what: str, where: str, value: str, known: Iterable[str]) -> None:
    """Raise a ConfigurationError with these words unless the value is one of the known names."""
    names = tuple(known)
    if value not in names:
        raise ConfigurationError(
            what, where=where, value=value, allowed=', '.join(names),
            remedy=closest(str(value), names))


def require_within(
    where: str, value: object, low: float, high: float, *, unit: str = ''
) -> None:
    """Raise a ConfigurationError unless the value is a number with low <= value <= high.

    Args:
        where: Name of the value, with what it belongs to.
        value: Anything; truth values and NaN are no numbers.
        low: Least allowed value.
        high: Largest allowed value.
        unit: Of the range, for the message.
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and low <= float(value) <= high):  # type: ignore[arg-type]
        raise ConfigurationError(
            f'{where} is out of range', where=where, value=value,
            allowed=f'{low:g} to {high:g} {unit}'.rstrip())


class MissingDependencyError(DiffusionControlError):
    """A package, backend or device is missing (exit code 3)."""

    exit_code = 3
