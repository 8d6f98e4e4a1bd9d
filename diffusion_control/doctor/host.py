# SPDX-License-Identifier: Apache-2.0
"""Interpreter, cores, shared memory and real-time permissions of this machine."""

from __future__ import annotations

import os
import resource
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from diffusion_control.doctor.finding import Finding

SHARED_MEMORY = Path('/dev/shm')
SHARED_MEMORY_LEAST = 32 * 2**20
OLDEST = (3, 11)
GOVERNOR = Path('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor')
LIMITS = 'add "@realtime - rtprio 98" and "@realtime - memlock unlimited" to ' \
    '/etc/security/limits.d/, join the group and log in again; or leave real_time.* as it is'


def check_host() -> Iterator[Finding]:
    """Yield the findings about this machine."""
    yield _python()
    yield _cores()
    yield from _real_time()
    yield from _shared_memory()
    if GOVERNOR.is_file():
        yield _governor(GOVERNOR.read_text(encoding='utf-8').strip())


def _python() -> Finding:
    version = '.'.join(map(str, sys.version_info[:3]))
    detail = f'{version} at {sys.executable}'
    if sys.version_info[:2] >= OLDEST:
        return Finding('python', 'ok', detail)
    return Finding('python', 'error', detail, 'use Python 3.11 or later', code=3)


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    detail = f'{cores} cores, load {load:.1f}'
    if cores < 2:
        return Finding(
            'cores', 'warn', detail, 'give the process two cores: one plans, one steers')
    if load > cores:
        return Finding('cores', 'warn', detail, 'stop other work, or give the loops SCHED_FIFO')
    return Finding('cores', 'ok', detail)


def fifo_permitted(priority: int) -> bool:
    """Tell whether a thread of this process may have this SCHED_FIFO priority, by trying it.

    The limits alone do not tell: in a container also root can lack the capability.
    """
    accepted: list[bool] = []

    def attempt() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        except OSError:
            return
        accepted.append(True)

    probe = threading.Thread(target=attempt)
    probe.start()
    probe.join()
    return bool(accepted)


def _real_time() -> Iterator[Finding]:
    """Try the lowest SCHED_FIFO priority, and look at the limit of mlockall."""
    if fifo_permitted(1):
        yield Finding('SCHED_FIFO', 'ok', 'permitted; the demo uses it, your nodes when asked')
    else:
        yield Finding('SCHED_FIFO', 'warn', 'not permitted; everything runs without', LIMITS)
    root = os.geteuid() == 0
    memory = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    if root or memory == resource.RLIM_INFINITY:
        yield Finding('mlockall', 'ok', 'permitted; off unless asked for')
    else:
        yield Finding('mlockall', 'warn', f'limited to {memory // 1024} KiB', LIMITS)


def _shared_memory() -> Iterator[Finding]:
    if not SHARED_MEMORY.is_dir():
        return
    free = shutil.disk_usage(SHARED_MEMORY).free
    detail = f'{free // 2**20} MiB free in {SHARED_MEMORY}'
    if free >= SHARED_MEMORY_LEAST:
        yield Finding('shared memory', 'ok', detail)
        return
    yield Finding(
        'shared memory', 'warn', detail,
        'remove /dev/shm/fastrtps_* of dead processes, enlarge it (docker --shm-size 256m), '
        'or set FASTDDS_BUILTIN_TRANSPORTS=UDPv4')


def _governor(name: str) -> Finding:
    if name == 'performance':
        return Finding('CPU governor', 'ok', name)
    return Finding(
        'CPU governor', 'warn', name,
        'cpupower frequency-set -g performance keeps the period of the loops steady')
