# SPDX-License-Identifier: Apache-2.0
"""A fixed-rate loop in its own thread, with absolute deadlines on steady time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LoopStatistics:
    """Periods and execution times of the last ticks [s]; the schema of ros2_control."""

    ticks: int
    missed: int
    period_mean_s: float
    period_std_s: float
    period_min_s: float
    period_max_s: float
    execution_mean_s: float
    execution_max_s: float


class PeriodicLoop:
    """Call a function at a fixed rate until stopped.

    The k-th deadline is t_0 + k T. A tick that is late by less than a period runs at once, so that
    the mean rate holds; after a longer overrun the deadlines that have passed are skipped and
    counted, instead of running late ones back to back. The function must not raise; if it does,
    the error goes to `on_error` and the loop goes on, so that a control thread never dies.

    Args:
        period_s: T [s] of steady time.
        tick: The work.
        on_error: Receives what escaped from `tick`.
        name: Name of the thread.
        on_start: Called once in the thread before the first tick (real-time options).
    """

    def __init__(
        self,
        period_s: float,
        tick: Callable[[], None],
        on_error: Callable[[Exception], None],
        *,
        name: str = 'loop',
        on_start: Callable[[], None] | None = None,
    ) -> None:
        """Prepare the loop; `start` begins it."""
        self._period_s = period_s
        self._tick, self._on_error, self._on_start = tick, on_error, on_start
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._periods: deque[float] = deque(maxlen=1000)
        self._executions: deque[float] = deque(maxlen=1000)
        self._ticks = self._missed = 0
        self._deadline_s = 0.0
        self._slept_s = 0.0

    def start(self) -> None:
        """Begin ticking."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the loop and wait for the running tick."""
        self._stop.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def wait_until(self, offset_s: float) -> None:
        """Sleep until `offset_s` after the deadline of the running tick; for the tick itself.

        What a tick sends then leaves at t_0 + k T + offset, however long the work before it took
        (the output instant of a logical execution time: Henzinger, Horowitz and Kirsch, Giotto,
        2003). A tick that is behind goes on at once. The sleep does not count as execution.
        """
        wait_s = self._deadline_s + offset_s - time.monotonic()
        if wait_s > 0.0:
            time.sleep(min(wait_s, offset_s))
            self._slept_s += min(wait_s, offset_s)

    def statistics(self) -> LoopStatistics:
        """Summarise the last 1000 ticks."""
        periods = np.array(self._periods) if self._periods else np.zeros(1)
        executions = np.array(self._executions) if self._executions else np.zeros(1)
        return LoopStatistics(
            self._ticks, self._missed, float(periods.mean()), float(periods.std()),
            float(periods.min()), float(periods.max()), float(executions.mean()),
            float(executions.max()))

    def _run(self) -> None:
        if self._on_start is not None:
            self._on_start()
        deadline = time.monotonic()
        previous: float | None = None
        while not self._stop.is_set():
            begin = time.monotonic()
            if previous is not None:
                self._periods.append(begin - previous)
            previous = begin
            self._deadline_s, self._slept_s = deadline, 0.0
            try:
                self._tick()
            except Exception as error:  # the boundary of the control thread
                self._on_error(error)
            end = time.monotonic()
            self._executions.append(end - begin - self._slept_s)
            self._ticks += 1
            deadline += self._period_s
            skipped = int((end - deadline) / self._period_s) if end > deadline else 0
            if skipped:
                self._missed += skipped
                deadline += skipped * self._period_s
            while not self._stop.is_set():
                wait = deadline - time.monotonic()
                if wait <= 0:
                    break
                time.sleep(min(wait, 0.1))
