# SPDX-License-Identifier: Apache-2.0
"""ROS parameter files, read and checked before rcl sees them.

rcl reports a malformed file as a parser error without saying which parameter is meant, and it
ignores parameters that nobody declares. Here both are errors that name file, parameter, value
and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from diffusion_control.errors import ConfigurationError, closest
from diffusion_control.parameters.checking import flatten, validate
from diffusion_control.parameters.nodes import NODES
from diffusion_control.parameters.table import Value

STANDARD = ('use_sim_time', 'start_type_description_service')
STANDARD_PREFIX = 'qos_overrides.'
EVERY_NODE = ('/**', '**', '/*', '*')


def read_file(path: str | Path) -> dict[str, dict[str, object]]:
    """Return the parameters that a file gives, by node name; `/**` stands for every node.

    Args:
        path: A file in ROS layout: node name, `ros__parameters`, parameters.

    Raises:
        ConfigurationError: The file cannot be read or is not in that layout.
    """
    try:
        data = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            'cannot read the parameter file', where=str(path), value=str(error),
            allowed='a readable YAML file') from error
    except yaml.YAMLError as error:
        raise ConfigurationError(
            'the parameter file is not YAML', where=str(path),
            value=' '.join(str(error).split()), allowed='YAML') from error
    found: dict[str, dict[str, object]] = {}
    _collect(data, '', found, str(path))
    return found


def _collect(data: object, name: str, found: dict[str, dict[str, object]], path: str) -> None:
    """Walk down to each `ros__parameters`, joining names to the path of the node."""
    if not isinstance(data, Mapping) or not data:
        raise ConfigurationError(
            'the parameter file has no ros__parameters', where=f'{path}: {name or "top"}',
            value=data, allowed='NODE: {ros__parameters: {NAME: VALUE}}')
    for key, value in data.items():
        if key != 'ros__parameters':
            _collect(value, f'{name}/{str(key).strip("/")}', found, path)
        elif isinstance(value, Mapping):
            found.setdefault(name or '/**', {}).update(flatten(value))
        elif value is not None:
            raise ConfigurationError(
                'ros__parameters is not a table', where=f'{path}: {name}', value=value,
                allowed='{NAME: VALUE}')


def for_node(node: str, path: str | Path) -> dict[str, Value]:
    """Return the parameters of one node as a file gives them, complete and checked.

    Raises:
        ConfigurationError: The file is malformed, a value is wrong, or a name is unknown to
            this node (or, under `/**`, to every node).
    """
    given: dict[str, object] = {}
    known = {parameter.name for table in NODES.values() for parameter in table}
    mine = {parameter.name for parameter in NODES[node]}
    for name, values in read_file(path).items():
        shared = name in EVERY_NODE or name.rsplit('/', 1)[-1] in EVERY_NODE
        if not shared and name.rsplit('/', 1)[-1] != node:
            continue
        for key, value in values.items():
            if key in STANDARD or key.startswith(STANDARD_PREFIX):
                continue
            if shared and key not in known:
                raise ConfigurationError(
                    f'no node has a parameter {key!r}', where=f'{path}: {name}.{key}',
                    value=value, remedy=closest(key, tuple(sorted(known))))
            if not shared or key in mine:
                given[key] = value
    return validate(node, given, source=str(path))


def check_arguments(node: str, arguments: Sequence[str]) -> None:
    """Check the parameter files and overrides on a node's command line.

    Args:
        node: One of `NODES`.
        arguments: `sys.argv` of the node, with `--params-file FILE` and `-p NAME:=VALUE`.

    Raises:
        ConfigurationError: As `for_node`; also for an override that is not NAME:=VALUE.
    """
    for option, argument in zip(arguments, arguments[1:], strict=False):
        if option == '--params-file':
            for_node(node, argument)
        elif option in ('-p', '--param'):
            _check_override(node, argument)


def _check_override(node: str, argument: str) -> None:
    """Check one `NAME:=VALUE` or `NODE:NAME:=VALUE`."""
    name, separator, text = argument.partition(':=')
    target, _, bare = name.rpartition(':')
    if not separator:
        raise ConfigurationError(
            'not a parameter override', where='command line', value=argument,
            allowed='NAME:=VALUE')
    if target and target.rsplit('/', 1)[-1] != node:
        return
    if bare in STANDARD or bare.startswith(STANDARD_PREFIX):
        return
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(
            'the value of a parameter is not YAML', where=f'{node}.{bare}', value=text,
            allowed='a number, a word, true, false or a list') from error
    validate(node, {bare: '' if value is None else value}, source='command line')
