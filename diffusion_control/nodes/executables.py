# SPDX-License-Identifier: Apache-2.0
"""Entry points of the nodes for `ros2 run`, `ros2 launch` and pip's scripts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module

from diffusion_control import console


def _executable(name: str) -> Callable[[], None]:
    """Return the entry point of one node; what it needs is imported when it is called."""
    def start() -> None:
        """Run the node and end the process with its exit code."""
        def action() -> int:
            code = import_module(f'diffusion_control.nodes.{name}').main()
            import_module('diffusion_control.nodes.control_node').leave(code)
            return int(code)
        sys.exit(console.guarded(action))
    return start


planner = _executable('planner')
tracker = _executable('tracker')
safety = _executable('safety')
fallback = _executable('fallback')
simulator = _executable('simulator')
viewer = _executable('viewer')
recorder = _executable('recorder')
