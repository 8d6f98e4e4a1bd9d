# SPDX-License-Identifier: Apache-2.0
"""The processes of a run: started, watched, hurt on purpose, and ended without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psutil

from diffusion_control.middleware import local_environment

GRACE_S = 5.0


@dataclass
class Process:
    """One child and what happened to it."""

    name: str
    popen: subprocess.Popen[str]
    expected_death: bool = False
    reported: bool = False
    threads: list[threading.Thread] = field(default_factory=list)


class ProcessGroup:
    """Start nodes as children of their own session, collect their output, end them all.

    Args:
        log: Receives every line that a child prints, with the child's name.
        environment: Environment of the children.
    """

    def __init__(self, log: Callable[[str, str], None], environment: Mapping[str, str]) -> None:
        """Begin with no children."""
        self._log, self._environment = log, dict(environment)
        self.processes: dict[str, Process] = {}

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Start `python -P -m MODULE ARGS` under a name: the package that runs, not the folder."""
        popen = subprocess.Popen(
            [sys.executable, '-P', '-m', *arguments], env=self._environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True)
        process = Process(name, popen)
        thread = threading.Thread(target=self._collect, args=(process,), daemon=True)
        thread.start()
        process.threads.append(thread)
        self.processes[name] = process

    def start_node(self, name: str, *extra: str, params_file: str) -> None:
        """Start a node of this package with a parameter file and further ROS arguments."""
        self.start(name, [
            f'diffusion_control.nodes.{name}', '--ros-args', '--params-file', params_file, *extra])

    def deaths(self) -> list[tuple[str, bool, int]]:
        """Return (name, expected, exit code) of the children that died since the last call."""
        dead = []
        for process in self.processes.values():
            code = process.popen.poll()
            if code is not None and not process.reported:
                process.reported = True
                dead.append((process.name, process.expected_death, code))
        return dead

    def alive(self, name: str) -> bool:
        """Tell whether a child runs."""
        return name in self.processes and self.processes[name].popen.poll() is None

    def hurt(self, name: str, number: signal.Signals) -> None:
        """Send a real signal to a child; a killed one is expected to die."""
        process = self.processes[name]
        process.expected_death = process.expected_death or number == signal.SIGKILL
        process.popen.send_signal(number)

    def memory_mb(self) -> dict[str, float]:
        """Return the resident memory of each living child [MB]."""
        sizes = {}
        for name, process in self.processes.items():
            try:
                sizes[name] = psutil.Process(process.popen.pid).memory_info().rss / 1e6
            except psutil.Error:
                continue
        return sizes

    def stop(self, names: Sequence[str], grace_s: float = GRACE_S) -> None:
        """End children in an orderly way: SIGINT, then after the grace SIGKILL."""
        chosen = [self.processes[name] for name in names if name in self.processes]
        for process in chosen:
            process.expected_death = True
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGCONT)
                process.popen.send_signal(signal.SIGINT)
        end = time.monotonic() + grace_s
        for process in chosen:
            try:
                process.popen.wait(max(0.05, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log(process.name, f'did not end within {grace_s} s, killed')
                process.popen.kill()
                process.popen.wait(2.0)
            for thread in process.threads:
                thread.join(1.0)

    def stop_all(self) -> None:
        """End every child that is left."""
        self.stop([name for name in self.processes if self.alive(name)], grace_s=2.0)

    def _collect(self, process: Process) -> None:
        assert process.popen.stdout is not None
        for line in process.popen.stdout:
            self._log(process.name, line.rstrip('\n'))


def node_environment(domain_id: int) -> dict[str, str]:
    """Return the environment of the nodes: their domain, this machine only, one thread each."""
    environment = dict(os.environ)
    environment.update(
        ROS_DOMAIN_ID=str(domain_id), RCUTILS_COLORIZED_OUTPUT='0',
        RCUTILS_LOGGING_BUFFERED_STREAM='0', PYTHONUNBUFFERED='1', **local_environment())
    for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'NUMBA_NUM_THREADS'):
        environment.setdefault(name, '1')
    return environment
