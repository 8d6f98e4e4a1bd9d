# SPDX-License-Identifier: Apache-2.0
"""Where machine code of kernels is kept: one folder for each state of all that it is made of.

Numba compiles a kernel together with those it calls and the constants it reads, but looks at the
kernel's own file alone to see whether its code on disk is old. After an update that touches
another file, as `git pull` and `colcon build` make it, the old callee goes on running in the new
program, with arrays whose columns may mean something else. So the folder's name is a digest of
the kernel's file and of all files of this package that it imports, directly or not.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import numba

PACKAGE = Path(__file__).resolve().parents[1]
IMPORTED = re.compile(
    rf'^from ({PACKAGE.name}(?:\.\w+)*) import (?:\(([^)]*)\)|([^(\n]*))', re.MULTILINE)
DIGITS = 12
CONFIG: Any = numba.config


def folder_of(source: Path) -> str:
    """Return the folder for the machine code of the kernels in a file.

    It is `kernels-<digest>` in NUMBA_CACHE_DIR, if that is set, beside the file, if one may write
    there, or in the user's cache.
    """
    return str(_root(source) / f'kernels-{_digest(source.resolve())}')


@cache
def _digest(source: Path) -> str:
    """Return the digest of all that the kernels in a file are made of."""
    digest = hashlib.sha256()
    for path in sorted(_made_of(source)):
        digest.update(_read(path)[0])
    return digest.hexdigest()[:DIGITS]


def _root(source: Path) -> Path:
    """Return where folders are kept."""
    if CONFIG.CACHE_DIR:
        return Path(CONFIG.CACHE_DIR)
    beside = source.parent / '__pycache__'
    if os.access(beside if beside.exists() else source.parent, os.W_OK):
        return beside
    home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return Path(home) / PACKAGE.name


def _made_of(source: Path) -> set[Path]:
    """Return a file and all files of the package that it imports, directly or not."""
    found, left = set(), [source]
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            left.extend(_read(path)[1])
    return found


@cache
def _read(path: Path) -> tuple[bytes, tuple[Path, ...]]:
    """Return the digest of a file and which files of the package it imports."""
    content = path.read_bytes()
    imported = []
    for module, many, few in IMPORTED.findall(content.decode()):
        place = PACKAGE.parent.joinpath(*module.split('.'))
        if place.with_suffix('.py').is_file():
            imported.append(place.with_suffix('.py'))
            continue
        for name in re.findall(r'\w+', many or few):
            inside = place / f'{name}.py'
            imported.append(inside if inside.is_file() else place / '__init__.py')
    return hashlib.sha256(content).digest(), tuple(imported)
