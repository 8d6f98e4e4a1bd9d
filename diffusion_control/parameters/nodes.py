# SPDX-License-Identifier: Apache-2.0
"""The table of all nodes, and how to look things up in it."""

from __future__ import annotations

from diffusion_control.errors import ConfigurationError, closest, require_known
from diffusion_control.parameters.fallback import FALLBACK
from diffusion_control.parameters.helpers import RECORDER, VIEWER
from diffusion_control.parameters.planner import PLANNER
from diffusion_control.parameters.safety import SAFETY
from diffusion_control.parameters.simulator import SIMULATOR
from diffusion_control.parameters.table import Parameter, Value
from diffusion_control.parameters.tracker import TRACKER

NODES: dict[str, tuple[Parameter, ...]] = {
    'planner': PLANNER,
    'tracker': TRACKER,
    'safety': SAFETY,
    'fallback': FALLBACK,
    'simulator': SIMULATOR,
    'viewer': VIEWER,
    'recorder': RECORDER,
}


def of_node(node: str) -> tuple[Parameter, ...]:
    """Return the parameters of a node.

    Raises:
        ConfigurationError: There is no such node.
    """
    require_known('unknown node', 'parameters', node, NODES)
    return NODES[node]


def find(node: str, name: str, *, where: str = '') -> Parameter:
    """Return one parameter of a node.

    Raises:
        ConfigurationError: The node has no such parameter; the most similar one is named.
    """
    table = {parameter.name: parameter for parameter in of_node(node)}
    if name not in table:
        raise ConfigurationError(
            f'{node} has no parameter {name!r}', where=where or f'{node}.{name}',
            allowed=', '.join(table), remedy=closest(name, tuple(table)))
    return table[name]


def defaults(node: str) -> dict[str, Value]:
    """Return the default of every parameter of a node by its dotted name."""
    return {parameter.name: parameter.default for parameter in of_node(node)}
