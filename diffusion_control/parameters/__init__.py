# SPDX-License-Identifier: Apache-2.0
"""The one table of parameters: it declares them, checks them, writes `config/` and the docs."""

from __future__ import annotations

from diffusion_control.parameters.checking import validate
from diffusion_control.parameters.files import check_arguments, read_file
from diffusion_control.parameters.nodes import NODES, defaults, find, of_node
from diffusion_control.parameters.table import Parameter, descriptor_fields
from diffusion_control.parameters.writing import to_markdown, to_yaml

__all__ = [
    'NODES',
    'Parameter',
    'check_arguments',
    'defaults',
    'descriptor_fields',
    'find',
    'of_node',
    'read_file',
    'to_markdown',
    'to_yaml',
    'validate',
]
