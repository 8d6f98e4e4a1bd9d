# SPDX-License-Identifier: Apache-2.0
"""The machine that a result was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


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
