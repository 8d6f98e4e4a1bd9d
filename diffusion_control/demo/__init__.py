# SPDX-License-Identifier: Apache-2.0
"""The demonstration: all nodes as processes, faults on request, a judged run folder at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffusion_control.demo.options import DemoOptions

if TYPE_CHECKING:
    from diffusion_control.demo.runner import DemoResult


def run(options: DemoOptions) -> DemoResult:
    """Run the demonstration and return its exit code and its summary."""
    from diffusion_control.demo.runner import run_demo
    return run_demo(options)
