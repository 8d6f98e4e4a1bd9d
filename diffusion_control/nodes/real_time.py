# SPDX-License-Identifier: Apache-2.0
"""Real-time options of a process: each degrades with one warning when it is not permitted."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MCL_CURRENT, MCL_FUTURE = 1, 2
RECEIVING = ('dds.udp', 'dds.shm')
"""How the names of Fast DDS's threads begin that receive."""


@dataclass(frozen=True)
class RealTimeOptions:
    """What a node asks of the operating system.

    Attributes:
        fifo_priority: SCHED_FIFO priority of the control thread, one less for the main thread,
            one more for the threads that receive; 0 leaves the normal scheduler.
        lock_memory: Lock all pages into memory (mlockall).
        freeze_gc: Move all objects out of the garbage collector's sight after configure.
        nice: Niceness of all threads of the process, the middleware's included, -20 to 19.
    """

    fifo_priority: int = 0
    lock_memory: bool = False
    freeze_gc: bool = True
    nice: int = 0


def apply_to_process(options: RealTimeOptions, warn: Callable[[str], None]) -> None:
    """Lock memory, freeze the collector, set niceness and scheduler, as far as permitted."""
    if options.lock_memory:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mlockall(MCL_CURRENT | MCL_FUTURE) != 0:
            reason = os.strerror(ctypes.get_errno())
            warn(f'real_time.lock_memory: not permitted ({reason}); running without. '
                 'Remedy: raise the memlock limit (ulimit -l unlimited)')
    if options.freeze_gc:
        gc.collect()
        gc.freeze()
    if options.nice:
        _renice(options.nice, warn)
    if options.fifo_priority > 0:
        _raise_main_thread(max(1, options.fifo_priority - 1))
        _raise_receiving_threads(options.fifo_priority + 1)


def _renice(nice: int, warn: Callable[[str], None]) -> None:
    """Set the niceness of every thread that is there; Linux keeps one for each."""
    try:
        for task in os.listdir('/proc/self/task'):
            with contextlib.suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, int(task), nice)
    except PermissionError as error:
        warn(f'real_time.nice: not permitted ({error}); running at normal niceness. '
             'Remedy: a nice limit in /etc/security/limits.d')


def _raise_main_thread(priority: int) -> None:
    """Give the main thread a SCHED_FIFO priority; the control thread warns if it is refused.

    It shares the interpreter's lock with the control thread, which would wait while the holder
    waits for a processor, however high its own priority is.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(os.getpid(), os.SCHED_FIFO, os.sched_param(priority))


def _raise_receiving_threads(priority: int) -> None:
    """Give Fast DDS's threads that receive a priority above all control threads.

    Otherwise a message waits in its socket as long as control threads, of whatever process, keep
    the processors: up to 20 ms of a command on two busy cores. They work for tens of microseconds
    and do not hold the interpreter's lock. The middleware's other threads (discovery, clean-up)
    keep the normal scheduler; `nice` puts them before strangers.
    """
    tasks = Path('/proc/self/task')
    for task in tasks.iterdir() if tasks.is_dir() else ():
        with contextlib.suppress(OSError):
            if (task / 'comm').read_text(encoding='utf-8').startswith(RECEIVING):
                os.sched_setscheduler(int(task.name), os.SCHED_FIFO, os.sched_param(priority))


def apply_to_thread(options: RealTimeOptions, warn: Callable[[str], None]) -> None:
    """Give the calling thread its SCHED_FIFO priority, if asked and permitted."""
    if options.fifo_priority <= 0:
        return
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(options.fifo_priority))
    except (PermissionError, OSError) as error:
        warn(f'real_time.fifo_priority: not permitted ({error}); running with the normal '
             'scheduler. Remedy: an rtprio limit in /etc/security/limits.d')
