# SPDX-License-Identifier: Apache-2.0
"""Compile the kernels once, at install: `python -m diffusion_control.robots.warm_up`.

The machine code is cached beside the package (or where NUMBA_CACHE_DIR says), so that no process
compiles at run time. Kernels depend on types only: one robot compiles them for all; loading every
shipped robot proves that each file is good.
"""

from __future__ import annotations

import sys
import time

from diffusion_control.errors import DiffusionControlError
from diffusion_control.robots.config import available
from diffusion_control.robots.load import load


def warm_up() -> dict[str, float]:
    """Return the seconds that loading and compiling took, by robot."""
    seconds = {}
    for name in available():
        start = time.perf_counter()
        load(name).warm_up()
        seconds[name] = time.perf_counter() - start
    return seconds


def main() -> int:
    """Print the time of each robot; return the exit code."""
    try:
        seconds = warm_up()
    except DiffusionControlError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for name, value in seconds.items():
        print(f'{name}: {value:.2f} s')
    return 0


if __name__ == '__main__':
    sys.exit(main())
