# SPDX-License-Identifier: Apache-2.0
"""Checking a set of parameters against the table."""

from __future__ import annotations

from collections.abc import Mapping

from diffusion_control.parameters.nodes import defaults, find
from diffusion_control.parameters.table import Value


def flatten(values: Mapping[str, object], prefix: str = '') -> dict[str, object]:
    """Return nested mappings as one, with dotted names."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        name = f'{prefix}{key}'
        if isinstance(value, Mapping):
            flat.update(flatten(value, f'{name}.'))
        else:
            flat[name] = value
    return flat


def validate(
    node: str, values: Mapping[str, object], *, source: str = ''
) -> dict[str, Value]:
    """Return every parameter of a node: the given values, checked, and defaults for the rest.

    Args:
        node: One of `NODES`.
        values: Dotted or nested names; an integer is taken where a float is asked for.
        source: File or command that the values come from, for the message.

    Raises:
        ConfigurationError: A name is unknown, or a value has the wrong type or range.
    """
    result = defaults(node)
    for name, value in flatten(values).items():
        where = f'{source}: {node}.{name}' if source else f'{node}.{name}'
        result[name] = find(node, name, where=where).check(value, where=where)
    return result
