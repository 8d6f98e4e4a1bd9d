# SPDX-License-Identifier: Apache-2.0
"""Many independent tasks, here or in processes of their own, with a line of progress."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache
from multiprocessing import connection, get_context, parent_process
from typing import TypeVar

from diffusion_control import robots
from diffusion_control.robots.arm import Arm
from diffusion_control.robots.base import Base

Task = TypeVar('Task')
Result = TypeVar('Result')


def run_tasks(
    function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int, label: str, unit: str
) -> Iterator[Result]:
    """Yield the result of each task as it is finished, and say on stderr how far it is.

    Args:
        function: Can be pickled, as can tasks and results.
        tasks: What to do.
        jobs: Processes side by side; 1 runs everything here, in order.
        label: Begins the line of progress.
        unit: What tasks are called in it.
    """
    began = time.monotonic()
    for count, found in enumerate(_results(function, tasks, jobs), start=1):
        spent = time.monotonic() - began
        left = spent / count * (len(tasks) - count)
        print(f'{label}: {count}/{len(tasks)} {unit}, {spent:.0f} s, {left:.0f} s left',
              file=sys.stderr, flush=True)
        yield found


def _results(
    function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int
) -> Iterator[Result]:
    if jobs == 1 or len(tasks) <= 1:
        for task in tasks:
            yield function(task)
        return
    workers = min(jobs, len(tasks))
    with ProcessPoolExecutor(workers, get_context('spawn'), _end_with_parent) as pool:
        futures = [pool.submit(function, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Let an interrupt end this process at once, without a traceback, and its parent's death too.

    A killed parent closes nothing down: without this its workers finish what they have and then
    wait for more for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_exit_after_parent, name='parent', daemon=True).start()


def _exit_after_parent() -> None:
    """Wait until the parent is gone, then leave at once."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


@lru_cache(maxsize=2)
def warm_robot(robot_config: str) -> Arm | Base:
    """Return the robot with its kernels compiled, once a process."""
    robot = robots.load(robot_config)
    robot.collision.warm_up()
    return robot


def warm_arm(robot_config: str) -> Arm:
    """Return an arm with its kernels compiled, once a process; any other robot is refused."""
    robot = warm_robot(robot_config)
    return robot if isinstance(robot, Arm) else robots.load_arm(robot_config)
