# SPDX-License-Identifier: Apache-2.0
"""An empty 100 Hz loop beside the run, at the control loops' priority.

It shows what this machine's scheduler alone does to a period.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np

from diffusion_control.nodes.loop import PeriodicLoop
from diffusion_control.nodes.real_time import RealTimeOptions, apply_to_thread

PERIOD_S = 0.01


def main(out: str, fifo_priority: int) -> int:
    """Run until SIGINT or the parent's end, then write mean and p99 of the period [s] as JSON."""
    stamps: list[float] = []
    parent = os.getppid()
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    options = RealTimeOptions(fifo_priority=fifo_priority)
    loop = PeriodicLoop(
        PERIOD_S, lambda: stamps.append(time.monotonic()), lambda error: None,
        on_start=lambda: apply_to_thread(options, print))
    loop.start()
    while not stop.wait(0.2) and os.getppid() == parent:
        pass
    loop.stop()
    periods = np.diff(np.array(stamps)) if len(stamps) > 1 else np.array([PERIOD_S])
    Path(out).write_text(json.dumps({
        'period_mean_s': float(periods.mean()),
        'period_p99_s': float(np.percentile(periods, 99)),
        'period_max_s': float(periods.max()), 'ticks': len(stamps)}), encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
