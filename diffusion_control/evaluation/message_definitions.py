# SPDX-License-Identifier: Apache-2.0
"""Full text definitions of ROS message types, as an MCAP file with `ros2msg` schemas needs them.

The format is the one of rosbag2: the definition of the type itself, then, for every type that it
uses, a line of 80 `=`, a line `MSG: package/Type` and that type's definition.
Source: https://mcap.dev/spec/registry#ros2msg
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from pathlib import Path

from diffusion_control.errors import MissingDependencyError

SEPARATOR = '=' * 80
PRIMITIVES = frozenset((
    'bool', 'byte', 'char', 'float32', 'float64', 'int8', 'uint8', 'int16', 'uint16', 'int32',
    'uint32', 'int64', 'uint64', 'string', 'wstring'))
_FIELD_TYPE = re.compile(r'^\s*([A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+[A-Za-z]\w*')


@cache
def full_definition(type_name: str) -> str:
    """Return the concatenated definition of a type such as `sensor_msgs/msg/JointState`.

    Raises:
        MissingDependencyError: The package or the type is not installed.
    """
    package, name = split_type(type_name)
    parts = [_text(package, name)]
    seen = {(package, name)}
    waiting = _uses(package, parts[0])
    while waiting:
        used = waiting.pop(0)
        if used in seen:
            continue
        seen.add(used)
        text = _text(*used)
        parts.append(f'{SEPARATOR}\nMSG: {used[0]}/{used[1]}\n{text}')
        waiting.extend(_uses(used[0], text))
    return '\n'.join(parts)


def split_type(type_name: str) -> tuple[str, str]:
    """Return package and name of `package/msg/Name` or `package/Name`."""
    parts = type_name.split('/')
    if len(parts) not in (2, 3) or not all(parts) or (len(parts) == 3 and parts[1] != 'msg'):
        raise MissingDependencyError(
            'not the name of a message type', where='message definition', value=type_name,
            allowed='package/msg/Name')
    return parts[0], parts[-1]


def _uses(package: str, text: str) -> list[tuple[str, str]]:
    """Return (package, name) of every type that a definition's fields have."""
    used = []
    for line in text.splitlines():
        match = _FIELD_TYPE.match(line.split('#', 1)[0])
        if match is None or match.group(1) in PRIMITIVES:
            continue
        parts = match.group(1).split('/')
        used.append((package, parts[0]) if len(parts) == 1 else (parts[0], parts[-1]))
    return used


def _text(package: str, name: str) -> str:
    """Return the installed text of one .msg file."""
    prefixes = [Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    for prefix in (*prefixes, Path(sys.prefix)):
        path = prefix / 'share' / package / 'msg' / f'{name}.msg'
        if path.is_file():
            return path.read_text(encoding='utf-8').rstrip('\n') + '\n'
    raise MissingDependencyError(
        f'the definition of {package}/msg/{name} is not installed', where='message definition',
        value=[str(p) for p in (*prefixes, Path(sys.prefix))],
        allowed='a prefix with share/PACKAGE/msg/NAME.msg',
        remedy=f"install the message package (pip install 'diffusion_control[ros]') or source "
               f'the ROS install that holds {package}')
