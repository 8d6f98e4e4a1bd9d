# SPDX-License-Identifier: Apache-2.0
"""The demonstration: all nodes as processes, faults on request, a judged run folder at the end."""

from __future__ import annotations

from diffusion_control.demo.options import DemoOptions


def run(options: DemoOptions) -> int:
    """Run the demonstration and return its exit code."""
    from diffusion_control.demo.runner import run_demo
    return run_demo(options).exit_code
