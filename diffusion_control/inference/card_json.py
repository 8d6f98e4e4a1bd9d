# SPDX-License-Identifier: Apache-2.0
"""Strict JSON for cards: no duplicate keys, no NaN, no infinity, and every fault has a name."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from diffusion_control.errors import ConfigurationError

LARGEST_CARD_BYTES = 4 << 20
DEEPEST = 16
HASH = re.compile(r'[0-9a-f]{64}')
FILE_NAME = re.compile(r'[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}')


def fault(key: str, where: str, value: object, allowed: str) -> ConfigurationError:
    """Return the error for one key of a card."""
    return ConfigurationError(
        f'model card: bad {key}', where=where, value=value, allowed=f'expected {allowed}',
        remedy='export the model again, or restore its folder')


def load(data: bytes, where: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ConfigurationError: It is too long, not UTF-8, not JSON, nested too deeply, repeats a key,
            or holds NaN, infinity or a number that overflows to it.
    """
    if len(data) > LARGEST_CARD_BYTES:
        raise fault('length', where, f'{len(data)} bytes', f'at most {LARGEST_CARD_BYTES}')
    try:
        value = json.loads(
            data.decode('utf-8'), object_pairs_hook=_without_repetition, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise fault('JSON', where, f'{type(error).__name__}: {error}', (
            'one JSON object without NaN, infinity or repeated keys')) from error
    _bounded(value, where)
    return value


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError('a key occurs twice')
    return table


def _refuse(name: str) -> Any:
    raise ValueError(f'{name} is not a finite number')


def _bounded(value: object, where: str) -> None:
    """Refuse deep nesting, and numbers that are too large, wherever they are."""
    waiting: list[tuple[str, object, int]] = [('', value, 0)]
    while waiting:
        key, entry, depth = waiting.pop()
        if depth > DEEPEST:
            raise fault('nesting', where, ascii(key), f'at most {DEEPEST} levels')
        if isinstance(entry, dict):
            waiting += [(f'{key}.{name}'.lstrip('.'), part, depth + 1)
                        for name, part in entry.items()]
        elif isinstance(entry, list):
            waiting += [(f'{key}[{index}]', part, depth + 1) for index, part in enumerate(entry)]
        elif isinstance(entry, float) and not math.isfinite(entry):
            raise fault(f'number {ascii(key)}', where, entry, 'a finite number')
        elif isinstance(entry, int) and abs(entry) >= 2**63:
            raise fault(f'number {ascii(key)}', where, f'{entry.bit_length()} bits', (
                'a number of 64 bits'))


def mapping(value: object, where: str, key: str) -> dict[str, Any]:
    """Return a JSON object, or refuse another kind of value."""
    if not isinstance(value, dict):
        raise fault(key, where, value, 'an object {name: ...}')
    return value


def text(value: object, where: str, key: str) -> str:
    """Return a string, or refuse another kind of value."""
    if not isinstance(value, str):
        raise fault(key, where, value, 'a string')
    return value


def integer(value: object, where: str, key: str) -> int:
    """Return a number without a fraction, or refuse another kind of value."""
    if type(value) is not int:
        raise fault(key, where, value, 'a whole number')
    return value


def positive(value: object, where: str, key: str) -> float:
    """Return a number above zero, or refuse another kind of value."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise fault(key, where, value, 'a number > 0')
    return float(value)


def sha256(value: object, where: str, key: str) -> str:
    """Return 64 lower-case hexadecimal digits, or refuse another kind of value."""
    if not isinstance(value, str) or not HASH.fullmatch(value):
        raise fault(key, where, value, '64 lower-case hexadecimal digits')
    return value
