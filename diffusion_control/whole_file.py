# SPDX-License-Identifier: Apache-2.0
"""Files that are written whole or not at all, and files that one process holds at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


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


def locked(file: IO[str], *, shared: bool = False) -> bool:
    """Lock an open file until it is closed; False if somebody else has it.

    Args:
        file: Any; its contents are not touched.
        shared: With others that ask so, too.
    """
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
