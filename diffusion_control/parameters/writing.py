# SPDX-License-Identifier: Apache-2.0
"""Writing `config/NODE.yaml` and `docs/parameters.md` from the table.

`python -m diffusion_control.parameters [DIR]` writes both below a repository (default:
the current folder); a test compares what is committed with what this module says.
"""

from __future__ import annotations

from pathlib import Path

from diffusion_control.parameters.nodes import NODES, of_node
from diffusion_control.parameters.table import Parameter, Value

HEADER = '# SPDX-License-Identifier: Apache-2.0\n'
GENERATED = 'made from diffusion_control/parameters by `make docs`; change it there'


def _scalar(value: Value) -> str:
    """Return one value as YAML, floats always with a point so that ROS takes them as double."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, tuple):
        return '[' + ', '.join(_scalar(entry) for entry in value) + ']'
    if isinstance(value, float):
        text = f'{value:g}'
        return text if '.' in text else text.replace('e', '.0e') if 'e' in text else f'{text}.0'
    return f"'{value}'" if isinstance(value, str) else str(value)


def to_yaml(node: str) -> str:
    """Return `config/NODE.yaml`: every parameter at its default, nested, with its text."""
    lines = [HEADER + f'# Parameters of the node {node}: {GENERATED}.', '/**:']
    lines += [f'  {node}:', '    ros__parameters:']
    opened: tuple[str, ...] = ()
    for parameter in sorted(of_node(node), key=lambda row: '.' in row.name):
        *groups, name = parameter.name.split('.')
        depth = 6 + 2 * len(groups)
        if tuple(groups) != opened:
            opened = tuple(groups)
            lines += [f'{" " * (depth - 2)}{groups[-1]}:'] if groups else []
        lines.append(f'{" " * depth}# {_remark(parameter)}')
        lines.append(f'{" " * depth}{name}: {_scalar(parameter.default)}')
    return '\n'.join(lines) + '\n'


def _remark(parameter: Parameter) -> str:
    """Return the text of a parameter with its range and unit in brackets."""
    limits = ' '.join(part for part in (parameter.range_text(), parameter.unit) if part)
    return f'{parameter.text} [{limits}]' if limits else parameter.text


def to_markdown(node: str) -> str:
    """Return the table of a node's parameters for the docs."""
    lines = [
        f'## {node}', '',
        '| parameter | type | default | range | unit | change | meaning |',
        '|---|---|---|---|---|---|---|',
    ]
    for row in of_node(node):
        limits = row.range_text().replace('|', r'\|')
        change = 'restart' if row.read_only else 'live'
        lines.append(
            f'| `{row.name}` | {row.type} | `{_scalar(row.default)}` | {limits} | {row.unit} '
            f'| {change} | {row.text} |')
    return '\n'.join(lines) + '\n'


def all_markdown() -> str:
    """Return the whole of `docs/parameters.md`."""
    head = (
        f'# Parameters\n\nThis page is {GENERATED}. *restart*: read-only while the node runs; '
        '*live*: `ros2 param set` works; of `safety` towards the tighter side only. '
        'Every node also has `use_sim_time`.\n\n')
    return head + '\n'.join(to_markdown(node) for node in NODES)


def write_all(root: Path) -> list[Path]:
    """Write `config/*.yaml` and `docs/parameters.md` below a repository; return the paths."""
    pages = {root / 'config' / f'{node}.yaml': to_yaml(node) for node in NODES}
    pages[root / 'docs' / 'parameters.md'] = all_markdown()
    for path, text in pages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
    return list(pages)

