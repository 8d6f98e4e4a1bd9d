# SPDX-License-Identifier: Apache-2.0
"""Parameters of the optional nodes: viewer and recorder."""

from __future__ import annotations

from diffusion_control.parameters.common import AUTOSTART, COMMON, real_time
from diffusion_control.parameters.safety import OUTPUT_TYPES
from diffusion_control.parameters.table import Parameter

VIEWER: tuple[Parameter, ...] = (
    *COMMON,
    AUTOSTART,
    Parameter(
        'host', 'string', '127.0.0.1', 'Address that the web page is served on.'),
    Parameter('port', 'int', 8080, 'Port of the web page.', minimum=1, maximum=65535),
    Parameter('rate_hz', 'float', 20.0, 'Rate of the picture.', 'Hz', 1.0, 60.0),
)

RECORDER: tuple[Parameter, ...] = (
    *COMMON,
    AUTOSTART,
    *real_time(),
    Parameter('out', 'string', 'runs/record', 'Folder that run.mcap is written to.'),
    Parameter(
        'command_topic', 'string', '', "Topic of the command; empty takes the robot file's."),
    Parameter(
        'command_type', 'string', '', "Message of the command; empty takes the robot file's.",
        choices=('', *OUTPUT_TYPES)),
    Parameter(
        'metadata', 'string', '', 'JSON object that is written into the file as its metadata.'),
    Parameter(
        'topics', 'string_array', ('',),
        'Topics to record; one empty string takes those of this package.'),
)
