# SPDX-License-Identifier: Apache-2.0
"""The one way kernels are compiled: numba, cached on disk, with types kept for the checker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba as nb

from diffusion_control.robots.kernel_cache import CONFIG, folder_of

Function = TypeVar('Function', bound=Callable[..., Any])
FAST = {'contract', 'reassoc', 'nsz', 'arcp'}
"""Fast-math that may round differently, but keeps NaN and infinity."""


def kernel(*, fast: bool = False, inline: bool = False) -> Callable[[Function], Function]:
    """Return a decorator that compiles a function to machine code, cached on disk.

    Without `fast` the code follows IEEE 754 in the written order: equal input, equal bits.

    Args:
        fast: Allow contraction and reordering, so that loops become vector code.
        inline: Always put the code into the caller (numba passes an array as seven arguments).
    """
    options: dict[str, Any] = {}
    if fast:
        options |= {'fastmath': FAST, 'error_model': 'numpy'}
    if inline:
        options |= {'forceinline': True}

    def compiled(function: Function) -> Function:
        dispatcher = nb.njit(**options)(function)
        before = CONFIG.CACHE_DIR
        CONFIG.CACHE_DIR = folder_of(Path(function.__code__.co_filename))
        try:
            dispatcher.enable_caching()  # reads the setting now
        finally:
            CONFIG.CACHE_DIR = before
        return cast(Function, dispatcher)

    return compiled
