# SPDX-License-Identifier: Apache-2.0
"""Files that are written whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a path beside a file to write to; it takes the file's place once it is written.

    Several processes may write the same file at once: the last one's stays, whole.
    """
    waiting = path.with_name(f'.{os.getpid()}.{path.name}')
    try:
        yield waiting
        waiting.replace(path)
    finally:
        waiting.unlink(missing_ok=True)
