# SPDX-License-Identifier: Apache-2.0
"""Inject the faults of the table: real signals to real processes, real messages on real topics."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from diffusion_control.demo.fault_table import FaultSpecification
from diffusion_control.demo.options import Injection
from diffusion_control.demo.processes import ProcessGroup
from diffusion_control.nodes.demo_monitor import DemoMonitor

SPEED_SHARE = 0.5
HOG = """
import os, sys, time
end, parent = time.monotonic() + float(sys.argv[1]), os.getppid()
while time.monotonic() < end and os.getppid() == parent:
    sum(range(100_000))
"""
"""Keeps a processor busy, for so long and while its parent lives."""
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Fired:
    """A fault that has been injected.

    Attributes:
        name: Inject name.
        t_s: Time since the first motion [s].
        steady_s: Steady time [s].
        ros_s: ROS time [s].
        system_s: Time of the system clock [s], as a recording stamps its messages.
        speed_share: Largest joint speed over its limit at that instant.
    """

    name: str
    t_s: float
    steady_s: float
    ros_s: float
    system_s: float
    speed_share: float


class Injector:
    """Fire each fault at the first instant from its time on at which the robot moves fast.

    Args:
        pending: The faults, by time.
        table: Their specifications.
        processes: The children that can be hurt.
        monitor: Sends what goes by message.
        place_obstacle: Sends an obstacle into the path; False if no pose suits right now.
    """

    def __init__(
        self,
        pending: tuple[Injection, ...],
        table: dict[str, FaultSpecification],
        processes: ProcessGroup,
        monitor: DemoMonitor,
        place_obstacle: Callable[[float], bool],
    ) -> None:
        """Wait for the first fault's time."""
        self._pending = sorted(pending, key=lambda injection: injection.time_s)
        self._table, self._processes, self._monitor = table, processes, monitor
        self._place_obstacle = place_obstacle
        self._hogs: list[tuple[float, subprocess.Popen[bytes]]] = []
        self.fired: list[Fired] = []

    @property
    def done(self) -> bool:
        """Tell whether every fault was injected."""
        return not self._pending

    @property
    def pending(self) -> tuple[str, ...]:
        """Names of the faults that were not injected yet."""
        return tuple(injection.name for injection in self._pending)

    def end_steady_s(self) -> float:
        """Return the steady time at which the last injected fault is over [s]."""
        return max((f.steady_s + (self._table[f.name].lasts_s or 0.0) for f in self.fired),
                   default=-float('inf'))

    def poll(self, moved_s: float) -> None:
        """Fire what is due.

        Args:
            moved_s: Time since the first motion [s].
        """
        self._end_hogs(time.monotonic())
        if not self._pending or moved_s < self._pending[0].time_s:
            return
        injection = self._pending[0]
        share = self._monitor.speed_share()
        patient = moved_s < injection.time_s + PATIENCE_S
        if patient and (share < SPEED_SHARE or self._monitor.state != 'NOMINAL'):
            return
        fired = Fired(
            injection.name, moved_s, time.monotonic(), self._monitor.ros_s(), time.time(), share)
        if self._fire(injection.name):
            self.fired.append(fired)
            self._pending.pop(0)

    def close(self) -> None:
        """End what still burns."""
        self._end_hogs(float('inf'))

    def _fire(self, name: str) -> bool:
        duration = self._table[name].lasts_s
        node, _, how = name.rpartition('_')
        if how in ('kill', 'hang'):
            number = signal.SIGKILL if how == 'kill' else signal.SIGSTOP
            self._processes.hurt(node, number)
        elif name in ('plan_nan', 'plan_nan_3'):
            self._monitor.spoil_plans(3 if name.endswith('_3') else 1)
        elif name == 'emergency_stop':
            self._monitor.send_emergency_stop()
        elif name == 'cpu_hog':
            self._start_hogs(duration or 0.0)
        elif name == 'obstacle_jump':
            return self._place_obstacle(duration or 0.0)
        else:
            self._monitor.send_fault(name, duration_s=duration)
        return True

    def _start_hogs(self, duration_s: float) -> None:
        end = time.monotonic() + duration_s
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, '-c', HOG, str(duration_s)], stdin=subprocess.DEVNULL)
            self._hogs.append((end, process))

    def _end_hogs(self, now_s: float) -> None:
        for end, process in self._hogs:
            if now_s >= end and process.poll() is None:
                process.kill()
                process.wait()
        self._hogs = [(end, process) for end, process in self._hogs if process.poll() is None]
