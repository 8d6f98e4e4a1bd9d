# SPDX-License-Identifier: Apache-2.0
"""Whether this CPU computes in bfloat16; torch's emulation takes ten times as long a step."""

from __future__ import annotations

from functools import cache
from pathlib import Path

CPU_INFO = Path('/proc/cpuinfo')
FLAGS = frozenset({'avx512_bf16', 'amx_bf16', 'bf16'})
"""As Linux names them: of x86-64 the first two, of ARM the last."""


@cache
def in_hardware(cpu_info: Path = CPU_INFO) -> bool:
    """Return whether the processor has instructions for bfloat16; False where nothing says so."""
    try:
        text = cpu_info.read_text(encoding='utf-8')
    except OSError:
        return False
    lines = (line.partition(':') for line in text.splitlines())
    return any(FLAGS & set(value.split()) for key, _, value in lines
               if key.strip() in ('flags', 'Features'))
