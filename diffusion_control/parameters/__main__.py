# SPDX-License-Identifier: Apache-2.0
"""Write `config/NODE.yaml` and `docs/parameters.md` below a folder (default: the current one)."""

from __future__ import annotations

import sys
from pathlib import Path

from diffusion_control.parameters.writing import write_all

if __name__ == '__main__':
    for path in write_all(Path(sys.argv[1] if len(sys.argv) > 1 else '.')):
        print(path)
