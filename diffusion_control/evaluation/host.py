# SPDX-License-Identifier: Apache-2.0
"""The machine that a result was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

BUILT_FROM = 'commit.txt'
"""File in the installed package, written by `setup.py`."""


def host_information() -> dict[str, Any]:
    """Return cpu (its model name), cores (usable by this process) and python (its version)."""
    return {'cpu': _cpu(), 'cores': len(os.sched_getaffinity(0)),
            'python': platform.python_version()}


def _cpu() -> str:
    """Return the model name of the first processor."""
    try:
        for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
            key, _, value = line.partition(':')
            if key.strip() == 'model name':
                return value.strip()
    except OSError:
        return platform.machine()
    return platform.machine()


def commit_of_code() -> str:
    """Return the commit of a checkout, or of the one that was installed; else the version."""
    from diffusion_control import __version__
    folder = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ['git', '-C', str(folder), 'describe', '--always', '--dirty', '--abbrev=12'],
            capture_output=True, text=True, timeout=5.0, check=False,
            env={**os.environ, 'GIT_CEILING_DIRECTORIES': str(folder.parents[2])})
        commit = found.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        commit = ''
    built = folder.parent / BUILT_FROM
    if not commit and built.is_file():
        commit = built.read_text(encoding='utf-8').strip()
    return commit or __version__


def command_line() -> str:
    """Return the command that this process was started with."""
    return ' '.join(['diffusion_control', *sys.argv[1:]])
