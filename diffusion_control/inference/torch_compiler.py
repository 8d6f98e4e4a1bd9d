# SPDX-License-Identifier: Apache-2.0
"""What torch.compile needs around it: a C++ compiler, Python's headers, a folder of its own.

Torch's own default is a folder in /tmp that anybody may make beforehand, and it runs what lies
there.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diffusion_control.errors import ConfigurationError, MissingDependencyError

CXX, CACHE, WORKERS = 'CXX', 'TORCHINDUCTOR_CACHE_DIR', 'TORCHINDUCTOR_COMPILE_THREADS'
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
INSTEAD = 'or planner.backend: torch, which compiles nothing, or onnx'


def compiler() -> str:
    """Return the path of the C++ compiler that torch.compile will call.

    Raises:
        MissingDependencyError: There is none, or it will not find Python's headers.
    """
    name = os.environ.get(CXX) or ('clang++' if sys.platform == 'darwin' else 'g++')
    found = shutil.which(name)
    if found is None:
        raise MissingDependencyError(
            'torch.compile needs a C++ compiler', where='planner.backend = torch_compiled',
            value=f'no {name}', allowed=f'g++ on the PATH, or a compiler named by {CXX}',
            remedy=f'apt install g++; {INSTEAD}')
    header = Path(sysconfig.get_paths()['include']) / 'Python.h'
    if not header.is_file():
        raise MissingDependencyError(
            "torch.compile needs Python's headers", where='planner.backend = torch_compiled',
            value=f'no {header}', allowed='the headers of the Python that runs',
            remedy=f'apt install python3-dev; {INSTEAD}')
    return found


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Let torch keep what it compiles in a folder that nobody else can write, without workers.

    Args:
        folder: Made if it is not there.

    Raises:
        ConfigurationError: It cannot be made, is somebody else's, or others may write to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
    except OSError as error:
        raise _refused(folder, f'{type(error).__name__}: {error}') from error
    if found.st_uid != os.getuid() or found.st_mode & OTHERS_MAY_WRITE:
        raise _refused(
            folder, f'owner {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o}')
    before = {name: os.environ.get(name) for name in (CACHE, WORKERS)}
    os.environ |= {CACHE: str(folder), WORKERS: '1'}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _refused(folder: Path, value: str) -> ConfigurationError:
    return ConfigurationError(
        'compiled programs cannot be kept there', where=str(folder), value=value,
        allowed='a folder of this user that nobody else may write to',
        remedy='chmod go-w, remove it, or name another: XDG_CACHE_HOME')
